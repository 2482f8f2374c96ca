"""The queries of all dashboards on a snapshot of an archive of 50,000,000 samples."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import duckdb
import msgspec

from plantops.archive.dashboards import DASHBOARDS
from plantops.archive.panels import PanelQuery, Shown, expand, panel_queries, variable_queries
from plantops.archive.serving import Served, serve
from plantops.archive.store import Store
from plantops.bench import archive_timing
from plantops.bench.archive_commands import add_commands
from plantops.bench.archive_made import SITE, make_archive
from plantops.bench.figures import Bench, Figure, Load, Tell, figure, percentile
from plantops.bench.ground import temporary_folder
from plantops.runtime.errors import IntegrityError

ROWS = 50_000_000
COMMANDS = 2000
TIMES = 20
GOAL_MS = 300.0
SLOWEST = 5
CHOSEN = 4
# What people choose at the top right; a panel on a screen is about this many points wide.
RANGES: Final = {"15 m": timedelta(minutes=15), "3 h": timedelta(hours=3), "2 d": timedelta(days=2)}
POINTS = 1000
PEERS: Final = Path(".cache")


class Timed(msgspec.Struct, frozen=True):
    """What `archive_timing` answers."""

    version: str
    seconds: dict[str, list[float]]
    rows: dict[str, int]
    errors: dict[str, str]


@dataclass(frozen=True)
class Filled:
    """An archive, and the snapshots of it: times in seconds."""

    samples: int
    served: Served
    writing: tuple[float, ...]
    end: datetime


def _fill(folder: Path, load: Load, tell: Tell) -> Filled:
    end = time.time_ns() // 1000
    path = folder / "live.duckdb"
    samples = make_archive(path, load.count(ROWS, least=50_000), "noise", end, tell)
    count = load.count(COMMANDS, least=20)
    add_commands(path, folder / "site", count, end - 24 * 3_600_000_000, end)
    store = Store.open(path, SITE)
    writing = []
    try:
        cursor = store.cursor()
        for number in range(load.runs):
            tell(f"writing the served snapshot, run {number + 1} of {load.runs}")
            served = serve(cursor, folder / "serve" / "plantops.duckdb")
            writing.append(served.seconds)
    finally:
        store.close()
    return Filled(samples, served, tuple(writing), datetime.fromtimestamp(end / 1e6, UTC))


def questions(folder: Path, snapshot: Path, end: datetime) -> list[tuple[str, str]]:
    """Each query of each panel and variable, for each range of time, with the first values of variables."""
    folder.mkdir(exist_ok=True)
    for name, dashboard in DASHBOARDS.items():
        (folder / name).write_text(dashboard.text())
    panels, variables = panel_queries(folder), variable_queries(folder)
    found = []
    for name, length in RANGES.items():
        shown = Shown(end - length, end, length / POINTS, _chosen(snapshot, variables, end, length))
        for number, query in enumerate((*variables, *panels)):
            title = f"{query.dashboard} / {query.panel} ({number}), {name}"
            found.append((title, expand(query.sql, shown)))
    return found


def _chosen(
    snapshot: Path, variables: Sequence[PanelQuery], end: datetime, length: timedelta
) -> Mapping[str, Sequence[str]]:
    """For each variable the first values that its query gives, in the order in which they build on others."""
    chosen: dict[str, Sequence[str]] = {}
    with duckdb.connect(str(snapshot), read_only=True) as connection:
        for variable in variables:
            shown = Shown(end - length, end, length / POINTS, chosen)
            asked = connection.execute(expand(variable.sql, shown))
            names = [column[0] for column in asked.description]
            place = names.index("__value") if "__value" in names else 0
            values = [str(row[place]) for row in asked.fetchmany(CHOSEN)]
            asked.fetchall()
            chosen[variable.panel] = values or [""]
    return chosen


async def _timed(interpreter: Path, file: Path, runs: int, queries: Sequence[tuple[str, str]]) -> Timed:
    """Raises: IntegrityError when a query cannot be answered."""
    process = await asyncio.create_subprocess_exec(
        interpreter,
        archive_timing.__file__,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    asked = msgspec.json.encode({"file": str(file), "runs": runs, "queries": queries})
    try:
        out, errors = await process.communicate(asked)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise IntegrityError(f"{interpreter} cannot ask {file}: {errors.decode(errors='replace')[-400:]}")
    told = msgspec.json.decode(out, type=Timed)
    if told.errors:
        name, text = next(iter(told.errors.items()))
        raise IntegrityError(
            f"DuckDB {told.version} refused {len(told.errors)} queries; first {name}: {text}"
        )
    return told


def interpreters() -> list[Path]:
    """Ours, and those with DuckDB 1.5 beside it that the tests have made (Grafana's plug-in embeds it)."""
    return [Path(sys.executable), *sorted(PEERS.glob("duckdb15-*/bin/python"))]


def _told(told: Timed, runs: int) -> list[Figure]:
    release = told.version.rpartition(".")[0]
    name, title = f"dashboards.duckdb{release.replace('.', '')}", f"DuckDB {told.version}"
    highest = {query: percentile(seconds, 0.95) for query, seconds in told.seconds.items()}
    first = [seconds[0] for seconds in told.seconds.values()]
    ordered = sorted(highest, key=lambda query: highest[query], reverse=True)
    note = f"{len(highest)} queries ({', '.join(RANGES)}), each {runs} times; p95 of each"
    return [
        figure(
            f"{name}.slowest",
            f"{title}: slowest query, p95",
            1000 * highest[ordered[0]],
            "ms",
            better="lower",
            goal=GOAL_MS,
            note=note,
        ),
        figure(
            f"{name}.cold",
            f"{title}: slowest query when the file was just opened",
            1000 * max(first),
            "ms",
            better="lower",
        ),
        *(
            figure(
                f"{name}.query{number}",
                f"{title}: {query}",
                1000 * highest[query],
                "ms",
                better="lower",
                note=f"{told.rows[query]:,} rows",
            )
            for number, query in enumerate(ordered[:SLOWEST], 1)
        ),
    ]


async def run(load: Load, tell: Tell) -> list[Figure]:
    """Fill, serve, ask with each release of DuckDB that is there."""
    runs = load.count(TIMES, least=2)
    figures = []
    async with temporary_folder() as folder:
        filled = await asyncio.to_thread(_fill, folder, load, tell)
        queries = questions(folder / "dashboards", filled.served.path, filled.end)
        for interpreter in interpreters():
            tell(f"{len(queries)} queries, {runs} times, {interpreter}")
            told = await _timed(interpreter, filled.served.path, runs, queries)
            figures += _told(told, runs)
    served = filled.served
    return [
        figure(
            "dashboards.written",
            f"served snapshot of {filled.samples:,} samples, written in",
            filled.writing,
            "s",
            better="lower",
            note=f"{served.rows:,} rows, {served.size / 1e6:.1f} MB",
        ),
        *figures,
    ]


BENCH = Bench("dashboards", "Queries of the dashboards", run)
