"""A witness cosigns what extends all it has seen, remembers first, and refuses everything else for good."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from plantops.audit.witness import SEEN_FILE, Witness
from plantops.audit.witness_process import WitnessProcess
from plantops.events import decode
from plantops.events.base import SiteName
from plantops.events.operations import CheckpointCosigned, CheckpointDisputed, CheckpointSigned
from plantops.events.subjects import cosignature, dispute
from plantops.flow.checkpoints import key_name
from plantops.flow.memory import MemoryBus
from plantops.flow.signing import Signer
from plantops.ledger.checkpoint import Checkpoint, sign
from plantops.ledger.cosignature import cosigned_at
from plantops.ledger.finding import FindingKind
from plantops.ledger.note import Kind, NoteKey
from plantops.ledger.tree import Tree, leaf_hash
from plantops.policy.audit_keys import witness_name
from plantops.runtime.errors import IntegrityError
from support.audit_log import SITE
from support.audit_site import AT, AuditSite, edited
from support.plant_samples import key

NAME = witness_name(SITE, "witness")
KEY = NoteKey(NAME, key("witness").public, Kind.COSIGNATURE)


@pytest.fixture
def site(tmp_path: Path) -> AuditSite:
    return AuditSite(tmp_path)


async def cosigned(site: AuditSite) -> CheckpointCosigned | None:
    stored = await site.bus.last("COSIGNATURES", cosignature(SITE, "witness"))
    event = decode(stored.data) if stored else None
    assert event is None or isinstance(event, CheckpointCosigned)
    return event


async def disputed(site: AuditSite) -> CheckpointDisputed | None:
    stored = await site.bus.last("COSIGNATURES", dispute(SITE, "witness"))
    event = decode(stored.data) if stored else None
    assert event is None or isinstance(event, CheckpointDisputed)
    return event


async def watched(site: AuditSite, count: int = 20) -> WitnessProcess:
    await site.signed(count)
    witness = site.witness()
    await witness.step()
    assert (witness.refusal, witness.cosigned) == ("", count)
    return witness


async def sign_more(site: AuditSite, count: int) -> None:
    site.write(count)
    await site.notary("another").step()


async def test_cosigns_each_checkpoint_that_extends_the_last(site: AuditSite) -> None:
    witness = await watched(site)
    for size in (25, 30):
        await sign_more(site, 5)
        await witness.step()
        event = await cosigned(site)
        assert event is not None
        assert (event.size, cosigned_at(event.note.encode(), KEY)) == (size, int(AT.timestamp()))
    assert await disputed(site) is None


async def test_says_nothing_before_the_notary_does(site: AuditSite) -> None:
    site.write(3)
    witness = site.witness()
    await witness.step()
    assert (witness.refusal, await cosigned(site)) == ("", None)


async def test_has_stored_what_it_saw_before_it_says_so(
    site: AuditSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    witness = await watched(site)
    await sign_more(site, 5)

    def full(_path: Path, _data: bytes) -> None:
        raise IntegrityError("no space left", path="witness.seen")

    monkeypatch.setattr("plantops.ledger.highwater.replace_file", full)
    await witness.step()
    event = await cosigned(site)
    assert event is not None
    assert event.size == 20
    assert witness.refusal


async def test_a_restart_goes_on_from_its_own_memory_and_tells_again_what_was_not_told(
    site: AuditSite,
) -> None:
    witness = await watched(site)
    await sign_more(site, 5)
    await witness.step()
    site.broker.add_stream("COSIGNATURES", ["cosignature.*.*", "dispute.*.*"], max_per_subject=1)
    again = site.witness()
    await again.step()
    event = await cosigned(site)
    assert event is not None
    assert event.size == 25


async def test_a_damaged_memory_stops_it_instead_of_making_it_begin_anew(site: AuditSite) -> None:
    await watched(site)
    file = site.folder / "witness" / SEEN_FILE
    file.write_bytes(file.read_bytes().replace(b'"size":20', b'"size":19'))
    with pytest.raises(IntegrityError, match="damaged"):
        site.witness()


def cut(site: AuditSite) -> None:
    site.replace(list(site.log.values())[:10])


def made_anew(site: AuditSite) -> None:
    site.replace(list(site.log.values()), created="later")


def without_the_beginning(site: AuditSite) -> None:
    stream = site.broker.stream("AUDIT")
    for sequence in range(1, 6):
        del stream.messages[sequence]


def without_checkpoints(site: AuditSite) -> None:
    site.broker.add_stream("CHECKPOINTS", ["checkpoint.*"])


def with_the_first_checkpoint_again(site: AuditSite) -> None:
    stream = site.broker.stream("CHECKPOINTS")
    first = next(iter(stream.messages.values()))
    stream.last += 1
    stream.messages[stream.last] = replace(first, sequence=stream.last)


@pytest.mark.parametrize(
    ("attack", "kind"),
    [
        (cut, FindingKind.SHRUNK),
        (made_anew, FindingKind.OTHER_LOG),
        (without_the_beginning, FindingKind.STREAM_GAP),
        (without_checkpoints, FindingKind.CHECKPOINT_MISSING),
        (with_the_first_checkpoint_again, FindingKind.SHRUNK),
    ],
)
@pytest.mark.parametrize("is_restarted", [False, True])
async def test_a_log_that_went_back_is_disputed_for_good(
    site: AuditSite, attack: object, kind: FindingKind, is_restarted: bool
) -> None:
    witness = await watched(site)
    await sign_more(site, 5)
    await witness.step()
    assert callable(attack)
    attack(site)
    witness = site.witness() if is_restarted else witness
    for _ in range(2):
        await witness.step()
    event = await disputed(site)
    assert event is not None
    assert (event.kind, event.size) == (kind, 25)
    assert witness.refusal == event.detail


async def test_who_holds_the_notarys_key_and_rewrites_the_log_finds_no_witness(site: AuditSite) -> None:
    witness = await watched(site)
    first = site.events()[0]
    site.write(10)
    site.replace(edited(site, 3))
    origin, root = first.note.split("\n")[0], Tree(leaf_hash(one.data) for one in site.log.values()).root()
    note = sign(Checkpoint(origin, 30, root), key("notary"), name=key_name(SITE)).decode()
    event = CheckpointSigned(site=SiteName(SITE), size=30, root=root.hex(), note=note)
    message = Signer("notary", key("notary")).message(f"checkpoint.{SITE}", event, id="forged", time=AT)
    site.broker.store([message], "CHECKPOINTS", None, "")
    await witness.step()
    assert "forked or rewritten" in witness.refusal
    told = await disputed(site)
    assert told is not None
    assert (told.kind, told.note) == (FindingKind.FORKED, note)


async def test_a_checkpoint_that_no_notary_of_the_policy_signed_is_disputed(site: AuditSite) -> None:
    witness = await watched(site)
    site.write(5)
    forger = site.notary("forger")
    forger.context = replace(forger.context, signer=Signer("notary", key("stranger")))
    await forger.step()
    await witness.step()
    event = await disputed(site)
    assert event is not None
    assert event.kind == FindingKind.CHECKPOINT_INVALID


async def test_goes_on_after_the_broker_was_away(site: AuditSite) -> None:
    witness = await watched(site)
    await sign_more(site, 5)
    bus = witness.context.bus
    assert isinstance(bus, MemoryBus)
    bus.disconnect()
    await witness.step()
    assert (witness.refusal, witness.cosigned) == ("", 20)
    bus.reconnect()
    await witness.step()
    assert (witness.refusal, witness.cosigned) == ("", 25)


def test_a_memory_that_was_never_made_is_none(tmp_path: Path) -> None:
    assert Witness(tmp_path / SEEN_FILE).seen is None
