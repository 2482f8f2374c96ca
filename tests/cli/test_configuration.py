"""`plantops config` tells every setting with who said it, and no secret."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from plantops.cli.main import run
from plantops.deployment.initialise import initialise


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("configuration") / "site"
    initialise(folder)
    with (folder / "plantops.toml").open("a") as file:
        file.write('\n[gateway.delegates.basyx]\nprincipal = "alice"\nsecret = "hunter2-hunter2"\n')
        file.write('\n[gateway.delegates.other]\nprincipal = "alice"\nsecret = "secret:basyx"\n')
    return folder


def shown(site: Path, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, dict[str, Any]]:
    assert run(["config", "show", *words, "--folder", str(site), "--json"]) == 0
    return {one["key"]: one for one in json.loads(capsys.readouterr().out)}


def test_each_value_is_told_with_who_said_it(
    site: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANTOPS_GATEWAY__WORKERS", "3")
    found = shown(site, capsys)
    line = (site / "plantops.toml").read_text().splitlines().index(
        "port = 8080             # 0: a free one, written to run/up.json"
    ) + 1
    assert found["gateway.port"] == {
        "key": "gateway.port",
        "value": 8080,
        "source": "file",
        "place": f"{site / 'plantops.toml'}:{line}",
        "variable": "PLANTOPS_GATEWAY__PORT",
    }
    workers = found["gateway.workers"]
    assert (workers["value"], workers["source"], workers["place"]) == (
        3,
        "environment",
        "PLANTOPS_GATEWAY__WORKERS",
    )
    assert (found["gates"]["source"], found["gates"]["place"]) == ("default", "")
    assert found["sources.plc1"]["source"] == "file"


def test_no_secret_is_shown_and_every_reference_is(
    site: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANTOPS_BROKER_URL", "nats://user:hunter2@host:4222")
    found = shown(site, capsys)
    assert found["gateway.delegates.basyx.secret"]["value"] == "***"
    assert found["gateway.delegates.other.secret"]["value"] == "secret:basyx"
    assert found["broker.url"]["value"] == "nats://***@host:4222"
    assert run(["config", "show", "--folder", str(site)]) == 0
    assert "hunter2" not in capsys.readouterr().out


def test_a_table_is_shown_alone_and_what_is_changed_alone(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert set(shown(site, capsys, "gateway.demo")) == {
        "gateway.demo.enabled",
        *(f"gateway.demo.people.{name}" for name in ("operator", "supervisor", "maintenance", "viewer")),
    }
    assert set(shown(site, capsys, "gateway.demo", "--changed")) == {"gateway.demo.enabled"}
    assert run(["config", "show", "gatway", "--folder", str(site)]) == 1
    assert "did you mean 'gateway'?" in capsys.readouterr().err


def test_check_reads_everything_and_says_what_is_wrong_in_one_line(
    site: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(["config", "check", "--folder", str(site)]) == 0
    assert "demo is right" in capsys.readouterr().out
    monkeypatch.setenv("PLANTOPS_MODEL", "none.toml")
    assert run(["config", "check", "--folder", str(site)]) == 1
    told = capsys.readouterr().err
    assert "environment PLANTOPS_MODEL: model names" in told
    assert len(told.splitlines()) == 1
