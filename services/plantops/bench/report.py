"""What people and programs are told: a table, and a JSON file with every figure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from plantops.bench.figures import Figure
from plantops.bench.machine import Machine


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON file. `failed` names each bench that ended without figures, and why."""

    version: int = 1
    measured_at: datetime
    seconds: float
    runs: int
    machine: Machine
    figures: tuple[Figure, ...]
    failed: dict[str, str] = {}


def write_report(path: Path, report: Report) -> None:
    """Replace the file at once."""
    temporary = path.with_name(path.name + ".new")
    temporary.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    temporary.replace(path)


def now() -> datetime:
    """The time for `measured_at`."""
    return datetime.now(UTC).replace(microsecond=0)


def print_machine(console: Console, machine: Machine) -> None:
    """One line, and a warning when the machine is busy."""
    console.print(
        f"{machine.cores} cores ({machine.processor}), {machine.memory_megabytes} MB, {machine.system}, "
        f"Python {machine.python}, nats-server {machine.nats_server}; "
        f"fsync p50 {machine.fsync_p50_ms:.2f} ms, p99 {machine.fsync_p99_ms:.2f} ms"
    )
    if machine.load > 0.5:
        console.print(
            f"[yellow]The machine is busy (load {machine.load:.1f}): the figures will be too low.[/]"
        )


def print_figures(console: Console, title: str, figures: Sequence[Figure]) -> None:
    """One bench as a table, with its notes beneath."""
    table = Table(title=title, title_justify="left", header_style="bold", pad_edge=False)
    table.add_column("figure", overflow="fold")
    for name in ("value", "goal", "of its ceiling", "spread"):
        table.add_column(name, justify="right", no_wrap=True)
    notes: dict[str, int] = {}
    for each in figures:
        mark = f" [{notes.setdefault(each.note, len(notes) + 1)}]" if each.note else ""
        cells = (each.title + mark, _value(each), _goal(each), _ceiling(each), _spread(each))
        table.add_row(*map(Text, cells), style=_style(each))
    console.print(table)
    for note, number_ in notes.items():
        console.print(Text(f"[{number_}] {note}", style="dim"))


def _value(each: Figure) -> str:
    return f"{number(each.value)} {each.unit}"


def _goal(each: Figure) -> str:
    if each.goal is None:
        return ""
    sign = {"higher": "≥", "lower": "≤", "neither": ""}[each.better]
    mark = {True: " ✓", False: " ✗", None: ""}[each.met]
    return f"{sign} {number(each.goal)}{mark}"


def _ceiling(each: Figure) -> str:
    if each.ceiling is None or each.ratio is None:
        return ""
    return f"{each.ratio:.0%} of {number(each.ceiling)}"


def _spread(each: Figure) -> str:
    return "" if each.spread is None else f"{each.spread:.0%} of {len(each.runs)}"


def _style(each: Figure) -> str:
    return {True: "green", False: "red", None: ""}[each.met]


def number(value: float) -> str:
    """Three significant digits for small numbers, whole ones with separators for large ones."""
    if value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.1f}"
