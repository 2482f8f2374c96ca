"""An archive made again from the streams, by the code that makes the live one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeAlias

from plantops.archive.batch import Position
from plantops.archive.intake import Intake
from plantops.archive.projection import projections
from plantops.archive.rolling import Roller
from plantops.archive.series import known_series
from plantops.archive.specs import AUDIT_STREAMS, PLANT_STREAMS
from plantops.archive.store import Store
from plantops.archive.writer import Writer
from plantops.events.base import to_nanoseconds
from plantops.flow.bus import Bus
from plantops.flow.processor import Reads
from plantops.policy.in_force import InForce
from plantops.runtime.errors import IntegrityError

COMMIT_SECONDS: Final = 0.2
_TELL_SECONDS: Final = 0.2

Progress: TypeAlias = Callable[[int, int], None]
"""Messages taken, and how many there are."""


@dataclass(frozen=True, slots=True)
class Login:
    """Whose durable consumers are read: a name, its connection, and the streams that it may read."""

    name: str
    bus: Bus
    streams: Sequence[Reads]


@dataclass(frozen=True, slots=True)
class Extent:
    """What is replayed of a stream: `first` to `last`, both included; nothing when `last` < `first`."""

    first: int
    last: int

    @property
    def size(self) -> int:
        return max(0, self.last - self.first + 1)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which part of the log: messages that the broker stored from `since` (included) to `until` (excluded),
    of `streams` (empty: of all)."""

    since: datetime | None = None
    until: datetime | None = None
    streams: frozenset[str] = frozenset()


def plant_and_audit(names: tuple[str, str], plant: Bus, audit: Bus) -> tuple[Login, Login]:
    """The two logins of one reader."""
    return Login(names[0], plant, PLANT_STREAMS), Login(names[1], audit, AUDIT_STREAMS)


async def replay(
    store: Store,
    logins: tuple[Login, Login],
    trust: InForce,
    *,
    site: str,
    wanted: Wanted | None = None,
    progress: Progress | None = None,
) -> dict[str, Extent]:
    """Fold what the streams hold now into `store`, which may hold the beginning already.

    Gives what was replayed, by stream. Nobody else may use these logins meanwhile. Raises: IntegrityError
    when a stream changed under it; BrokerError; StorageFull is waited for.
    """
    wanted = wanted or Wanted()
    made = projections(logins[0].bus, logins[1].bus, trust, known_series(store), site=site)
    positions = store.positions()
    extents: dict[str, Extent] = {}
    intakes: list[Intake] = []
    for login in logins:
        for reads in login.streams:
            if wanted.streams and reads.stream not in wanted.streams:
                continue
            before = positions.get(reads.stream)
            extent = await _extent(login.bus, reads.stream, before, wanted)
            extents[reads.stream] = extent
            if extent.size:
                start = before or (Position(extent.first - 1, "", 0) if wanted.since else None)
                intakes.append(
                    Intake(login.name, reads, login.bus, made(reads.stream), start, until=extent.last)
                )
    await _fold(store, intakes, sum(extent.size for extent in extents.values()), progress)
    return extents


async def _fold(store: Store, intakes: Sequence[Intake], total: int, progress: Progress | None) -> None:
    writer = Writer(store, Roller(store), intakes, commit_seconds=COMMIT_SECONDS)
    starts = {intake.stream: intake.position for intake in intakes}

    def tell() -> None:
        if progress is not None:
            progress(sum(intake.position - starts[intake.stream] for intake in intakes), total)

    await writer.roll()
    async with _beside(writer.run()), _beside(_telling(tell)):
        async with asyncio.TaskGroup() as group:
            for intake in intakes:
                group.create_task(_to_its_end(intake, writer.more))
        await writer.commit()
    await writer.roll()
    tell()


async def _to_its_end(intake: Intake, more: asyncio.Event) -> None:
    """Raises: IntegrityError when the stream is followed no more."""
    work = asyncio.create_task(intake.run(more))
    try:
        while not work.done():
            await asyncio.wait([work], timeout=_TELL_SECONDS)
            if intake.halted:
                raise IntegrityError(intake.halted, path=intake.stream)
        await work
    finally:
        work.cancel()


async def _telling(tell: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(_TELL_SECONDS)
        tell()


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _extent(bus: Bus, stream: str, before: Position | None, wanted: Wanted) -> Extent:
    state = await bus.state(stream)
    first = before.sequence + 1 if before else 1
    last = state.last
    if wanted.since is not None:
        first = max(first, await first_at(bus, stream, state.first, last, to_nanoseconds(wanted.since)))
    if wanted.until is not None:
        last = await first_at(bus, stream, state.first, last, to_nanoseconds(wanted.until)) - 1
    return Extent(first, last)


async def first_at(bus: Bus, stream: str, first: int, last: int, time_ns: int) -> int:
    """The first sequence in `first`..`last` that the broker stored at `time_ns` or later, else `last` + 1.

    A missing message counts as stored with the next one that is there. Looks at log2 of them.
    """
    while first <= last:
        middle = (first + last) // 2
        found = await bus.get(stream, middle)
        probe = middle
        while found is None and probe < last:
            probe += 1
            found = await bus.get(stream, probe)
        if found is None or found.time_ns >= time_ns:
            last = middle - 1
        else:
            first = probe + 1
    return first
