"""One record proves itself offline, and a cosigned export is what witnesses saw."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest

from plantops.audit.export import export
from plantops.audit.offline import folder_checkpoint, verify_folder
from plantops.audit.prove import check_proof, prove_from_folder, prove_live
from plantops.audit.remembered import Remembered, state_folder
from plantops.audit.trust import AuditTrust, trust_of
from plantops.ledger import proof as proofs
from plantops.ledger.finding import FindingKind
from plantops.ledger.note import Kind, NoteKey
from plantops.ledger.witnesses import WitnessPolicy
from plantops.policy.audit_keys import witness_name
from plantops.runtime.errors import IntegrityError, MalformedEnvelope, Refused
from support.audit_log import SITE
from support.audit_site import AuditSite, audit_policy, edited
from support.plant_samples import key

TRUST = trust_of(audit_policy())
WITNESS = NoteKey(witness_name(SITE, "witness"), key("witness").public, Kind.COSIGNATURE)
STRANGER = NoteKey("witness.example/other", key("stranger").public, Kind.COSIGNATURE)


@pytest.fixture
def site(tmp_path: Path) -> AuditSite:
    return AuditSite(tmp_path)


async def cosigned_log(site: AuditSite, count: int = 60) -> None:
    await site.signed(count)
    await site.witness().step()


async def test_every_record_of_the_log_is_proved_offline(site: AuditSite) -> None:
    await cosigned_log(site, 41)
    for index in range(41):
        (proof,) = await prove_live(site.bus, site=SITE, index=index)
        checked = check_proof(proofs.decode(proofs.encode(proof)), TRUST)
        assert (checked.findings, checked.index, checked.size) == ((), index, 41)
        assert checked.record is not None
        assert checked.is_writer_checked


async def test_all_records_of_a_command_are_proved_live_and_from_an_export_alike(
    site: AuditSite, tmp_path: Path
) -> None:
    await cosigned_log(site)
    live = await prove_live(site.bus, site=SITE, command="c3")
    await export(site.bus, tmp_path / "out", site=SITE)
    assert live == prove_from_folder(tmp_path / "out", command="c3")
    assert [one.index for one in live] == [15, 16, 17, 18, 19]


async def test_no_record_no_proof(site: AuditSite) -> None:
    await cosigned_log(site, 5)
    for index, command in ((5, ""), (None, "c9")):
        with pytest.raises(Refused, match="under the last checkpoint"):
            await prove_live(site.bus, site=SITE, index=index, command=command)


async def test_any_change_of_a_proof_is_noticed(site: AuditSite) -> None:
    """600 random changes; only what nobody signed and nothing depends on could pass, and nothing does."""
    await cosigned_log(site)
    (proof,) = await prove_live(site.bus, site=SITE, index=23)
    data, chance = proofs.encode(proof), random.Random(7)
    required = WitnessPolicy.of([WITNESS], 1)
    for _ in range(600):
        at = chance.randrange(len(data))
        changed = {
            0: lambda at=at: data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :],
            1: lambda at=at: data[:at] + data[at + 1 :],
            2: lambda at=at: data[:at] + data[at : at + 1] + data[at:],
            3: lambda at=at: data[:at],
        }[chance.randrange(4)]()
        try:
            checked = check_proof(proofs.decode(changed), TRUST, witnesses=required)
        except MalformedEnvelope:
            continue
        assert not checked.ok, (at, changed)


async def test_a_proof_moved_to_another_index_or_entry_fails(site: AuditSite) -> None:
    await cosigned_log(site)
    first, second = [(await prove_live(site.bus, site=SITE, index=index))[0] for index in (8, 9)]
    for forged in (
        msgspec.structs.replace(first, index=9),
        msgspec.structs.replace(first, entry=second.entry),
        msgspec.structs.replace(first, path=second.path),
        msgspec.structs.replace(first, path=first.path[:-1]),
    ):
        checked = check_proof(forged, TRUST)
        assert FindingKind.ENTRY_MISMATCH in {finding.kind for finding in checked.findings}


async def test_with_the_notarys_key_alone_the_writer_is_not_asked_for(site: AuditSite) -> None:
    await cosigned_log(site, 9)
    (proof,) = await prove_live(site.bus, site=SITE, index=3)
    known = AuditTrust(site=SITE, notaries=TRUST.notaries, writers={})
    assert (check_proof(proof, known).ok, check_proof(proof, known).is_writer_checked) == (True, False)
    stranger = AuditTrust(site=SITE, notaries=(key("stranger").public.to_base64(),), writers={})
    assert [one.kind for one in check_proof(proof, stranger).findings] == [FindingKind.CHECKPOINT_INVALID]


async def test_an_export_that_too_few_witnesses_cosigned_is_refused(site: AuditSite, tmp_path: Path) -> None:
    await cosigned_log(site)
    await export(site.bus, tmp_path / "out", site=SITE)
    for keys, threshold, is_met in (
        ([WITNESS], 1, True),
        ([WITNESS, STRANGER], 1, True),
        ([WITNESS, STRANGER], 2, False),
        ([STRANGER], 1, False),
    ):
        report = verify_folder(tmp_path / "out", TRUST, witnesses=WitnessPolicy.of(keys, threshold))
        assert report.ok is is_met
        assert is_met or [one.kind for one in report.findings] == [FindingKind.NOT_COSIGNED]


async def test_without_its_cosignature_a_checkpoint_is_exported_after_a_while(
    site: AuditSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plantops.flow.cosigned.PATIENCE_SECONDS", 0.0)
    await cosigned_log(site)
    site.write(10)
    await site.notary("another").step()
    written = await export(site.bus, tmp_path / "out", site=SITE)
    assert written.size == 70
    assert verify_folder(tmp_path / "out", TRUST).ok


async def test_what_was_seen_before_is_held_against_an_export(site: AuditSite, tmp_path: Path) -> None:
    await cosigned_log(site, 40)
    await export(site.bus, tmp_path / "old", site=SITE)
    site.write(10)
    await site.notary("another").step()
    await site.witness().step()
    await export(site.bus, tmp_path / "new", site=SITE)
    memory = Remembered(tmp_path / "state")
    for name in ("old", "new"):
        seen = memory.recall(TRUST)
        assert verify_folder(tmp_path / name, TRUST, seen=seen).ok
        memory.remember(TRUST, folder_checkpoint(tmp_path / name, TRUST))
    report = verify_folder(tmp_path / "old", TRUST, seen=memory.recall(TRUST))
    assert [one.kind for one in report.findings] == [FindingKind.SHRUNK]
    assert "from 50 to 40" in report.findings[0].detail


async def test_another_log_under_the_same_names_and_keys_is_refused(site: AuditSite, tmp_path: Path) -> None:
    await cosigned_log(site, 20)
    await export(site.bus, tmp_path / "out", site=SITE)
    other = AuditSite(tmp_path / "other")
    await cosigned_log(other, 30)
    await export(other.bus, tmp_path / "second", site=SITE)
    seen = folder_checkpoint(tmp_path / "out", TRUST)
    report = verify_folder(tmp_path / "second", TRUST, seen=seen)
    assert [one.kind for one in report.findings] == [FindingKind.OTHER_LOG]


async def test_a_fork_with_a_good_checkpoint_is_refused_by_who_saw_the_first(
    site: AuditSite, tmp_path: Path
) -> None:
    """Two clients are shown two logs, each perfect by itself, of one name and by one notary."""
    await cosigned_log(site, 20)
    await export(site.bus, tmp_path / "first", site=SITE)
    seen = folder_checkpoint(tmp_path / "first", TRUST)
    other = AuditSite(tmp_path / "other")
    other.writers.make(1)
    site.replace(edited(site, 7, lambda data: data + b" "))
    site.broker.add_stream("KV_snapshot-notary", ["$KV.snapshot-notary.>"], max_per_subject=1)
    site.broker.add_stream("CHECKPOINTS", ["checkpoint.*"])
    site.broker.add_stream("COSIGNATURES", ["cosignature.*.*", "dispute.*.*"], max_per_subject=1)
    site.write(10)
    forger = site.notary("forger")
    await forger.step()
    assert forger.notary is not None
    await export(site.bus, tmp_path / "second", site=SITE)
    found = folder_checkpoint(tmp_path / "second", TRUST)
    report = verify_folder(
        tmp_path / "second", TRUST, depth="tree", seen=msgspec.structs.replace(seen, origin=found.origin)
    )
    assert [one.kind for one in report.findings] == [FindingKind.FORKED]


async def test_the_tree_alone_is_checked_without_any_writers_key(site: AuditSite, tmp_path: Path) -> None:
    await cosigned_log(site)
    await export(site.bus, tmp_path / "out", site=SITE)
    known = AuditTrust(site=SITE, notaries=TRUST.notaries, writers={})
    assert verify_folder(tmp_path / "out", known, depth="tree").ok
    assert not verify_folder(tmp_path / "out", known).ok


async def test_several_processes_find_what_one_finds(
    site: AuditSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plantops.audit.parallel.PARALLEL_RECORDS", 100)
    await cosigned_log(site, 600)
    await export(site.bus, tmp_path / "out", site=SITE)
    bundle = tmp_path / "out" / "tile" / "entries" / "001"
    data = bytearray(bundle.read_bytes())
    data[5000] ^= 1
    bundle.write_bytes(data)
    one, several = (verify_folder(tmp_path / "out", TRUST, processes=count) for count in (1, 2))
    assert one == several
    assert one.first_bad_index is not None


def test_a_damaged_note_of_what_was_seen_is_no_fresh_start(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "demo.json").write_bytes(b"{}")
    with pytest.raises(IntegrityError, match="damaged"):
        Remembered(tmp_path).recall(TRUST)


def test_the_state_folder_is_where_the_system_keeps_such_things(tmp_path: Path) -> None:
    assert state_folder({}, tmp_path) == tmp_path / ".local/state/plantops"
    assert state_folder({"XDG_STATE_HOME": "/s"}, tmp_path) == Path("/s/plantops")
    assert state_folder({"PLANTOPS_STATE": "/p"}, tmp_path) == Path("/p")
