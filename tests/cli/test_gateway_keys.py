"""Making and taking away API keys at the command line."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from plantops.cli.main import run
from plantops.deployment.initialise import initialise
from plantops.gateway.identity.api_keys import ApiKeys
from plantops.gateway.identity.credentials import Unproved


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    initialise(tmp_path / "site")
    return tmp_path / "site"


def test_a_key_is_shown_once_listed_without_it_and_taken_away(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(*words: str) -> str:
        assert run(["gateway", "key", *words, "--folder", str(folder), "--json"]) == 0
        return capsys.readouterr().out

    made = json.loads(said("new", "alice", "--days", "30", "--note", "line 1"))
    keys = ApiKeys(folder / "gateway" / "api-keys.json")
    assert keys.principal(made["key"], datetime.now(UTC)) == "alice"
    listed = said("list")
    assert made["id"] in listed
    assert made["key"] not in listed
    said("revoke", made["id"])
    assert json.loads(said("list")) == []
    with pytest.raises(Unproved):
        ApiKeys(folder / "gateway" / "api-keys.json").principal(made["key"], datetime.now(UTC))


def test_a_key_for_nobody_is_not_made(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["gateway", "key", "new", "alcie", "--folder", str(folder)]) != 0
    assert "alice" in capsys.readouterr().err
    assert not (folder / "gateway").exists()
