"""The commands that need no site: an export, a proof, a witness, and what was seen before."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from plantops.audit.export import export
from plantops.audit.offline import folder_checkpoint
from plantops.audit.trust import save_trust, trust_of
from plantops.cli.main import run
from plantops.cli.remembering import memory, refuse_gone_back
from plantops.deployment.place import load_place
from plantops.flow.checkpoints import key_name
from plantops.ledger.note import NoteKey
from plantops.runtime.errors import Refused
from support.audit_log import SITE
from support.audit_site import AuditSite, audit_policy
from support.plant_samples import key

TRUST = trust_of(audit_policy())


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANTOPS_STATE", str(tmp_path / "state"))


@pytest.fixture
async def exports(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A trust file, an export, and a later one of the same log."""
    site = AuditSite(tmp_path / "site")
    for name, count in (("first", 40), ("second", 20)):
        site.write(count)
        await site.notary(name).step()
        await site.witness().step()
        await export(site.bus, tmp_path / name, site=SITE)
    save_trust(TRUST, tmp_path / "trust.json")
    return tmp_path / "trust.json", tmp_path / "first", tmp_path / "second"


def typed(*words: str | Path) -> int:
    return run([str(word) for word in words])


def test_an_export_that_is_older_than_what_was_seen_is_refused_and_both_are_named(
    exports: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    trust, first, second = exports
    assert typed("audit", "verify", "--export", first, "--trust", trust) == 0
    assert typed("audit", "verify", "--export", second, "--trust", trust) == 0
    assert typed("audit", "verify", "--export", second, "--trust", trust, "--tree-only") == 0
    assert typed("audit", "verify", "--export", first, "--trust", trust) == 1
    assert "from 60 to 40" in capsys.readouterr().err


def test_a_witness_elsewhere_cosigns_what_extends_and_nothing_else(
    exports: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    trust, first, second = exports
    words = ("witness", "--trust", trust, "--name", "witness.example/w1", "--json", "--from-export")
    assert typed(*words, first) == 0
    verifier = msgspec.json.decode(capsys.readouterr().out)["verifier"]
    asked = ("audit", "verify", "--trust", trust, "--witness", verifier, "--export")
    assert typed(*asked, first) == 0
    assert typed(*asked, second) == 1
    assert "too few" in capsys.readouterr().err
    assert typed(*words, second) == 0
    assert typed(*asked, second) == 0
    assert typed(*words, first) == 1
    assert "from 60 to 40" in capsys.readouterr().err


def test_a_proof_is_checked_with_one_key_and_nothing_else(
    exports: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trust, first, _second = exports
    vkey = NoteKey(key_name(SITE), key("notary").public).to_vkey()
    file = tmp_path / "one.tlog-proof"
    assert typed("audit", "prove", "7", "-o", file, "--export", first) == 0
    assert typed("audit", "check-proof", file, "--key", vkey) == 0
    assert "was not asked for" in capsys.readouterr().out
    assert typed("audit", "check-proof", file, "--trust", trust) == 0
    assert "and its writer's signature" in capsys.readouterr().out
    stranger = NoteKey(key_name(SITE), key("stranger").public).to_vkey()
    assert typed("audit", "check-proof", file, "--key", stranger) == 1
    assert typed("audit", "check-proof", file) == 1
    assert "brings no keys" in capsys.readouterr().err


def test_a_command_is_proved_record_by_record(exports: tuple[Path, Path, Path], tmp_path: Path) -> None:
    _trust, first, _second = exports
    assert typed("audit", "prove", "c2", "-o", tmp_path / "c2.tlog-proof", "--export", first) == 0
    assert len(list(tmp_path.glob("c2.*.tlog-proof"))) == 5


def test_a_policy_file_says_which_witnesses_must_have_cosigned(
    exports: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    trust, first, _second = exports
    (own,) = TRUST.witnesses
    policy = tmp_path / "policy"
    for quorum, code in (("w1", 0), ("none", 0)):
        policy.write_text(f"# ours\nwitness w1 {own}\nquorum {quorum}\n")
        words = ("audit", "verify", "--export", first, "--trust", trust, "--witness-policy", policy)
        assert typed(*words) == code
    policy.write_text(f"witness w1 {own}\nquorum w2\n")
    assert typed("audit", "verify", "--export", first, "--trust", trust, "--witness-policy", policy) == 1


def test_a_checkpoint_behind_what_was_seen_is_refused_wherever_it_comes_from(
    exports: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    _trust, first, second = exports
    (tmp_path / "place").mkdir()
    (tmp_path / "place" / "plantops.toml").write_text(f'site = "{SITE}"\n[sources]\nplc1 = "plc1.toml"\n')
    place = load_place(tmp_path / "place")
    older, newer = (folder_checkpoint(folder, TRUST) for folder in (first, second))
    refuse_gone_back(place, TRUST, older)
    memory().remember(TRUST, newer)
    refuse_gone_back(place, TRUST, newer)
    for shown, words in ((older, "shrank from 60 to 40"), (None, "no checkpoint is left")):
        with pytest.raises(Refused, match=words):
            refuse_gone_back(place, TRUST, shown)
