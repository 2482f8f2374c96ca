"""What we export and prove, checked by golang.org/x/mod: code that has nothing of ours.

Runs where Go and Debian's golang-golang-x-mod-dev are (`apt-get install golang-go golang-golang-x-mod-dev`).
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from plantops.audit.export import export
from plantops.audit.prove import prove_from_folder
from plantops.flow.checkpoints import key_name
from plantops.ledger import proof as proofs
from plantops.ledger.note import Kind, NoteKey
from plantops.policy.audit_keys import witness_name
from support.audit_log import SITE
from support.audit_site import AuditSite
from support.plant_samples import key

SOURCES = Path("/usr/share/gocode")
PEER = Path(__file__).parent.parent / "peers" / "tlog"
LOG = NoteKey(key_name(SITE), key("notary").public).to_vkey()
WITNESS = NoteKey(witness_name(SITE, "witness"), key("witness").public, Kind.COSIGNATURE).to_vkey()
STRANGER = NoteKey(witness_name(SITE, "witness"), key("stranger").public, Kind.COSIGNATURE).to_vkey()
RECORDS = 600

Ask: TypeAlias = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.skipif(
    shutil.which("go") is None or not (SOURCES / "src/golang.org/x/mod/sumdb/tlog").is_dir(),
    reason="needs Go and golang.org/x/mod: apt-get install golang-go golang-golang-x-mod-dev",
)


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Ask:
    program = tmp_path_factory.mktemp("go") / "peer"
    environment = {
        **os.environ,
        "GO111MODULE": "off",
        "GOFLAGS": "",
        "GOPATH": str(SOURCES),
        "GOCACHE": str(program.parent / "cache"),
    }
    built = subprocess.run(
        ["go", "build", "-o", str(program), "."],
        cwd=PEER,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr

    def ask(*words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([program, *words], capture_output=True, text=True, check=False)

    return ask


@pytest.fixture
async def exported(tmp_path: Path) -> Path:
    site = AuditSite(tmp_path)
    await site.signed(RECORDS)
    await site.witness().step()
    await export(site.bus, tmp_path / "out", site=SITE)
    return tmp_path / "out"


def test_an_export_verifies_entry_by_entry_and_with_its_cosignature(peer: Ask, exported: Path) -> None:
    done = peer("export", exported, LOG, WITNESS)
    assert (done.stdout, done.stderr) == (f"{RECORDS} records verified\n", "")


def test_another_key_is_refused(peer: Ask, exported: Path) -> None:
    other = NoteKey(key_name(SITE), key("stranger").public).to_vkey()
    assert peer("export", exported, other).returncode == 1
    assert "has not cosigned" in peer("export", exported, LOG, STRANGER).stderr


def test_a_change_in_any_file_of_an_export_is_refused(peer: Ask, exported: Path) -> None:
    chance = random.Random(3)
    paths = [path for path in sorted(exported.rglob("*")) if path.is_file() and path.name != "README.txt"]
    for path in paths:
        original = path.read_bytes()
        for _ in range(10):
            at = chance.randrange(len(original))
            path.write_bytes(
                original[:at] + bytes([original[at] ^ 1 << chance.randrange(8)]) + original[at + 1 :]
            )
            assert peer("export", exported, LOG, WITNESS).returncode == 1, (path, at)
        path.write_bytes(original[:-1])
        assert peer("export", exported, LOG, WITNESS).returncode == 1, path
        path.write_bytes(original)
    assert peer("export", exported, LOG, WITNESS).returncode == 0


def test_a_proof_verifies_and_a_changed_one_does_not(peer: Ask, exported: Path, tmp_path: Path) -> None:
    file, chance = tmp_path / "one.tlog-proof", random.Random(5)
    for index in (0, 255, 256, RECORDS - 1):
        (proof,) = prove_from_folder(exported, index=index)
        data = proofs.encode(proof)
        file.write_bytes(data)
        assert peer("proof", file, LOG).stdout == f"record {index} of {RECORDS} verified\n"
        end = data.index(b"\n\n")  # behind it stand lines of witnesses, whom x/mod does not know
        for _ in range(25):
            at = chance.randrange(end)
            file.write_bytes(data[:at] + bytes([data[at] ^ 1 << chance.randrange(7)]) + data[at + 1 :])
            assert peer("proof", file, LOG).returncode == 1, (index, at)
