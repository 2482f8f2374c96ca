"""A delegate has no tags: its health says whether it is there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from plantops.adapters.contract import Invoker
from plantops.events.frames import Sample
from plantops.runtime.errors import DeviceUnavailable, WriteRejected
from plantops.simulation.delegate.faults import Fault
from plantops.simulation.delegate.server import DelegateServer
from support.delegates import FLUSH, KEYS, PATIENCE_SECONDS, delegate


class Heard:
    """A sink that keeps what it is told."""

    def __init__(self) -> None:
        self.confirmed = 0
        self.lost_by: list[str] = []
        self.changed = asyncio.Event()

    def samples(self, samples: Sequence[Sample], observed_at: int) -> None:
        raise AssertionError("a delegate has no samples")

    def confirm(self, group: int, observed_at: int) -> None:
        assert group == 0
        self.confirmed += 1
        self.changed.set()

    def overflow(self, samples: int) -> None:
        raise AssertionError("nothing was too fast here")

    def lost(self, cause: str) -> None:
        self.lost_by.append(cause)
        self.changed.set()

    async def until_confirmed(self, times: int) -> None:
        while self.confirmed < times:
            self.changed.clear()
            await self.changed.wait()

    async def until_lost(self) -> None:
        while not self.lost_by:
            self.changed.clear()
            await self.changed.wait()


@pytest.fixture
async def server() -> AsyncIterator[DelegateServer]:
    async with asyncio.timeout(PATIENCE_SECONDS), DelegateServer(KEYS) as running:
        yield running


@pytest.fixture
async def connection(server: DelegateServer) -> AsyncIterator[Invoker]:
    made = delegate(server.url, period_ms=10)
    await made.connect()
    yield made
    await made.close()


async def test_a_delegate_is_confirmed_while_it_answers_and_lost_once_when_it_does_not(
    server: DelegateServer, connection: Invoker
) -> None:
    heard = Heard()
    await connection.subscribe(heard)
    await heard.until_confirmed(4)
    server.fault = Fault.SICK
    await heard.until_lost()
    confirmed, asked = heard.confirmed, len(server.requests)
    for _round in range(20):
        await asyncio.sleep(0)
    assert (heard.confirmed, len(server.requests), len(heard.lost_by)) == (confirmed, asked, 1)


async def test_a_delegate_that_is_at_work_is_not_asked_how_it_is(
    server: DelegateServer, connection: Invoker
) -> None:
    heard = Heard()
    await connection.subscribe(heard)
    server.fault = Fault.HANGING
    running = asyncio.create_task(connection.invoke(FLUSH, "c1", simulate=False))
    await server.arrived.wait()
    server.fault = Fault.SICK
    before = len(server.requests)
    # Longer than any period; a health request that was under way may still arrive.
    await asyncio.wait([running], timeout=0.1)
    assert len(server.requests) <= before + 1
    assert heard.lost_by == []
    server.release()
    assert (await running).state == "completed"
    await heard.until_lost()


async def test_a_delegate_has_no_tags_to_read_or_write(connection: Invoker) -> None:
    assert await connection.read([]) == []
    with pytest.raises(WriteRejected):
        connection.encode(0, 1.0)
    with pytest.raises(WriteRejected):
        await connection.write(0, 1.0)


async def test_nothing_is_read_or_watched_before_connecting(server: DelegateServer) -> None:
    fresh = delegate(server.url)
    with pytest.raises(DeviceUnavailable):
        await fresh.read([])
    with pytest.raises(DeviceUnavailable):
        await fresh.subscribe(Heard())
