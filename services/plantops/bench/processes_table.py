"""`python -m plantops.bench.processes_table bench.json docs/guides/processes.md`: the guide's table, from the
figures of a run of the bench `processes`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from plantops.bench.processes import GROUPINGS
from plantops.bench.report import Report, number
from plantops.runtime.errors import SettingsError

BEGIN: Final = "<!-- figures of `plantops.bench --only processes` -->"
END: Final = "<!-- end of figures -->"
COLUMNS: Final = (
    ("pss", "memory, MB"),
    ("cpu", "idle, % of a core"),
    ("command.p50", "command p50, ms"),
    ("command.p99", "p99"),
    ("gate.p99", "gate answers p99, ms"),
    ("busy.command.p50", "busy: command p50, ms"),
    ("busy.command.p99", "p99"),
    ("busy.gate.p99", "busy: gate answers p99, ms"),
    ("busy.gate.most", "longest"),
    ("busy.visible.p99", "busy: visible p99, ms"),
)


def table(report: Report) -> str:
    """Markdown: one row for each grouping. Raises: SettingsError when the run had no such bench."""
    values = {each.name: each.value for each in report.figures}
    lines = [
        f"| grouping | {' | '.join(title for _, title in COLUMNS)} |",
        f"|---|{'---:|' * len(COLUMNS)}",
    ]
    for name, (title, _groups) in GROUPINGS.items():
        lines.append(f"| {title} | {' | '.join(_cells(values, name))} |")
    machine = report.machine
    lines += [
        "",
        f"{machine.cores} cores, {report.measured_at:%Y-%m-%d}, load {machine.load:.1f} before the run.",
    ]
    return "\n".join(lines)


def _cells(values: Mapping[str, float], name: str) -> list[str]:
    wanted = [f"processes.{name}.{key}" for key, _ in COLUMNS]
    missing = [each for each in wanted if each not in values]
    if missing:
        raise SettingsError(f"the run has no figure {missing[0]!r}: run `plantops.bench --only processes`")
    return [number(values[each]) for each in wanted]


def put(report: Report, guide: str) -> str:
    """The guide with the table of this run between its two marks. Raises: SettingsError without them."""
    before, begin, rest = guide.partition(BEGIN)
    _old, end, after = rest.partition(END)
    if not begin or not end:
        raise SettingsError(f"the guide has no place for the table: mark it with {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n{table(report)}\n{END}{after}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="plantops.bench.processes_table", description=__doc__)
    parser.add_argument("json", type=Path)
    parser.add_argument("guide", type=Path)
    given = parser.parse_args(arguments)
    report = msgspec.json.decode(given.json.read_bytes(), type=Report)
    given.guide.write_text(put(report, given.guide.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
