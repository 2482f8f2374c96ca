"""What the policy commands say of a document, before anything is published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from plantops.cli.main import run
from plantops.deployment.initialise import initialise
from plantops.deployment.policies import partial_envelope, read_envelope
from plantops.deployment.site import Site


class Desk:
    """A site's folder, and the command line in this process."""

    def __init__(self, site: Site, capsys: pytest.CaptureFixture[str]) -> None:
        self.site, self.folder, self._capsys = site, site.folder, capsys

    def run(self, *words: str | Path, code: int = 0) -> Any:
        """The JSON that `plantops policy` prints."""
        assert run(["policy", *map(str, words), "--json"]) == code, self._capsys.readouterr()
        return json.loads(self._capsys.readouterr().out)

    def refused(self, *words: str | Path) -> str:
        """The one line with which it fails."""
        assert run(["policy", *map(str, words)]) == 1
        (line,) = self._capsys.readouterr().err.splitlines()
        assert line.startswith("error: ")
        return str(line)


@pytest.fixture
def office(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setenv("PLANTOPS_FOLDER", str(tmp_path / "demo"))
    return Desk(initialise(tmp_path / "demo").site, capsys)


def test_a_policy_that_breaks_its_vectors_is_neither_signed_nor_published(office: Desk) -> None:
    office.run("revise")
    path = office.folder.policy_document
    changed = json.loads(path.read_bytes())
    changed["vectors"] = [
        {
            "id": "carol only looks",
            "asset": "pump-001",
            "operation": "StopPump",
            "actor": "bob",
            "expect": "deny",
            "rule": "role",
        }
    ]
    path.write_text(json.dumps(changed))
    before = read_envelope(office.folder)
    (result,) = office.run("test", code=1)
    assert result["passed"] is False
    assert "vector 'carol only looks'" in office.refused("sign")
    assert read_envelope(office.folder) == before
    changed["vectors"][0]["actor"] = "carol"
    path.write_text(json.dumps(changed))
    assert (office.run("test"))[0]["passed"] is True
    assert (office.run("sign"))["enough"] is True
    assert (office.run("verify"))["vectors_passed"] == 1


def test_a_policy_that_waited_too_long_does_not_take_the_place_of_a_newer_one(office: Desk) -> None:
    first = read_envelope(office.folder)
    office.run("revise")
    office.run("sign")
    second = read_envelope(office.folder)
    partial_envelope(office.folder).write_bytes(first)
    assert "is revision 1, signed is revision 2" in office.refused("cosign")
    assert read_envelope(office.folder) == second


def test_a_skeleton_names_everything_and_allows_nobody(office: Desk, tmp_path: Path) -> None:
    path = tmp_path / "new.json"
    assert (office.run("new", "--output", path))["revision"] == 2
    assert "exists" in office.refused("new", "--output", path)
    results = office.run("test", path)
    operations = {
        f"{asset}.{name}"
        for asset, described in office.site.plant.model.assets.items()
        for name in described.operations
    }
    assert len(results) == len(operations)
    assert all(each["passed"] and not each["allowed"] for each in results)
    found = office.run("diff", office.folder.policy_envelope, path)
    lost = {(each["principal"], each["operation"]) for each in found["rights"] if each["kind"] == "lost"}
    assert ("alice", "pump-001.SetSpeed") in lost
    assert not [each for each in found["rights"] if each["kind"] == "gained"]
    assert {(each["section"], each["name"]) for each in found["changes"]} >= {
        ("principals", "alice"),
        ("roles", "operator"),
        ("permissives", "motor-cool"),
        ("operations", "pump-001.StopPump"),
    }


def test_what_is_no_policy_is_told_in_one_line(office: Desk, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("{}")
    for words in (("test", path), ("diff", path, path), ("verify", path), ("cosign", path)):
        assert office.refused(*words)
    assert "does not exist" in office.refused("root", "sign")
    assert "cannot read" in office.refused("cosign", tmp_path / "none.dsse")
