"""How old the served snapshot is for who opens it, while samples arrive and somebody asks all the time."""

from __future__ import annotations

import asyncio
import time
from asyncio import StreamReader
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import msgspec

from plantops.archive.place import SERVED_FILE
from plantops.archive.specs import ARCHIVE
from plantops.bench.archive_reader import Turn
from plantops.bench.archive_seen import ArchiveSeen, archive_seen
from plantops.bench.figures import Bench, Figure, Load, Tell, figure, percentile
from plantops.bench.ground import child, ground
from plantops.bench.publisher import SAMPLES, Publisher, publisher, source_file
from plantops.runtime.errors import BrokerUnavailable, IntegrityError

TAGS = 2000
ROWS = 20_000
GOAL_AGE_SECONDS = 7.0
# Some ten snapshots, so that a percentile means something.
SNAPSHOTS_FACTOR = 3.0
PATIENCE_SECONDS = 60.0


@dataclass
class Readings:
    """What the reader's process told, from the first sample it saw."""

    turns: list[Turn] = field(default_factory=list)
    written: list[float] = field(default_factory=list)

    async def follow(self, lines: StreamReader) -> None:
        """Read its lines to the end."""
        while line := await lines.readline():
            told = msgspec.json.decode(line, type=Turn)
            if self.turns or told.age_seconds >= 0:
                self.turns.append(told)

    async def weigh(self, archive: ArchiveSeen) -> None:
        """How long each snapshot took to write, until cancelled."""
        last = 0.0
        while True:
            condition = archive.condition()
            if condition is not None and condition.served_at > last:
                last = condition.served_at
                self.written.append(condition.served_seconds)
            await asyncio.sleep(0.5)

    async def begun(self) -> None:
        """The snapshot with the first samples was read. Raises: BrokerUnavailable."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not self.turns:  # noqa: ASYNC110 - another process tells it
                    await asyncio.sleep(0.1)
        except TimeoutError as error:
            raise BrokerUnavailable("no snapshot with samples was served: see the archive's log") from error


async def _arrive(made: Publisher) -> None:
    """`ROWS` a second by the clock, until cancelled."""
    begun, done = time.monotonic(), 0
    while True:
        due = int((time.monotonic() - begun) * ROWS / SAMPLES) + 1
        made.make(due - done)
        done = due
        await asyncio.sleep(SAMPLES / ROWS)


async def _read(load: Load, tell: Tell) -> Readings:
    readings = Readings()
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        here = await enter(ground(source_file(max(SAMPLES, load.count(TAGS))), names=("twin", ARCHIVE)))
        archive = await enter(archive_seen(here))
        made = await enter(publisher(here.site))
        words = ["plantops.bench.archive_reader", str(archive.state / SERVED_FILE)]
        reader = await enter(child(words, here.site.folder.logs / "archive-reader.log", pipe=True))
        assert reader.stdout is not None
        tasks = [
            asyncio.create_task(work)
            for work in (_arrive(made), readings.follow(reader.stdout), readings.weigh(archive))
        ]
        try:
            tell("waiting for the first snapshot")
            await readings.begun()
            seconds = SNAPSHOTS_FACTOR * load.seconds
            tell(f"reading for {seconds:g} s")
            readings.turns.clear()
            await asyncio.sleep(seconds)
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
    if not readings.turns:
        raise IntegrityError("the reader told nothing: see archive-reader.log")
    return readings


async def run(load: Load, tell: Tell) -> list[Figure]:
    """One run; errors are told with the first of them."""
    readings = await _read(load, tell)
    ages = [told.age_seconds for told in readings.turns if not told.error]
    errors = [told.error for told in readings.turns if told.error]
    queries = sum(told.queries for told in readings.turns)
    note = f"{ROWS:,} rows/s arrive; opened {len(readings.turns)} times, {queries:,} queries back to back"
    said = f"first: {errors[0]}" if errors else note
    if not ages:
        raise IntegrityError(f"no query was answered: {said}")
    slowest = max(told.slowest_seconds for told in readings.turns)
    written = readings.written or [0.0]
    return [
        *(
            figure(
                f"served.age.p{share}",
                f"age of the served snapshot at a reader, p{share}",
                percentile(ages, share / 100),
                "s",
                better="lower",
                goal=GOAL_AGE_SECONDS if share == 95 else None,
                note=note,
            )
            for share in (50, 95, 99)
        ),
        figure(
            "served.errors", "query errors", float(len(errors)), "errors", better="lower", goal=0, note=said
        ),
        figure("served.slowest", "slowest query", 1000 * slowest, "ms", better="lower"),
        figure(
            "served.written",
            "writing a snapshot, longest",
            max(written),
            "s",
            better="lower",
            note=f"{len(readings.written)} seen, roll-ups before it included",
        ),
    ]


BENCH = Bench("served", "Archive: age of the served snapshot", run)
