"""The notary signs what it read, once, and nothing over a log that is not what it was."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import pytest

from plantops.audit import notary_process
from plantops.audit.notary_process import NotaryProcess
from plantops.events.envelope import Message
from plantops.events.operations import CheckpointRefused, CheckpointSigned
from plantops.events.queries import HeadTold, ProblemDetail, read_answer
from plantops.flow.auditing import Auditor
from plantops.flow.checkpoints import open_checkpoint
from plantops.flow.journal import Journal
from plantops.flow.signing import Signer
from plantops.ledger.record import check_records, stored_hash
from plantops.ledger.tree import Tree, leaf_hash
from support.audit_log import SITE
from support.audit_site import AuditSite, audit_policy, edited, in_force, stranger
from support.nats import until
from support.plant_samples import key


@pytest.fixture
def site(tmp_path: Path) -> AuditSite:
    return AuditSite(tmp_path)


def signed(site: AuditSite) -> list[CheckpointSigned]:
    return [event for event in site.events() if isinstance(event, CheckpointSigned)]


def root_of(site: AuditSite, size: int) -> str:
    return Tree(leaf_hash(stored.data) for stored in list(site.log.values())[:size]).root().hex()


async def head(process: NotaryProcess, writer: str) -> HeadTold | ProblemDetail:
    return read_answer(await process.head(Message(f"head.{SITE}.{writer}", b"")), HeadTold)


async def test_signs_the_root_of_all_records_as_they_are(site: AuditSite) -> None:
    await site.signed(100)
    (event,) = signed(site)
    found = open_checkpoint(event.note.encode(), SITE, [key("notary").public])
    assert (found.size, found.root.hex(), event.findings) == (100, root_of(site, 100), 0)
    assert found.root.hex() == event.root
    assert found.origin.startswith(f"plantops/{SITE}/")


async def test_signs_again_only_when_the_log_grew_and_a_second_passed_or_256_records_came(
    site: AuditSite,
) -> None:
    process = await site.signed(3)
    now = 1000.0
    process._now = lambda: now
    process._signed_at = now
    await process.step()
    site.write(5)
    await process.step()
    assert [event.size for event in signed(site)] == [3]
    now += 1.0
    await process.step()
    assert [event.size for event in signed(site)] == [3, 8]
    now += 60.0
    await process.step()
    site.write(255)
    process._signed_at = now
    await process.step()
    assert [event.size for event in signed(site)] == [3, 8]
    site.write(1)
    await process.step()
    assert [event.size for event in signed(site)] == [3, 8, 264]


async def test_a_restart_goes_on_with_the_same_log(site: AuditSite) -> None:
    await site.signed(10)
    site.write(10)
    again = site.notary()
    await again.step()
    first, second = signed(site)
    origins = {open_checkpoint(e.note.encode(), SITE, [key("notary").public]).origin for e in (first, second)}
    assert len(origins) == 1
    assert second.root == root_of(site, 20)


async def test_without_its_snapshot_it_rebuilds_the_same(site: AuditSite) -> None:
    await site.signed(10)
    site.broker.add_stream("KV_snapshot-notary", ["$KV.snapshot-notary.>"], max_per_subject=1)
    site.write(10)
    await site.notary().step()
    assert signed(site)[-1].root == root_of(site, 20)


async def test_a_forged_snapshot_is_not_believed(site: AuditSite) -> None:
    await site.signed(10)
    bucket = site.broker.stream("KV_snapshot-notary")
    for sequence, stored in bucket.messages.items():
        bucket.messages[sequence] = replace(stored, data=stored.data[:-1] + b"x")
    site.write(10)
    process = site.notary()
    await process.step()
    assert process.refusal == ""
    assert signed(site)[-1].root == root_of(site, 20)


async def test_tells_heads_exactly_and_zeros_for_who_wrote_nothing(site: AuditSite) -> None:
    process = await site.signed(7)
    site.write(6)
    gate = [stored for stored in site.log.values() if stored.subject.endswith(".gate")]
    told = await head(process, "gate")
    assert told == HeadTold(sequence=len(gate), hash=stored_hash(gate[-1].data), stored=gate[-1].sequence)
    assert await head(process, "nobody") == HeadTold(sequence=0, hash="", stored=0)


async def test_gives_no_head_to_a_writer_whom_the_policy_does_not_name(site: AuditSite) -> None:
    process = await site.signed(7)
    site.policy.verified = in_force(audit_policy("press")).verified
    told = await head(process, "gate")
    assert isinstance(told, ProblemDetail)
    assert told.code == "not_trusted"
    assert isinstance(await head(process, "press"), HeadTold)


async def test_gives_no_head_without_a_policy(site: AuditSite) -> None:
    site.policy.verified = None
    told = await head(site.notary(), "gate")
    assert isinstance(told, ProblemDetail)
    assert told.code == "not_ready"


async def test_a_bad_record_is_counted_and_covered_and_stops_nobody(site: AuditSite) -> None:
    process = await site.signed(10)
    site.broker.store([Message(f"audit.{SITE}.gate", b"no record")], "AUDIT", None, "")
    forged = site.writers.make(1)[0]
    site.broker.store([Message(f"audit.{SITE}.agent", forged.data)], "AUDIT", None, "")
    site.write(5)
    process._signed_at = 0
    await process.step()
    assert process.refusal == ""
    assert process.notary is not None
    expected = check_records(
        [(s.sequence - 1, s.subject.split(".")[2], s.data) for s in site.log.values()],
        process.notary.trusted,
    )
    assert {finding.kind for finding in expected} == {"malformed", "writer_mismatch"}
    assert signed(site)[-1].findings == len(expected)
    assert signed(site)[-1].root == root_of(site, 17)


async def test_new_writers_count_as_soon_as_the_policy_names_them(site: AuditSite) -> None:
    site.policy.verified = in_force(audit_policy("press", "agent")).verified
    process = await site.signed(1)
    assert signed(site)[-1].findings == 1
    site.policy.verified = in_force(audit_policy()).verified
    site.write(1)
    process._signed_at = 0
    await process.step()
    assert signed(site)[-1].findings == 1


async def test_takes_over_after_two_notaries_signed_in_turns_at_random(site: AuditSite) -> None:
    chance = random.Random(7)
    notaries = [site.notary("one"), site.notary("two")]
    for _ in range(60):
        site.write(chance.randrange(0, 5))
        for process in notaries:
            process._signed_at = 0
        working = chance.sample(notaries, chance.randrange(1, 3))
        await asyncio.gather(*(process.step() for process in working))
        if chance.random() < 0.2:
            index = chance.randrange(2)
            notaries[index] = site.notary(("one", "two")[index])
    assert [process.refusal for process in notaries] == ["", ""]
    sizes = [event.size for event in signed(site)]
    assert sizes == sorted(set(sizes))
    for event in signed(site):
        assert event.root == root_of(site, event.size)
    for process in notaries * 2:
        site.write(1)
        process._signed_at = 0
        await process.step()  # a conflict with the other one
        process._signed_at = 0
        await process.step()
        assert signed(site)[-1].size == len(site.log)


async def test_a_lost_answer_to_a_checkpoint_leads_to_no_second_one(site: AuditSite) -> None:
    process = await site.signed(3)
    site.write(3)
    process._signed_at = 0
    site.broker.lose_acks(3)
    await process.step()
    await process.step()
    assert process.refusal == ""
    assert [event.size for event in signed(site)] == [3, 6]


async def test_waits_for_a_broker_that_is_away(site: AuditSite) -> None:
    bus = site.broker.bus("notary")
    process = site.notary(bus=bus)
    site.write(3)
    bus.disconnect()
    await process.step()
    assert isinstance(await head(process, "gate"), ProblemDetail)
    bus.reconnect()
    await process.step()
    assert [event.size for event in signed(site)] == [3]


Attack: TypeAlias = Callable[[AuditSite], None]


def drop_first(site: AuditSite) -> None:
    del site.log[1]


def drop_in_the_middle(site: AuditSite) -> None:
    del site.log[8]


def drop_tail(site: AuditSite) -> None:
    site.replace(list(site.log.values())[:7])


def empty_and_new(site: AuditSite) -> None:
    site.broker.add_stream("AUDIT", ["audit.*.*"])


def created_again_with_the_same_records(site: AuditSite) -> None:
    site.replace(list(site.log.values()), created="another")


def gone(site: AuditSite) -> None:
    del site.broker.streams["AUDIT"]


RUNNING = [drop_first, drop_tail, empty_and_new, created_again_with_the_same_records, gone]


@pytest.mark.parametrize("attack", RUNNING)
async def test_a_running_notary_refuses_and_keeps_refusing(site: AuditSite, attack: Attack) -> None:
    process = await site.signed(10)
    attack(site)
    await process.step()
    assert process.refusal
    before = len(site.events())
    if "AUDIT" in site.broker.streams:
        site.write(300)
    await process.step()
    assert [type(event) for event in site.events()[1:]] == [CheckpointRefused]
    assert len(site.events()) == before
    told = await head(process, "gate")
    assert isinstance(told, ProblemDetail)
    assert told.code == "log_damaged"


def forked(site: AuditSite) -> None:
    site.replace(edited(site, 3))


def reordered(site: AuditSite) -> None:
    log = list(site.log.values())
    log[3], log[4] = log[4], log[3]
    site.replace(log)


def inserted(site: AuditSite) -> None:
    log = list(site.log.values())
    site.replace([*log[:5], log[2], *log[5:]])


# What a snapshot vouches for is not read again by the notary; `verify` does that.
WITH_SNAPSHOT = [drop_first, drop_tail, empty_and_new, created_again_with_the_same_records]
WITHOUT = [drop_first, drop_tail, empty_and_new, drop_in_the_middle, forked, reordered, inserted]


@pytest.mark.parametrize(
    ("attack", "with_snapshot"), [(one, True) for one in WITH_SNAPSHOT] + [(one, False) for one in WITHOUT]
)
async def test_a_restarted_notary_refuses(site: AuditSite, attack: Attack, with_snapshot: bool) -> None:
    await site.signed(10)
    if not with_snapshot:
        site.broker.add_stream("KV_snapshot-notary", ["$KV.snapshot-notary.>"], max_per_subject=1)
    attack(site)
    again = site.notary()
    for _ in range(2):
        await again.step()
        assert again.refusal
    assert [type(event) for event in site.events()[1:]] == [CheckpointRefused]
    assert site.events()[-1].note == site.events()[0].note


async def test_refuses_when_a_record_vanished_before_it_was_read(site: AuditSite) -> None:
    process = await site.signed(10)
    site.write(5)
    del site.log[12]
    await process.step()
    refused = site.events()[-1]
    assert isinstance(refused, CheckpointRefused)
    assert (refused.kind, refused.index) == ("stream_gap", 11)


async def test_refuses_when_the_checkpoints_went_back_behind_the_snapshot(site: AuditSite) -> None:
    process = await site.signed(10)
    site.write(10)
    process._signed_at = 0
    await process.step()
    await process.save()
    checkpoints = site.broker.stream("CHECKPOINTS")
    checkpoints.drop([2])
    checkpoints.last = 1
    again = site.notary("another-host")  # without the first one's high-water mark
    await again.step()
    assert "lost the checkpoint over 20 records" in again.refusal


async def test_refuses_when_everything_in_the_broker_was_made_anew(site: AuditSite) -> None:
    await site.signed(10)
    for name, subjects in (("AUDIT", "audit.*.*"), ("CHECKPOINTS", "checkpoint.*")):
        site.broker.add_stream(name, [subjects])
    site.broker.add_stream("KV_snapshot-notary", ["$KV.snapshot-notary.>"], max_per_subject=1)
    again = site.notary()
    await again.step()
    assert "CHECKPOINTS lost" in again.refusal
    assert signed(site) == []


async def test_refuses_when_the_checkpoints_went_back(site: AuditSite) -> None:
    process = await site.signed(10)
    site.write(10)
    process._signed_at = 0
    await process.step()
    checkpoints = site.broker.stream("CHECKPOINTS")
    checkpoints.drop([2])
    checkpoints.last = 1
    again = site.notary()
    await again.step()
    assert again.refusal


async def test_does_not_believe_a_checkpoint_of_a_stranger(site: AuditSite) -> None:
    await site.signed(10)
    stranger_site = AuditSite(site.folder / "other")
    other = stranger_site.notary()
    other.context = replace(other.context, signer=Signer("notary", stranger()))
    stranger_site.write(5)
    await other.step()
    forged = stranger_site.broker.stream("CHECKPOINTS").messages[1]
    site.broker.store([Message(forged.subject, forged.data)], "CHECKPOINTS", None, "")
    again = site.notary()
    await again.step()
    assert "not believed" in again.refusal


async def test_serves_an_auditor_through_kills_of_the_notary(site: AuditSite) -> None:
    auditor = Auditor(
        SITE,
        site.broker.bus("gate"),
        Signer("gate", key("gate")),
        Journal(site.folder / "journal", key("gate")),
        retry_seconds=0.01,
    )
    writing = asyncio.create_task(auditor.run())
    for round_number in range(5):
        running = asyncio.create_task(site.notary().run())
        await asyncio.gather(*(auditor.append("done", b"%d" % number) for number in range(20)))
        await until(lambda: signed(site))
        size = (round_number + 1) * 20
        await until(lambda size=size: signed(site)[-1].size == size)
        running.cancel()
        await asyncio.wait([running])
    writing.cancel()
    await asyncio.wait([writing])
    assert signed(site)[-1].findings == 0
    assert [event.root for event in signed(site)] == [root_of(site, event.size) for event in signed(site)]


async def test_a_long_backlog_is_signed_in_parts(site: AuditSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notary_process, "READ_RECORDS", 300)
    await site.signed(1000)
    assert [event.size for event in signed(site)] == [300, 600, 900]
