"""Playing a history: what broke, what was counted; and the shortest part of it that still breaks."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from plantops.events import encode
from plantops.flow.processor import Output, Recorded
from plantops.flow.step import step
from soak.drawing import drawn
from soak.gate_run import GATE
from soak.steps import STEPS, Step
from soak.world import Broken, World

LENGTH = 400
"""Steps of one episode: long enough for windows and restarts, short enough to be shrunk."""


@dataclass(frozen=True)
class Played:
    """How an episode ended; `broken` is empty when nothing happened that must not."""

    broken: tuple[Broken, ...]
    counts: Counter[str]
    steps: int


def play(steps: Sequence[Step]) -> Played:
    """Play them in a world of their own, to the first thing that breaks."""
    memory = Path("/dev/shm")  # executors sync their journals, which costs more than all the rest
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        return asyncio.run(_play(steps, Path(folder)))


async def _play(steps: Sequence[Step], folder: Path) -> Played:
    world = World(folder)
    await world.gate.restore()
    done = 0
    try:
        for done, (name, *values) in enumerate(steps, 1):
            world.step = done
            world.count(f"step {name}")
            await STEPS[name](world, *values)
            await world.settle()
            if world.broken:
                break
        else:
            world.broken += _replayed(world)
    finally:
        await world.end()
    return Played(tuple(world.broken), world.counts, done)


def _replayed(world: World) -> list[Broken]:
    """Deciding on the recorded inputs again gives the same bytes."""
    state = GATE.initial()
    for recorded, answers in world.history:
        state, own = step(GATE, state, recorded)
        again = tuple(encode(each.fact) for each in own)  # type: ignore[arg-type]  # a gate says events only
        world.counts["decisions replayed"] += len(again)
        if again != answers:
            what = f"replay of {recorded.stream} {recorded.sequence}"
            return [Broken(world.step, what, ("replay: other bytes than the ones in the log",))]
    return []


def shrunk(steps: Sequence[Step], fails: Callable[[Sequence[Step]], bool], *, tries: int = 400) -> list[Step]:
    """A shorter history that fails as well, by taking away ever smaller parts."""
    left, size = list(steps), max(1, len(steps) // 2)
    while tries > 0:
        is_shorter, start = False, 0
        while start < len(left) and tries > 0:
            without = left[:start] + left[start + size :]
            tries -= 1
            if fails(without):
                left, is_shorter = without, True
            else:
                start += size
        if size == 1 and not is_shorter:
            break
        size = max(1, size // 2)
    return left


def shortest(steps: Sequence[Step]) -> tuple[list[Step], Played]:
    """The shortest history found that breaks by the same rule, and how it ends."""
    rule = _rule(play(steps))
    found = shrunk(steps, lambda each: _rule(play(each)) == rule)
    return found, play(found)


def _rule(played: Played) -> str:
    return played.broken[0].rules[0].partition(":")[0] if played.broken else ""


def episodes(seed: int, steps: int) -> Iterable[tuple[int, list[Step]]]:
    """Seeds and histories that are `steps` long together."""
    for number in range((steps + LENGTH - 1) // LENGTH):
        yield seed * 1_000_000 + number, drawn(seed * 1_000_000 + number, LENGTH)


def be_silent() -> None:
    """Refusals are what this is about: nobody wants to read each of them."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(50), cache_logger_on_first_use=False
    )


__all__ = ["LENGTH", "Output", "Played", "Recorded", "be_silent", "episodes", "play", "shortest", "shrunk"]
