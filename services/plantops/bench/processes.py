"""Which processes share an event loop: what each grouping of the demo site takes, and how it answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from plantops.bench.commands import medium
from plantops.bench.demo import settled
from plantops.bench.figures import Bench, Figure, Load, Tell, figure, percentile
from plantops.bench.grouped import Grouped, grouped_site
from plantops.bench.machine import cpu_seconds, resident_megabytes
from plantops.bench.observer import TwinSeen
from plantops.bench.progress import delays
from plantops.bench.publisher import SAMPLES, Publisher, publisher, source_file
from plantops.deployment.broker import connect
from plantops.events import subjects
from plantops.events.base import TagName, encode_json
from plantops.events.queries import CommandsAsked
from plantops.flow.bus import Bus
from plantops.runtime.nkey import NKey

COMMANDS = 20
IDLE_SECONDS = 10.0
ROWS = 100_000
LOOK_SECONDS = 0.01
DRAIN_SECONDS = 60.0
# Each grouping starts a site of its own: a tiny load has no time for all of them.
ALL_FROM_SIZE = 0.2
GATE: Sequence[str] = ("gate", "timer")
# From one process each to one for all; `None` is what `plantops init` writes.
GROUPINGS: Mapping[str, tuple[str, Mapping[str, Sequence[str]] | None]] = {
    "alone": ("each alone", {}),
    "shipped": ("as shipped", None),
    "field": (
        "field and twin together",
        {"field": ("adapter-*", "twin"), "gate": GATE},
    ),
    "unarchived": ("all but the archive together", {"plant": ("adapter-*", "twin", *GATE, "notary")}),
    "one": ("all in one", {"one": ("*",)}),
}


@dataclass
class Answers:
    """Seconds by what was waited for."""

    commands: list[float] = field(default_factory=list)
    gate: list[float] = field(default_factory=list)
    visible: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    """What one grouping gave; `percent` is of one core, without the broker and the simulated plant."""

    processes: int
    megabytes: float
    percent: float
    idle: Answers
    loaded: Answers


async def _idle(desk: Grouped, seconds: float) -> float:
    """Percent of a core that all processes use when only the two devices change."""
    pids = [process.pid for process in desk.processes.values()]
    before, begun = sum(map(cpu_seconds, pids)), time.monotonic()
    await asyncio.sleep(seconds)
    return 100 * (sum(map(cpu_seconds, pids)) - before) / (time.monotonic() - begun)


async def _commanded(desk: Grouped, audit: Bus, first: int, count: int, into: list[float]) -> None:
    for number in range(first, first + count):
        course, _event = await medium(desk, audit, number)
        into.append(course.seconds)
        await settled(desk, DRAIN_SECONDS)


async def _asking(desk: Grouped, into: list[float]) -> None:
    """How long the gate takes to answer a question, until cancelled: what stops its loop shows here."""
    subject = subjects.service("command", desk.site.name, "list")
    question = encode_json(CommandsAsked(limit=1))
    while True:
        begun = time.perf_counter()
        await desk.bus.request(subject, question, timeout=30.0)
        into.append(time.perf_counter() - begun)
        await asyncio.sleep(LOOK_SECONDS)


async def _arriving(made: Publisher) -> None:
    """`ROWS` a second by the clock, until cancelled."""
    begun, done = time.monotonic(), 0
    while True:
        due = int((time.monotonic() - begun) * ROWS / SAMPLES) + 1
        made.make(due - done)
        done = due
        await asyncio.sleep(SAMPLES / ROWS)


async def _watching(twin: TwinSeen, seen: list[tuple[float, int]]) -> None:
    """The count of frames that the twin shows, until cancelled: its tag is in every frame."""
    while True:
        tags = (await twin.get()).tags
        if tags:  # none before the first definition
            seen.append((time.monotonic(), int(tags[0].value or 0)))
        await asyncio.sleep(LOOK_SECONDS)


@asynccontextmanager
async def _beside(*works: asyncio.Task[None]) -> AsyncIterator[None]:
    """They work meanwhile; what one of them raises is raised here."""
    try:
        yield
        for work in works:
            if work.done():
                work.result()
    finally:
        for work in works:
            work.cancel()
        await asyncio.wait(works)


async def _loaded(desk: Grouped, audit: Bus, load: Load) -> Answers:
    """Commands one after the other while `ROWS` samples a second arrive."""
    told, seen = Answers(), list[tuple[float, int]]()
    twin = TwinSeen(desk.bus, desk.site.name, TagName("bench.c00000"))
    async with publisher(desk.site) as made:
        works = [_arriving(made), _asking(desk, told.gate), _watching(twin, seen)]
        async with _beside(*map(asyncio.create_task, works)):
            begun, number = time.monotonic(), 0
            while not number or time.monotonic() - begun < load.seconds:
                await _commanded(desk, audit, number, 1, told.commands)
                number += 1
        count = len(made.made_at)
        async with asyncio.timeout(DRAIN_SECONDS):
            watching = asyncio.create_task(_watching(twin, seen))
            async with _beside(watching):
                while not seen or seen[-1][1] < count:  # noqa: ASYNC110 - another process
                    await asyncio.sleep(LOOK_SECONDS)
        told.visible += delays(seen, made.made_at)
    return told


async def _measured(groups: Mapping[str, Sequence[str]] | None, load: Load) -> Outcome:
    async with AsyncExitStack() as stack:
        desk = await stack.enter_async_context(grouped_site(source_file(SAMPLES), groups))
        login = NKey.load(desk.site.folder.identity("auditor").login)
        audit = await connect(desk.site, "auditor", login)
        stack.push_async_callback(audit.close)
        idle = Answers()
        await _commanded(desk, audit, 0, 1, [])  # the first one makes what the others find made
        percent = await _idle(desk, load.bounded(IDLE_SECONDS))
        asking = asyncio.create_task(_asking(desk, idle.gate))
        async with _beside(asking):
            await _commanded(desk, audit, 1, load.count(COMMANDS, least=2), idle.commands)
        sizes = [resident_megabytes(process.pid)[1] for process in desk.processes.values()]
        loaded = await _loaded(desk, audit, load)
        return Outcome(len(sizes), sum(sizes), percent, idle, loaded)


def _told(name: str, title: str, outcome: Outcome) -> list[Figure]:
    many = f"{outcome.processes} operating-system processes, without broker and simulated plant"
    busy = f"{ROWS:,} samples/s arrive, {len(outcome.loaded.commands)} commands"
    idle = f"only the two devices change, {len(outcome.idle.commands)} commands"
    rows = (
        ("pss", "PSS", outcome.megabytes, "MB", many),
        ("cpu", "CPU when idle", outcome.percent, "% of a core", many),
        ("command.p50", "command, p50", _ms(outcome.idle.commands, 0.5), "ms", idle),
        ("command.p99", "command, p99", _ms(outcome.idle.commands, 0.99), "ms", idle),
        ("gate.p99", "gate answers, p99", _ms(outcome.idle.gate, 0.99), "ms", idle),
        ("busy.command.p50", "busy: command, p50", _ms(outcome.loaded.commands, 0.5), "ms", busy),
        ("busy.command.p99", "busy: command, p99", _ms(outcome.loaded.commands, 0.99), "ms", busy),
        ("busy.gate.p99", "busy: gate answers, p99", _ms(outcome.loaded.gate, 0.99), "ms", busy),
        ("busy.gate.most", "busy: gate answers, longest", _ms(outcome.loaded.gate, 1.0), "ms", busy),
        ("busy.visible.p99", "busy: visible in the twin, p99", _ms(outcome.loaded.visible, 0.99), "ms", busy),
    )
    return [
        figure(f"processes.{name}.{key}", f"{title}: {text}", value, unit, better="lower", note=note)
        for key, text, value, unit, note in rows
    ]


def _ms(seconds: Sequence[float], share: float) -> float:
    return 1000 * percentile(seconds, share)


async def run(load: Load, tell: Tell) -> list[Figure]:
    """Each grouping on a site of its own."""
    figures = []
    for name in GROUPINGS if load.size >= ALL_FROM_SIZE else ("shipped", "one"):
        title, groups = GROUPINGS[name]
        tell(title)
        figures += _told(name, title, await _measured(groups, load))
    return figures


BENCH = Bench("processes", "Processes: which of them share one event loop", run)
