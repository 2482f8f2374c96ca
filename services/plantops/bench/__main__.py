"""`python -m plantops.bench`: measure, print tables, write a JSON file."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from plantops.bench.figures import Bench, Figure, Load
from plantops.bench.machine import machine
from plantops.bench.registry import BENCHES, benches
from plantops.bench.report import Report, now, print_figures, print_machine, write_report
from plantops.runtime.errors import PlantOpsError
from plantops.runtime.log import configure_logging

# A bench that hangs must not hang the run: each has this much beside what it was given to measure.
MARGIN_SECONDS = 300.0


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="plantops.bench", description=__doc__)
    names = ", ".join(bench.name for bench in BENCHES)
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help=f"one of: {names}")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each timed part")
    parser.add_argument("--runs", type=int, default=3, help="repetitions where they are cheap")
    parser.add_argument("--json", type=Path, default=Path("bench.json"), metavar="FILE")
    given = parser.parse_args(arguments)
    if not 0.1 <= given.seconds <= 600 or not 1 <= given.runs <= 20:
        parser.error("--seconds takes 0.1 to 600, --runs 1 to 20")
    return given


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0, 1 when a bench failed, 2 for wrong arguments, 130 when it was stopped."""
    given = _arguments(arguments)
    # In a file or a pipe there is no width to keep to.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 130)
    configure_logging("bench", "error")
    try:
        chosen = benches(given.only)
    except PlantOpsError as error:
        console.print(f"[red]{error}[/]")
        return 2
    # As on Ctrl-C: everything that was started is stopped on the way out.
    signal.signal(signal.SIGTERM, lambda _number, _frame: signal.raise_signal(signal.SIGINT))
    load = Load(seconds=given.seconds, runs=given.runs)
    with tempfile.TemporaryDirectory(prefix="plantops-bench-") as folder:
        facts = machine(Path(folder))
    print_machine(console, facts)
    figures: list[Figure] = []
    failed: dict[str, str] = {}
    with _progress(console) as progress:
        whole = progress.add_task("all", total=len(chosen), step="")
        for bench in chosen:
            try:
                told = _run(bench, load, lambda text: progress.update(whole, step=text))
            except (PlantOpsError, OSError, TimeoutError) as error:
                failed[bench.name] = f"{type(error).__name__}: {error}"
                console.print(Text(f"{bench.name}: {failed[bench.name]}", style="red"))
            except KeyboardInterrupt:
                console.print(Text(f"{bench.name}: stopped; no figures were written", style="red"))
                return 130
            else:
                figures += told
                print_figures(console, bench.title, told)
            progress.advance(whole)
    report = Report(
        measured_at=now(),
        seconds=load.seconds,
        runs=load.runs,
        machine=facts,
        figures=tuple(figures),
        failed=failed,
    )
    write_report(given.json, report)
    console.print(f"{len(figures)} figures in {given.json}")
    return 1 if failed else 0


def _run(bench: Bench, load: Load, tell: object) -> list[Figure]:
    assert callable(tell)
    bound = MARGIN_SECONDS + 12 * load.seconds + bench.more_seconds

    async def bounded() -> list[Figure]:
        async with asyncio.timeout(bound):
            return await bench.run(load, lambda text: tell(f"{bench.name}: {text}"))

    tell(bench.name)
    return asyncio.run(bounded())


def _progress(console: Console) -> Progress:
    return Progress(
        BarColumn(20),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[step]}"),
        console=console,
        transient=True,
    )


if __name__ == "__main__":
    sys.exit(main())
