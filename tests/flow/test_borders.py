"""A process behind its border: everything that a bus promises goes through, and answers as in the open."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from plantops.events.envelope import Message
from plantops.flow.bus import Bus
from plantops.flow.declaration import ProcessSpec, Writes, snapshot_stream, snapshot_subject
from plantops.flow.jetstream import JetStreamBus
from plantops.flow.processor import Reads
from plantops.runtime.errors import BrokerError, Conflict, NobodyAnswers
from support.nats import Broker, StartBroker, until

SPECS = (
    ProcessSpec(
        "adapter",
        reads=(Reads("COMMANDS", ("cmd.demo.permitted.gate.*",), kind="effect"),),
        writes=(
            Writes("TAGS", ("tag.demo.plc1",)),
            Writes("COMMANDS", ("cmd.demo.claimed.adapter.*",)),
        ),
        asks=("twin.demo.observe",),
        audits=True,
    ),
    ProcessSpec("gate", writes=(Writes("COMMANDS", ("cmd.demo.*.gate.*",)),), asks=("twin.demo.observe",)),
    ProcessSpec(
        "twin",
        reads=(Reads("TAGS", ("tag.demo.*",)),),
        serves=("twin.demo.observe",),
        hears=("told.cmd.demo.*.gate.*",),
        snapshots=True,
    ),
    ProcessSpec("notary", account="AUDIT", reads=(Reads("AUDIT", (">",)),), serves=("head.demo.*",)),
)
Enter = Callable[[str], Awaitable[Bus]]


@pytest.fixture
async def enter(nats_server: StartBroker) -> AsyncIterator[Enter]:
    """Log in as one of the processes."""
    broker = await nats_server(SPECS, ["alice"])
    async with AsyncExitStack() as stack:

        async def log_in(name: str) -> Bus:
            return await stack.enter_async_context(login(broker, name))

        yield log_in


@asynccontextmanager
async def login(broker: Broker, name: str) -> AsyncIterator[Bus]:
    bus = await JetStreamBus.connect(broker.url, name, seed=broker.keys[name].seed)
    try:
        yield bus
    finally:
        await bus.close()


async def test_single_messages_and_batches_are_stored_fenced_and_looked_up(enter: Enter) -> None:
    gate = await enter("gate")
    own = "cmd.demo.*.gate.>"
    batch = [Message(f"cmd.demo.{event}.gate.c1", b"{}") for event in ("decided", "permitted")]
    last = await gate.publish_batch(batch, stream="COMMANDS", expected_last=0, expected_subject=own)
    with pytest.raises(Conflict):
        await gate.publish_batch(batch, stream="COMMANDS", expected_last=0, expected_subject=own)
    single = Message("cmd.demo.refused.gate.c2", b"{}")
    assert await gate.publish(single, stream="COMMANDS", expected_last=last, expected_subject=own) == last + 1
    with pytest.raises(Conflict):
        await gate.publish(single, stream="COMMANDS", expected_last=last, expected_subject=own)
    stored = await gate.last("COMMANDS", own)
    assert stored is not None
    assert (stored.sequence, stored.subject) == (last + 1, single.subject)
    first = await gate.get("COMMANDS", 1)
    assert first is not None
    assert first.subject == batch[0].subject
    assert await gate.get("COMMANDS", 99) is None
    state = await gate.state("COMMANDS")
    assert (state.first, state.last) == (1, 3)


async def test_a_fold_reads_rewinds_and_acknowledges(enter: Enter) -> None:
    adapter, twin = await enter("adapter"), await enter("twin")
    await adapter.publish_batch([Message("tag.demo.plc1", b"%d" % n) for n in range(300)], stream="TAGS")
    reader = await twin.reader("TAGS", "twin")
    taken = await reader.fetch(200, 5)
    taken += await reader.fetch(200, 5)
    assert [message.sequence for message in taken] == list(range(1, 301))
    await reader.reset(299)
    again = await reader.fetch(10, 5)
    assert [(message.sequence, message.delivery) for message in again] == [(299, 1), (300, 2)]
    await reader.ack(again[-1])
    assert await reader.fetch(10, 0.2) == []


async def test_a_fetch_that_waits_gets_what_comes_later(enter: Enter) -> None:
    adapter, twin = await enter("adapter"), await enter("twin")
    reader = await twin.reader("TAGS", "twin")
    assert await reader.fetch(10, 0.2) == []
    await adapter.publish(Message("tag.demo.plc1", b"later"), stream="TAGS")
    assert [message.data for message in await reader.fetch(10, 5)] == [b"later"]


async def test_an_effect_is_acknowledged_one_by_one(enter: Enter) -> None:
    adapter, gate = await enter("adapter"), await enter("gate")
    for command in ("c1", "c2"):
        await gate.publish(Message(f"cmd.demo.permitted.gate.{command}", b"{}"), stream="COMMANDS")
    reader = await adapter.reader("COMMANDS", "adapter")
    first, second = await reader.fetch(2, 5)
    await reader.in_progress(first)
    await reader.ack(second)
    await reader.ack(first)
    assert await reader.fetch(2, 0.2) == []


async def test_snapshots_are_written_by_compare_and_set(enter: Enter) -> None:
    twin = await enter("twin")
    stream, key = snapshot_stream("twin"), snapshot_subject("twin", "state")
    first = await twin.publish(Message(key, b"1"), stream=stream, expected_last=0)
    await twin.publish(Message(key, b"2"), stream=stream, expected_last=first)
    with pytest.raises(Conflict):
        await twin.publish(Message(key, b"3"), stream=stream, expected_last=first)
    stored = await twin.last(stream, key)
    assert stored is not None
    assert stored.data == b"2"


async def test_a_service_is_asked_over_the_border_and_an_absent_one_says_so_at_once(enter: Enter) -> None:
    gate, twin = await enter("gate"), await enter("twin")
    with pytest.raises(NobodyAnswers):
        await gate.request("twin.demo.observe", b"?", timeout=30)

    async def answer(message: Message) -> bytes:
        return b"seen " + message.data

    await twin.serve("twin.demo.observe", answer)

    async def is_answered() -> bool:
        try:
            return (await gate.request("twin.demo.observe", b"pump", timeout=5)).data == b"seen pump"
        except NobodyAnswers:
            return False

    await until(is_answered)


async def test_audit_records_arrive_and_the_notary_answers_for_them(enter: Enter) -> None:
    adapter, notary = await enter("adapter"), await enter("notary")
    batch = [Message("audit.demo.adapter", b"%d" % n) for n in range(3)]
    assert await adapter.publish_batch(batch, stream="AUDIT", expected_last=0) == 3
    with pytest.raises(Conflict):
        await adapter.publish_batch(batch, stream="AUDIT", expected_last=0)
    reader = await notary.reader("AUDIT", "notary")
    assert [message.data for message in await reader.fetch(10, 5)] == [b"0", b"1", b"2"]

    async def head(message: Message) -> bytes:
        return message.subject.encode()

    await notary.serve("head.demo.*", head)

    async def is_answered() -> bool:
        try:
            return (await adapter.request("head.demo.adapter", b"", timeout=5)).data == b"head.demo.adapter"
        except NobodyAnswers:
            return False

    await until(is_answered)


async def test_what_commands_has_stored_is_heard_without_a_consumer(enter: Enter) -> None:
    gate, twin = await enter("gate"), await enter("twin")
    heard: list[str] = []

    async def hear(message: Message) -> None:
        heard.append(message.subject)

    await twin.listen("told.cmd.demo.*.gate.*", hear)

    async def is_heard() -> bool:
        await gate.publish(Message("cmd.demo.refused.gate.c1", b"{}"), stream="COMMANDS")
        return bool(heard)

    await until(is_heard)
    assert set(heard) == {"told.cmd.demo.refused.gate.c1"}


async def test_a_missing_right_is_an_error_and_no_silence(enter: Enter) -> None:
    gate = await enter("gate")
    with pytest.raises(BrokerError, match="forbids"):
        await gate.publish(Message("tag.demo.plc1", b"{}"), stream="TAGS")
