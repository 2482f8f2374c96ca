"""The faults that the in-memory broker plays on purpose."""

from __future__ import annotations

import asyncio

import pytest

from plantops.events.envelope import Message
from plantops.flow.memory import EPOCH_NS, MemoryBroker
from plantops.runtime.errors import BrokerUnavailable


def work() -> MemoryBroker:
    broker = MemoryBroker()
    broker.add_stream("WORK", ["work.>"])
    return broker


async def test_time_stands_still_until_it_is_advanced() -> None:
    broker = work()
    bus = broker.bus("a")
    await bus.publish(Message("work.a", b""), stream="WORK")
    broker.advance(1.5)
    await bus.publish(Message("work.a", b""), stream="WORK")
    times = [m.time_ns - EPOCH_NS for m in await bus.history("WORK", ">", 1, 9)]
    assert times == [0, 1_500_000_000]


async def test_a_lost_answer_is_repeated_without_storing_twice() -> None:
    broker = work()
    broker.lose_acks(2)
    bus = broker.bus("a")
    assert await bus.publish(Message("work.a", b""), stream="WORK", expected_last=0) == 1
    assert (await bus.state("WORK")).last == 1


async def test_a_batch_with_a_lost_answer_is_stored_and_unknown() -> None:
    broker = work()
    broker.lose_acks(1)
    bus = broker.bus("a")
    with pytest.raises(BrokerUnavailable):
        await bus.publish_batch([Message("work.a", b"")] * 2, stream="WORK")
    assert (await bus.state("WORK")).last == 2


async def test_a_disconnected_bus_fails_alone() -> None:
    broker = work()
    one, other = broker.bus("one"), broker.bus("other")
    one.disconnect()
    with pytest.raises(BrokerUnavailable):
        await one.state("WORK")
    await other.state("WORK")
    one.reconnect()
    await one.state("WORK")


async def test_a_paused_bus_hangs_until_it_is_resumed() -> None:
    bus = work().bus("a")
    bus.pause()
    waiting = asyncio.create_task(bus.state("WORK"))
    for _turn in range(10):
        await asyncio.sleep(0)
    assert not waiting.done()
    bus.resume()
    await waiting


async def test_an_effect_is_due_again_by_the_broker_s_clock() -> None:
    broker = work()
    broker.add_consumer("WORK", "worker", kind="effect", ack_wait_seconds=30)
    bus = broker.bus("a")
    await bus.publish(Message("work.a", b""), stream="WORK")
    reader = await bus.reader("WORK", "worker")
    assert len(await reader.fetch(9, 0.01)) == 1
    assert await reader.fetch(9, 0.01) == []
    broker.advance(31)
    assert len(await reader.fetch(9, 0.01)) == 1


async def test_a_message_id_is_forgotten_after_its_window() -> None:
    broker = work()
    bus = broker.bus("a")
    assert await bus.publish(Message("work.a", b""), stream="WORK", message_id="x") == 1
    broker.advance(121)
    assert await bus.publish(Message("work.a", b""), stream="WORK", message_id="x") == 2
