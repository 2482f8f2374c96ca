"""A process's own events reach the audit, each of them, also through an outage and a crash."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from plantops.events.base import CommandId, SiteName
from plantops.events.commands import CommandExpired
from plantops.flow.audited import audit_own_events, keep_auditing
from plantops.flow.auditing import Auditor
from plantops.flow.context import Context
from plantops.flow.journal import Journal
from plantops.flow.memory import MemoryBroker, MemoryBus
from plantops.flow.processor import Reads
from plantops.flow.signing import Signer
from plantops.policy.in_force import InForce
from plantops.runtime.errors import IntegrityError
from support.audit_log import SITE, audit_broker, findings, records, serve_heads
from support.nats import until
from support.plant_samples import PLANT, POLICY, ROOT, key, signed

GATE = Signer("gate", key("gate"))
TRUSTED = {"gate": {GATE.key.keyid: GATE.key.public}}
OWN = Reads("COMMANDS", (f"cmd.{SITE}.*.gate.*",), kind="effect", name="audit")
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def broker() -> MemoryBroker:
    broker = audit_broker()
    broker.add_stream("COMMANDS", ["cmd.*.*.*.*"])
    broker.add_consumer("COMMANDS", "gate-audit", OWN.subjects, kind="effect", ack_wait_seconds=30)
    return broker


@pytest.fixture
def bus(broker: MemoryBroker) -> MemoryBus:
    return broker.bus("gate")


@pytest.fixture
def context(bus: MemoryBus, tmp_path: Path) -> Context:
    policy = InForce(ROOT, SITE)
    policy.offer(signed(POLICY), AT)
    journal = Journal(tmp_path / "audit.journal", GATE.key)
    auditor = Auditor(SITE, bus, GATE, journal, now=lambda: AT, patience_seconds=0.05, retry_seconds=0.01)
    return Context(SiteName(SITE), "gate", bus, GATE, policy, PLANT, tmp_path, auditor, lambda: AT)


@asynccontextmanager
async def auditing(context: Context) -> AsyncIterator[None]:
    assert context.auditor is not None
    tasks = [
        asyncio.create_task(context.auditor.run()),
        asyncio.create_task(audit_own_events(context, OWN)),
    ]
    try:
        yield
        assert not any(task.done() for task in tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def say(broker: MemoryBroker, number: int, signer: Signer = GATE) -> None:
    event = CommandExpired(site=SiteName(SITE), command=CommandId(f"c{number}"), waiting_for="approval")
    subject = f"cmd.{SITE}.expired.gate.c{number}"
    broker.store([signer.message(subject, event, id=f"{number}", time=AT)], "COMMANDS", None, "")


def commands(broker: MemoryBroker) -> list[str]:
    return [record.command for record in records(broker, TRUSTED)]


async def test_each_own_event_becomes_a_record_with_its_exact_bytes(
    broker: MemoryBroker, context: Context
) -> None:
    await serve_heads(broker, TRUSTED)
    for number in range(600):
        say(broker, number)
    async with auditing(context):
        await until(lambda: broker.stream("AUDIT").last == 600)
        await until(lambda: not broker.stream("COMMANDS").consumers["gate-audit"].waiting)
    assert commands(broker) == [f"c{number}" for number in range(600)]
    assert findings(broker, TRUSTED) == []
    first = records(broker, TRUSTED)[0]
    assert (first.kind, bytes(first.body)) == ("command.expired", broker.stream("COMMANDS").messages[1].data)


async def test_without_audit_nothing_is_acknowledged_and_nothing_recorded_twice(
    broker: MemoryBroker, context: Context
) -> None:
    for number in range(3):
        say(broker, number)
    async with auditing(context):
        await until(lambda: context.auditor is not None and context.auditor.is_away)
        assert len(broker.stream("COMMANDS").consumers["gate-audit"].waiting) == 3
        await serve_heads(broker, TRUSTED)
        await until(lambda: not broker.stream("COMMANDS").consumers["gate-audit"].waiting)
    assert commands(broker) == ["c0", "c1", "c2"]


async def test_what_was_not_acknowledged_comes_again_after_a_crash(
    broker: MemoryBroker, context: Context
) -> None:
    say(broker, 0)
    async with auditing(context):
        await until(lambda: context.auditor is not None and context.auditor.is_away)
    await serve_heads(broker, TRUSTED)
    broker.advance(31)
    async with auditing(context):
        await until(lambda: not broker.stream("COMMANDS").consumers["gate-audit"].waiting)
    assert set(commands(broker)) == {"c0"}
    assert findings(broker, TRUSTED) == []


async def test_what_somebody_else_said_on_our_subject_is_recorded_as_that(
    broker: MemoryBroker, context: Context
) -> None:
    await serve_heads(broker, TRUSTED)
    say(broker, 0, Signer("gate", key("stranger")))
    say(broker, 1)
    async with auditing(context):
        await until(lambda: broker.stream("AUDIT").last == 2)
    assert [record.kind for record in records(broker, TRUSTED)] == ["event.unusable", "command.expired"]


async def test_a_process_outlives_its_audit_and_is_refused_what_needs_a_record(
    broker: MemoryBroker, context: Context
) -> None:
    await serve_heads(broker, TRUSTED)
    assert context.auditor is not None
    context.auditor.journal.path.write_bytes(b"not an entry\n")
    task = asyncio.create_task(keep_auditing(context, OWN))
    say(broker, 1)
    with pytest.raises(IntegrityError):
        await context.auditor.store("command.expired", b"{}")
    with pytest.raises(IntegrityError):
        await context.auditor.append("command.claimed", b"{}")
    assert not await context.auditor.append_or_journal("command.claimed", b"{}")
    assert not task.done()
    assert not records(broker, TRUSTED)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_ends_the_work_for_another_reason_still_ends_the_process(
    broker: MemoryBroker, context: Context
) -> None:
    await serve_heads(broker, TRUSTED)
    del broker.streams["COMMANDS"]
    with pytest.raises(ExceptionGroup):
        await keep_auditing(context, OWN)
