"""Effect workers do each effect at least once, a bounded number at a time."""

from __future__ import annotations

import asyncio

import pytest

from plantops.events.envelope import Message
from plantops.flow.bus import Stored
from plantops.flow.memory import MemoryBroker
from plantops.flow.worker import run_worker
from plantops.runtime.errors import BrokerUnavailable, Refused
from support.nats import until


def orders(count: int) -> MemoryBroker:
    broker = MemoryBroker()
    broker.add_stream("WORK", ["work.>"])
    broker.add_consumer("WORK", "worker", kind="effect", ack_wait_seconds=30)
    broker.store([Message("work.a", str(n).encode()) for n in range(count)], "WORK", None, "")
    return broker


async def test_does_every_effect_once_and_acknowledges_it() -> None:
    broker, done = orders(20), list[bytes]()

    async def effect(stored: Stored) -> None:
        done.append(stored.data)

    task = asyncio.create_task(run_worker(await broker.bus("w").reader("WORK", "worker"), effect))
    await until(lambda: len(done) == 20)
    broker.advance(60)
    await until(lambda: not broker.streams["WORK"].consumers["worker"].waiting)
    task.cancel()
    await asyncio.wait([task])
    assert sorted(done) == sorted(str(n).encode() for n in range(20))


async def test_holds_to_its_bound() -> None:
    broker, gate = orders(10), asyncio.Event()
    at_work, most, done = 0, 0, 0

    async def effect(stored: Stored) -> None:
        nonlocal at_work, most, done
        at_work += 1
        most = max(most, at_work)
        await gate.wait()
        at_work -= 1
        done += 1

    reader = await broker.bus("w").reader("WORK", "worker")
    task = asyncio.create_task(run_worker(reader, effect, concurrency=3))
    await until(lambda: at_work == 3)
    gate.set()
    await until(lambda: done == 10)
    task.cancel()
    await asyncio.wait([task])
    assert most == 3


async def test_an_effect_that_failed_for_now_is_done_again() -> None:
    broker, tries = orders(1), list[int]()

    async def effect(stored: Stored) -> None:
        tries.append(stored.sequence)
        if len(tries) == 1:
            raise BrokerUnavailable("not now")

    task = asyncio.create_task(run_worker(await broker.bus("w").reader("WORK", "worker"), effect))
    await until(lambda: len(tries) == 1)
    broker.advance(31)
    await until(lambda: len(tries) == 2)
    task.cancel()
    await asyncio.wait([task])


async def test_a_long_effect_is_not_given_to_another_worker() -> None:
    broker, gate, begun = orders(1), asyncio.Event(), list[str]()

    async def effect(stored: Stored) -> None:
        begun.append(stored.subject)
        await gate.wait()

    tasks = [
        asyncio.create_task(
            run_worker(await broker.bus("w").reader("WORK", "worker"), effect, heartbeat_seconds=0.01)
        )
        for _worker in range(2)
    ]
    waiting = broker.streams["WORK"].consumers["worker"].waiting
    await until(lambda: begun)
    for _turn in range(4):
        before = waiting[1]
        broker.advance(20)
        await until(lambda before=before: waiting[1] > before)
    assert len(begun) == 1
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_an_error_for_good_ends_the_worker() -> None:
    broker = orders(1)

    async def effect(stored: Stored) -> None:
        raise Refused("no", reason="broken")

    with pytest.raises(Refused):
        await run_worker(await broker.bus("w").reader("WORK", "worker"), effect)
