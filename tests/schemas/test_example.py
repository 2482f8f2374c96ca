"""A program of another language asks a running site and proves what became of it, by the documents alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from layout.repository import ROOT
from plantops.audit.export import export
from plantops.audit.records import read_records
from plantops.audit.trust import save_trust
from plantops.cli.proofs import site_trust
from plantops.deployment.policies import read_envelope, verify_envelope
from plantops.flow.bus import Bus
from schemas.npm import prepared, run
from support.site import RunningSite, until

EXAMPLE = ROOT / "schemas" / "examples"
SCRIPT = "intent-and-proof.mjs"
MAX_LINES = 60


@pytest.fixture(scope="module")
def packages(pytestconfig: pytest.Config) -> Path:
    return prepared(EXAMPLE, pytestconfig)


def ask_words(demo: RunningSite, tmp_path: Path, **changed: Any) -> Sequence[str | Path]:
    """The words that ask for a valve position in alice's name."""
    folder = demo.site.folder
    policy = verify_envelope(folder, read_envelope(folder)).policy
    intent = {
        "site": "demo",
        "actor": "alice",
        "asset": "valve-001",
        "operation": "SetPosition",
        "arguments": {"PERCENT": 42.5},
        "model": policy.model,
    }
    (tmp_path / "intent.json").write_text(json.dumps(intent | changed))
    alice = folder.identity("alice", person=True)
    return [SCRIPT, "ask", demo.running.url, alice.login, alice.signing, tmp_path / "intent.json"]


async def exported(demo: RunningSite, folder: Path, command: str) -> tuple[Path, Path]:
    """An export that holds the command's last record, and a trust file got on another way."""
    async with demo.auditor() as bus:
        await until(lambda: _covered(bus, demo, command), bool, "the outcome stands under a checkpoint")
        await export(bus, folder, site="demo")
    trust = folder.with_name("trust.json")
    save_trust(site_trust(demo.site), trust)
    return folder, trust


async def _covered(bus: Bus, demo: RunningSite, command: str) -> bool:
    """Whether the adapter's outcome is recorded and the newest checkpoint covers it."""
    shown = await read_records(bus, site="demo", trusted=site_trust(demo.site).trusted, command=command)
    places = [one.index for one in shown if one.record and one.record.kind == "command.executed"]
    last = await bus.last("CHECKPOINTS", "checkpoint.demo")
    return bool(places) and last is not None and json.loads(last.data)["size"] > max(places)


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_the_example_is_short() -> None:
    assert len((EXAMPLE / SCRIPT).read_text().splitlines()) <= MAX_LINES


def test_its_versions_are_exact_and_no_lock_is_committed() -> None:
    for manifest in (EXAMPLE / "package.json", Path(__file__).with_name("node") / "package.json"):
        wanted = json.loads(manifest.read_text())["dependencies"].values()
        assert [version for version in wanted if not version.replace(".", "").isdigit()] == []
        assert not manifest.with_name("package-lock.json").exists()


async def test_it_asks_and_proves_the_outcome(packages: Path, demo: RunningSite, tmp_path: Path) -> None:
    told = run(packages, ask_words(demo, tmp_path))
    assert told.returncode == 0, told.stderr
    steps = lines(told.stdout)
    command = steps[0]["command"]
    assert steps[-1]["schema"] == "urn:plantops:event:command.executed:1"

    folder, trust = await exported(demo, tmp_path / "export", command)
    proved = run(packages, [SCRIPT, "prove", folder, trust, command])
    assert proved.returncode == 0, proved.stderr
    assert ("adapter-opc1", "command.executed") in {
        (one["writer"], one["kind"]) for one in lines(proved.stdout)
    }


def test_it_confirms_what_it_simulated_by_the_result(
    packages: Path, demo: RunningSite, tmp_path: Path
) -> None:
    words = {"asset": "pump-001", "operation": "StartPump", "arguments": {}}
    simulated = lines(run(packages, ask_words(demo, tmp_path, **words)).stdout)[-1]
    assert simulated["schema"] == "urn:plantops:event:command.simulated:1"
    words |= {"confirms": simulated["command"]}
    denied = lines(run(packages, ask_words(demo, tmp_path, **words)).stdout)
    assert denied[-1]["schema"] == "urn:plantops:event:command.denied:1"
    words |= {"simulation": simulated["result"]}
    done = lines(run(packages, ask_words(demo, tmp_path, **words)).stdout)
    assert done[-1]["schema"] == "urn:plantops:event:command.executed:1"


async def test_it_refuses_an_export_that_was_changed(
    packages: Path, demo: RunningSite, tmp_path: Path
) -> None:
    told = run(packages, ask_words(demo, tmp_path))
    command = lines(told.stdout)[0]["command"]
    folder, trust = await exported(demo, tmp_path / "export", command)

    def refusal() -> str:
        proved = run(packages, [SCRIPT, "prove", folder, trust, command])
        assert proved.returncode == 1
        return next(line for line in proved.stderr.splitlines() if line.startswith("Error: "))

    def damage(path: Path, old: bytes, new: bytes) -> bytes:
        before = path.read_bytes()
        position = before.rindex(old) + len(old)
        path.write_bytes(before[:position] + new + before[position + len(new) :])
        assert path.read_bytes() != before
        return before

    bundle = max(path for path in (folder / "tile" / "entries").rglob("*") if path.is_file())
    good = damage(bundle, b'"sig":"', b"AAAA")
    assert "is not the one in the tree" in refusal()
    bundle.write_bytes(good)

    leaves = max(path for path in (folder / "tile" / "0").rglob("*") if path.is_file())
    good = leaves.read_bytes()
    leaves.write_bytes(bytes(32) + good[32:])
    assert "the tiles do not give the signed root" in refusal()
    leaves.write_bytes(good)

    # The first of them names the log; a witness's name may stand below, and nobody here asks for one.
    good = (folder / "checkpoint").read_bytes()
    (folder / "checkpoint").write_bytes(good.replace(b"plantops/demo/", b"plantops/demo/0", 1))
    assert "no trusted notary signed the checkpoint" in refusal()
    (folder / "checkpoint").write_bytes(good)

    keys = json.loads(trust.read_text())
    keys["writers"]["gate"] = keys["writers"]["notary"]
    trust.write_text(json.dumps(keys))
    assert "is not signed by gate" in refusal()


def test_it_hears_the_door_when_the_intent_is_not_taken(
    packages: Path, demo: RunningSite, tmp_path: Path
) -> None:
    told = run(packages, ask_words(demo, tmp_path, model=""))
    assert told.returncode == 1
    assert "the door says" in told.stderr
    assert "not_trusted" in told.stderr
