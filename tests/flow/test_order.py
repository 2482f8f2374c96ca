"""A fact that must not be decided without what another input has already waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from plantops.flow.bus import Stored
from plantops.flow.memory_reader import MemoryReader
from plantops.flow.processor import Fact, Recorded
from support.counter import Counter, Tally
from support.nats import until
from support.shell_plant import Plant

AWAITED = "source.demo.a.up"


class Patient(Counter):
    """Folds what comes on EXTRA behind what SOURCES holds already, and remembers in which order."""

    awaiting = "EXTRA"

    def __init__(self, awaited: str = AWAITED) -> None:
        super().__init__()
        self.subject = awaited
        self.order: list[str] = []

    def awaited(self, fact: Fact) -> Sequence[tuple[str, str]]:
        return (("SOURCES", self.subject),)

    def evolve(self, state: Tally, recorded: Recorded) -> Tally:
        self.order.append(recorded.stream)
        return super().evolve(state, recorded)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """As long as it is not set, nothing of SOURCES is delivered."""
    released = asyncio.Event()
    fetch = MemoryReader.fetch

    async def late(self: MemoryReader, limit: int, timeout: float) -> list[Stored]:
        if self._stream == "SOURCES":
            await released.wait()
        return await fetch(self, limit, timeout)

    monkeypatch.setattr(MemoryReader, "fetch", late)
    return released


async def test_a_fact_is_folded_behind_what_it_awaits_on_an_input_that_is_late(held: asyncio.Event) -> None:
    patient = Patient()
    plant = Plant(patient)
    await plant.feed(2)  # the first on EXTRA, the second on SOURCES
    bus = plant.broker.bus("counter")
    shell = plant.shell(bus)
    looked: list[str] = []
    last = bus.last

    async def look(stream: str, subject: str) -> Stored | None:
        looked.append(subject)
        return await last(stream, subject)

    bus.last = look  # type: ignore[method-assign]
    async with plant.running(shell):
        await until(lambda: AWAITED in looked or shell.positions["EXTRA"] == 1)
        assert shell.positions == {"SOURCES": 0, "EXTRA": 0}
        held.set()
        await until(lambda: plant.is_folded(shell))
    assert patient.order[-2:] == ["SOURCES", "EXTRA"]


async def test_a_fact_waits_for_nothing_that_is_not_there(held: asyncio.Event) -> None:
    patient = Patient("source.demo.other.up")
    plant = Plant(patient)
    await plant.feed(2)
    shell = plant.shell()
    async with plant.running(shell):
        await until(lambda: shell.positions["EXTRA"] == 1)
        assert shell.positions["SOURCES"] == 0
        held.set()
        await until(lambda: plant.is_folded(shell))
