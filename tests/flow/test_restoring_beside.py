"""A run that was replaced while it restored: what the new one is delivered is not moved by it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from plantops.flow.bus import Stored
from plantops.flow.memory import MemoryBroker, MemoryBus
from plantops.flow.memory_reader import MemoryReader
from plantops.runtime.errors import Fenced
from support.nats import until
from support.shell_plant import Dies, Plant, mortal


class Interrupted(MemoryBus):
    """Once, when `place` is reached, something else happens first."""

    def __init__(self, broker: MemoryBroker, place: str, meanwhile: Callable[[], Awaitable[None]]) -> None:
        super().__init__(broker, "counter")
        self._place, self._meanwhile = place, meanwhile

    async def reached(self, place: str) -> None:
        if place == self._place:
            self._place = ""
            await self._meanwhile()

    async def state(self, stream: str) -> Any:
        found = await super().state(stream)
        await self.reached("checked")
        return found

    async def history(self, stream: str, subject: str, start: int, limit: int) -> list[Stored]:
        found = await super().history(stream, subject, start, limit)
        await self.reached("own events read")
        return found


class Readers:
    """Who has had the broker deliver from elsewhere, and what happens when a reader fetches."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.resets: list[MemoryBus] = []
        reset, fetch = MemoryReader.reset, MemoryReader.fetch

        async def watched_reset(reader: MemoryReader, sequence: int) -> int:
            self.resets.append(reader._bus)
            return await reset(reader, sequence)

        async def watched_fetch(reader: MemoryReader, limit: int, timeout: float) -> list[Stored]:
            if isinstance(reader._bus, Interrupted):
                await reader._bus.reached("fetched")
            return await fetch(reader, limit, timeout)

        monkeypatch.setattr(MemoryReader, "reset", watched_reset)
        monkeypatch.setattr(MemoryReader, "fetch", watched_fetch)


@pytest.mark.parametrize("place", ["checked", "own events read", "fetched"])
async def test_a_run_that_was_replaced_moves_no_delivery(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant = Plant()
    await plant.feed(100)
    with pytest.raises(Dies):
        # Its answers are stored, and no snapshot covers them: the next run catches up with the inputs.
        await plant.end(mortal(plant, "stored", fetch_limit=60))
    readers = Readers(monkeypatch)
    async with AsyncExitStack() as stack:
        newer = plant.shell()
        at: list[int] = []

        async def taken_over() -> None:
            await stack.enter_async_context(plant.running(newer))
            await plant.feed(50, first=100)
            await until(lambda: plant.is_folded(newer))
            at.append(len(readers.resets))

        older_bus = Interrupted(plant.broker, place, taken_over)
        with pytest.raises(Fenced):
            async with asyncio.timeout(10):
                await plant.shell(older_bus).restore()
        assert at, "nobody took over: this place is not reached"
        assert older_bus not in readers.resets[at[0] :]
        await plant.feed(50, first=150)
        await until(lambda: plant.is_folded(newer))
        plant.check(newer)
