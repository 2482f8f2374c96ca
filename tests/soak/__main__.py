"""`make soak`: a million steps, or STEPS of them, from the seed SEED on."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from soak.episode import be_silent, episodes, play, shortest

SHOWN = Console()


def main() -> int:
    """Plays until something breaks; then the shortest history that breaks as well is printed."""
    be_silent()
    steps = int(os.environ.get("STEPS", "1000000"))
    seed = int(os.environ.get("SEED") or time.time_ns() // 1_000_000_000)
    SHOWN.print(f"{steps} steps, SEED={seed}", highlight=False, markup=False, soft_wrap=True)
    counts: Counter[str] = Counter()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=SHOWN) as progress:
        task = progress.add_task("steps", total=steps)
        for number, history in episodes(seed, steps):
            played = play(history)
            counts += played.counts
            progress.advance(task, played.steps)
            if played.broken:
                progress.stop()
                return _tell(number, history)
    for what, count in sorted(counts.items()):
        SHOWN.print(f"{what:40} {count:10}", highlight=False, markup=False, soft_wrap=True)
    SHOWN.print("0 forbidden executions", highlight=False, markup=False, soft_wrap=True)
    return 0


def _tell(number: int, history: list[tuple[object, ...]]) -> int:
    found, played = shortest(history)
    SHOWN.print(f"episode {number}: {played.broken[0]}", highlight=False, markup=False, soft_wrap=True)
    for step in found:
        SHOWN.print(f"    {step!r},", highlight=False, markup=False, soft_wrap=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())
