"""Frames published until they are committed in the archive's live file: rows/s, lag, memory, nothing lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from plantops.archive.specs import ARCHIVE
from plantops.bench.archive_ceiling import insert_ceiling
from plantops.bench.archive_seen import ArchiveSeen, archive_seen, check_counters, stopped
from plantops.bench.figures import Bench, Figure, Load, Tell, figure, percentiles
from plantops.bench.ground import Ground, ground
from plantops.bench.machine import cpu_seconds, resident_megabytes
from plantops.bench.observer import TwinSeen, person
from plantops.bench.progress import delays, rates
from plantops.bench.publisher import SAMPLES, Publisher, publisher, source_file
from plantops.events.base import TagName

TAGS = 2000
GOAL_ROWS = 300_000.0
# So many frames are on their way that the archive always has a whole commit waiting.
WINDOW_FRAMES = 1200
TURN_SECONDS = 0.01
LOOK_SECONDS = 0.1
IDLE_SECONDS = 10.0


@dataclass(frozen=True)
class Scene:
    """One run: everything that takes part."""

    here: Ground
    made: Publisher
    archive: ArchiveSeen
    idle_megabytes: float

    @property
    def in_flight(self) -> int:
        """Frames made that are not known to be committed."""
        return len(self.made.made_at) - self.archive.floor


@dataclass(frozen=True)
class Outcome:
    """What a run gave. `rates` are rows/s committed, second by second, without the first."""

    sustained: float
    rates: tuple[float, ...]
    lags: tuple[float, ...]
    cpu: dict[str, float]
    samples: int
    commit_rows: int
    idle_megabytes: float
    megabytes: float


Pace = Callable[[Scene, float], Awaitable[None]]


@asynccontextmanager
async def scene(load: Load, tags: int = TAGS) -> AsyncIterator[Scene]:
    """A site whose twin and archive run and are idle."""
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        source = source_file(max(SAMPLES, load.count(tags) // SAMPLES * SAMPLES))
        here = await enter(ground(source, names=("twin", ARCHIVE)))
        archive = await enter(archive_seen(here))
        twin = TwinSeen(await enter(person(here.site)), here.site.name, TagName("bench.c00000"))
        await twin.ready()
        await asyncio.sleep(load.bounded(IDLE_SECONDS))
        idle = resident_megabytes(archive.pid)[1]
        yield Scene(here, await enter(publisher(here.site)), archive, idle)


def steady(rows: float) -> Pace:
    """So many rows/s by the clock. What could not be sent in time, since too much waits, lowers the rate."""

    async def pace(scene: Scene, until: float) -> None:
        begun, done = time.monotonic(), 0
        while (now := time.monotonic()) < until:
            due = int((now - begun) * rows / SAMPLES) + 1
            room = max(0, 4 * WINDOW_FRAMES - scene.in_flight)
            if (count := min(due - done, room)) > 0:
                scene.made.make(count)
            done = due
            await asyncio.sleep(TURN_SECONDS)

    return pace


async def full(scene: Scene, until: float) -> None:
    """As much as goes through with a bounded number of frames on their way."""
    while time.monotonic() < until:
        if (room := WINDOW_FRAMES - scene.in_flight) > 0:
            scene.made.make(min(room, WINDOW_FRAMES // 10))
        await asyncio.sleep(TURN_SECONDS)


async def measured(scene: Scene, pace: Pace, seconds: float) -> Outcome:
    """Raises: IntegrityError when anything was lost: such a run is void."""
    archive, made = scene.archive, scene.made
    pids = {name: process.pid for name, process in scene.here.processes.items()}
    pids["nats"] = scene.here.server.pid
    watching = [asyncio.create_task(work) for work in (archive.watch(LOOK_SECONDS), archive.weigh())]
    before = {name: cpu_seconds(pid) for name, pid in pids.items()}
    own, begun = time.process_time(), time.monotonic()
    try:
        await pace(scene, begun + seconds)
        await archive.until(len(made.made_at))
    finally:
        for task in watching:
            task.cancel()
        await asyncio.wait(watching)
    cpu = {name: cpu_seconds(pid) - before[name] for name, pid in pids.items()}
    cpu["publisher"] = time.process_time() - own
    samples = await asyncio.to_thread(check_counters, await stopped(scene.here), len(made.made_at))
    ended = archive.floors[-1][0]
    return Outcome(
        sustained=samples / (ended - begun),
        rates=rates(archive.floors, begun, ended, each=SAMPLES),
        lags=delays(archive.floors, made.made_at),
        cpu=cpu,
        samples=samples,
        commit_rows=samples // archive.commits,
        idle_megabytes=scene.idle_megabytes,
        megabytes=max(archive.megabytes),
    )


async def run(load: Load, tell: Tell) -> list[Figure]:
    """A run at the goal's rate, one as fast as it goes, and bare inserts of its commit size."""
    tell(f"at {GOAL_ROWS:,.0f} rows/s for {load.seconds:g} s")
    async with scene(load) as here:
        at_goal = await measured(here, steady(GOAL_ROWS), load.seconds)
    tell(f"as fast as it goes for {load.seconds:g} s")
    async with scene(load) as here:
        most = await measured(here, full, load.seconds)
    ceiling = await insert_ceiling(load, tell, most.commit_rows)
    shown = "published -> committed"
    return [
        ceiling,
        figure(
            "archive.steady",
            f"{shown}, at the goal's rate",
            at_goal.sustained,
            "rows/s",
            better="higher",
            note=f"{load.seconds:g} s and until the last commit, twin beside; {_cpu(at_goal)}",
        ),
        *percentiles("archive.lag", f"{shown}, at the goal's rate", at_goal.lags),
        figure(
            "archive.sustained",
            f"{shown}, at most",
            most.sustained,
            "rows/s",
            better="higher",
            goal=GOAL_ROWS,
            ceiling=ceiling,
            note=f"{load.seconds:g} s and until the last commit, 0 of {most.samples:,} lost or twice, by "
            f"counters in the file; {most.commit_rows:,} rows a commit; {_cpu(most)}",
        ),
        figure("archive.second", "the same, second by second", most.rates, "rows/s", better="higher"),
        *percentiles("archive.full_lag", f"{shown}, at most", most.lags),
        figure("archive.memory.idle", "archive's PSS, idle", at_goal.idle_megabytes, "MB", better="lower"),
        figure(
            "archive.memory.busy",
            "archive's PSS, highest at the goal's rate",
            at_goal.megabytes,
            "MB",
            better="lower",
        ),
    ]


def _cpu(outcome: Outcome) -> str:
    """CPU seconds per million rows, by process."""
    each = (f"{name} {1e6 * used / outcome.samples:.2f}" for name, used in sorted(outcome.cpu.items()))
    return f"CPU s per million rows: {', '.join(each)}"


BENCH = Bench("archive", "Archive: published until committed", run)
