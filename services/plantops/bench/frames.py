"""Frames published until they are visible in the twin: samples/s with nothing lost, and how late."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from plantops.bench.ceilings import nats_ceilings
from plantops.bench.figures import Bench, Figure, Load, Tell, figure, percentiles
from plantops.bench.ground import SOURCE, Ground, ground
from plantops.bench.machine import cpu_seconds
from plantops.bench.observer import ReaderSeen, TwinSeen, person, second_reader
from plantops.bench.progress import delays, rates
from plantops.bench.publisher import SAMPLES, Publisher, publisher, source_file
from plantops.events.base import TagName
from plantops.events.tags import TagFrame
from plantops.flow.signing import Signer
from plantops.ledger.keys import SigningKey
from plantops.runtime.errors import IntegrityError

TAGS = 2500
GOAL_SAMPLES = 500_000.0
GOAL_VISIBLE_MS = 100.0
WINDOW_FRAMES = 150
TURN_SECONDS = 0.01
LOOK_SECONDS = 0.005
DRAIN_SECONDS = 60.0


@dataclass(frozen=True)
class Scene:
    """One run: everything that takes part."""

    here: Ground
    made: Publisher
    twin: TwinSeen
    reader: ReaderSeen

    @property
    def in_flight(self) -> int:
        """Frames made that the twin was not seen to have."""
        return len(self.made.made_at) - self.twin.revision


@dataclass(frozen=True)
class Outcome:
    """What a run gave. `rates` are samples/s visible in the twin, second by second, without its first."""

    sustained: float
    rates: tuple[float, ...]
    delays: tuple[float, ...]
    cpu: dict[str, float]
    samples: int


@asynccontextmanager
async def _scene(load: Load) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        here = await enter(ground(source_file(max(SAMPLES, load.count(TAGS) // SAMPLES * SAMPLES))))
        reader = await enter(second_reader(here, prefix="bench."))
        twin = TwinSeen(await enter(person(here.site)), here.site.name, TagName("bench.c00000"))
        await twin.ready()
        made = await enter(publisher(here.site))
        yield Scene(here, made, twin, reader)


async def _steady(scene: Scene, until: float) -> None:
    """The goal's rate, by the clock."""
    begun, done = time.monotonic(), 0
    while (now := time.monotonic()) < until:
        due = int((now - begun) * GOAL_SAMPLES / SAMPLES) + 1
        # A reader that fell behind is not buried: what could not be sent in time lowers the rate.
        room = max(0, 10 * WINDOW_FRAMES - scene.in_flight)
        if (count := min(due - done, room)) > 0:
            scene.made.make(count)
        done = due
        await asyncio.sleep(TURN_SECONDS)


async def _full(scene: Scene, until: float) -> None:
    """As much as goes through with a bounded number of frames on their way."""
    while time.monotonic() < until:
        if (room := WINDOW_FRAMES - scene.in_flight) > 0:
            scene.made.make(room)
        await asyncio.sleep(TURN_SECONDS / 5)


async def _measure(scene: Scene, pace: Callable[[Scene, float], Awaitable[None]], seconds: float) -> Outcome:
    """Raises: IntegrityError when anything was lost: such a run is void."""
    pids = {
        "twin": scene.here.processes["twin"].pid,
        "reader": scene.reader.pid,
        "nats": scene.here.server.pid,
    }
    watching = asyncio.create_task(scene.twin.watch(LOOK_SECONDS))
    before = {name: cpu_seconds(pid) for name, pid in pids.items()}
    own = time.process_time()
    begun = time.monotonic()
    try:
        await pace(scene, begun + seconds)
        async with asyncio.timeout(DRAIN_SECONDS):
            while scene.in_flight > 0:
                if watching.done():
                    watching.result()
                await asyncio.sleep(LOOK_SECONDS)
        count = len(scene.made.made_at)
        await scene.reader.until(lambda totals: totals.position >= count, DRAIN_SECONDS)
    finally:
        watching.cancel()
        await asyncio.wait([watching])
    cpu = {name: cpu_seconds(pid) - before[name] for name, pid in pids.items()}
    cpu["publisher"] = time.process_time() - own
    await _check(scene)
    ended = scene.twin.revisions[-1][0]
    seen = scene.twin.revisions
    return Outcome(
        sustained=count * SAMPLES / (ended - begun),
        rates=rates(seen, begun, ended, each=SAMPLES),
        delays=delays(seen, scene.made.made_at),
        cpu=cpu,
        samples=count * SAMPLES,
    )


async def _check(scene: Scene) -> None:
    """Every counter in the twin is where the publisher left it, and the reader missed none.

    Raises: IntegrityError.
    """
    made, totals = scene.made, scene.reader.totals
    count = len(made.made_at)
    wrong = []
    if totals.lost or totals.out_of_order or totals.samples != count * SAMPLES:
        wrong.append(f"the reader counted {totals}")
    [source] = [each for each in (await scene.twin.listed()).sources if each.source == SOURCE]
    if (source.frames, source.samples, source.lost_samples) != (count, count * SAMPLES, 0) or made.breaks:
        wrong.append(f"the twin has {source}")
    position = {tag.name: index for index, tag in enumerate(made.definition.tags)}
    for offset in range(0, len(position), 1000):
        for tag in (await scene.twin.get(prefix="bench.", offset=offset, limit=1000)).tags:
            index = position[tag.tag]
            if tag.revision and tag.value not in (made.expected(index), str(made.expected(index))):
                wrong.append(f"{tag.tag} is {tag.value}, not {made.expected(index)}")
    if wrong:
        raise IntegrityError(f"{len(wrong)} differences after {count} frames, first: {'; '.join(wrong[:3])}")


async def run(load: Load, tell: Tell) -> list[Figure]:
    """Ceilings, a run at the goal's rate, and one as fast as it goes."""
    size = _frame_bytes()
    ceilings = await nats_ceilings(load, tell, size=size, samples=SAMPLES)
    lowest = min(ceilings[1:], key=lambda each: each.value)
    tell(f"at {GOAL_SAMPLES:,.0f} samples/s for {load.seconds:g} s")
    async with _scene(load) as scene:
        steady = await _measure(scene, _steady, load.seconds)
    tell(f"as fast as it goes for {load.seconds:g} s")
    async with _scene(load) as scene:
        full = await _measure(scene, _full, load.seconds)
    shown = "published -> visible"
    return [
        *ceilings,
        figure(
            "frames.steady",
            f"{shown} in the twin, at the goal's rate",
            steady.sustained,
            "samples/s",
            better="higher",
            note=f"{load.seconds:g} s, twin and second reader beside; {_cpu(steady)}",
        ),
        *percentiles(
            "frames.visible", f"{shown}, at the goal's rate", steady.delays, goals={99: GOAL_VISIBLE_MS}
        ),
        figure(
            "frames.sustained",
            f"{shown} in the twin, at most",
            full.sustained,
            "samples/s",
            better="higher",
            goal=GOAL_SAMPLES,
            ceiling=lowest,
            note=f"{load.seconds:g} s, 0 of {full.samples:,} lost, by counters; {_cpu(full)}",
        ),
        figure("frames.second", "the same, second by second", full.rates, "samples/s", better="higher"),
        *percentiles("frames.full_visible", f"{shown}, at most", full.delays),
    ]


def _cpu(outcome: Outcome) -> str:
    """CPU seconds per million samples, by process."""
    each = (f"{name} {1e6 * used / outcome.samples:.2f}" for name, used in sorted(outcome.cpu.items()))
    return f"CPU s per million samples: {', '.join(each)}"


def _frame_bytes() -> int:
    """The size of one message with its signature."""
    signer = Signer("adapter-bench", SigningKey.generate())
    frame = TagFrame(
        source=SOURCE,  # type: ignore[arg-type]  # only its length counts
        epoch=1,
        sequence=1,
        observed_at=time.time_ns(),
        layout="0" * 32,  # type: ignore[arg-type]
        columns=[],
    )
    return len(signer.frame_message("tag.demo.bench", frame).data) + SAMPLES * 12


BENCH = Bench("frames", "Frames: published until visible in the twin", run)
