"""How much of the live file is served: a bound of age and of rows per table, and where that cuts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, TypeAlias

import duckdb

from plantops.archive.plant_tables import FRAME, LAYOUT, ROLLUP_1H, ROLLUP_1M, ROLLUP_1S, SAMPLE, SERIES
from plantops.archive.record_tables import ABOUT, AUDIT, EVENT, PARQUET_FILE, POSITION
from plantops.archive.table import Table
from plantops.archive.tables import TABLES

WHOLE: Final = (SERIES.name, POSITION.name, ABOUT.name)
# A command's rows lie in all of these, so that one cut serves them together and no story is half told.
STORY: Final = ("intent", "step", "decision", "ruling", "evidence", "written", "approval")
# The order of age of tables whose key does not rise with time.
_ORDERED_BY: Final = {LAYOUT.name: "sequence", PARQUET_FILE.name: "hour"}
# A window that holds too many rows is cut to 1, 2, 3, 4, 8, 12, 16, 32 ... of so many parts of its length.
_PARTS: Final = 4**6


@dataclass(frozen=True, slots=True)
class Window:
    """At most `rows` of a table, none older than `age` before the newest message that is stored."""

    rows: int
    age: timedelta


@dataclass(frozen=True, slots=True)
class Windows:
    """A bound for every table. The defaults hold the writing of a snapshot below a second of one core.

    A window by time that holds too many rows is shortened in steps until it fits; so its length is the same
    from one snapshot to the next while the plant's rate is.
    """

    sample: Window = Window(300_000, timedelta(minutes=15))
    rollup_1s: Window = Window(200_000, timedelta(hours=2))
    rollup_1m: Window = Window(300_000, timedelta(days=2))
    rollup_1h: Window = Window(300_000, timedelta(days=400))
    frame: Window = Window(80_000, timedelta(hours=2))
    event: Window = Window(10_000, timedelta(days=30))
    audit: Window = Window(10_000, timedelta(days=400))
    journal: Window = Window(20_000, timedelta(days=400))
    others: dict[str, Window] = field(default_factory=dict)

    def of(self, table: Table) -> Window:
        """The bound of one table; `journal` for those without their own."""
        own = {
            SAMPLE.name: self.sample,
            ROLLUP_1S.name: self.rollup_1s,
            ROLLUP_1M.name: self.rollup_1m,
            ROLLUP_1H.name: self.rollup_1h,
            FRAME.name: self.frame,
            EVENT.name: self.event,
            AUDIT.name: self.audit,
        }
        return self.others.get(table.name, own.get(table.name, self.journal))


@dataclass(frozen=True, slots=True)
class Cut:
    """Which of a table's `total` rows are served: all where `column` >= `least`; "" for the whole table."""

    table: Table
    total: int
    column: str = ""
    least: datetime | int = 0

    @property
    def where(self) -> str:
        return f"WHERE {self.column} >= ?" if self.column else ""

    @property
    def values(self) -> list[datetime | int]:
        return [self.least] if self.column else []

    @property
    def since(self) -> datetime | None:
        """The time from which on the table is complete; None where it is not cut by time."""
        return self.least if isinstance(self.least, datetime) and self.table.time else None


# A table's window, and the newest time of any message.
_Bounds: TypeAlias = tuple[Window, datetime | None]


def cuts(connection: duckdb.DuckDBPyConnection, live: str, windows: Windows) -> tuple[Cut, ...]:
    """Where each table is cut, in the open transaction. Reads zone maps and few rows, never a whole table."""
    newest = _newest(connection, live)
    totals = _totals(connection, live)
    found = {
        name: _cut(connection, live, table, totals[name], (windows.of(table), newest))
        for name, table in TABLES.items()
    }
    together = max((cut.since for name, cut in found.items() if name in STORY and cut.since), default=None)
    if together is not None:
        for name in STORY:
            found[name] = Cut(TABLES[name], totals[name], TABLES[name].time, together)
    return tuple(found.values())


def _newest(connection: duckdb.DuckDBPyConnection, live: str) -> datetime | None:
    row = connection.execute(f"SELECT max(stored_at) FROM {live}.position").fetchone()  # noqa: S608 - own name
    return row[0] if row else None


def _totals(connection: duckdb.DuckDBPyConnection, live: str) -> dict[str, int]:
    """The rows of each table, which DuckDB knows without reading them."""
    counts = ", ".join(f"(SELECT count(*) FROM {live}.{name})" for name in TABLES)  # noqa: S608 - own names
    row = connection.execute(f"SELECT {counts}").fetchone()
    assert row is not None
    return dict(zip(TABLES, row, strict=True))


def _cut(connection: duckdb.DuckDBPyConnection, live: str, table: Table, total: int, bounds: _Bounds) -> Cut:
    window, newest = bounds
    if table.name in WHOLE or newest is None:
        return Cut(table, total)
    if table is SAMPLE:
        return Cut(table, total, "sequence", _first_sequence(connection, live, window, newest))
    if table.time:
        is_small = total <= window.rows
        since = newest - window.age if is_small else _since(connection, live, table, window, newest)
        return Cut(table, total, table.time, since)
    if total <= window.rows:
        return Cut(table, total)
    return Cut(table, total, *_by_key(connection, live, table, window))


def _first_sequence(
    connection: duckdb.DuckDBPyConnection, live: str, window: Window, newest: datetime
) -> int:
    """By frames, of which there are few: samples lie in the order of TAGS, so zone maps find the rest."""
    row = connection.execute(
        f"""
        SELECT min(sequence) FROM (
            SELECT sequence, sum(samples) OVER (ORDER BY sequence DESC) AS upward FROM {live}.{FRAME.name}
            WHERE stored_at >= ?
        ) WHERE upward <= ?
        """,  # noqa: S608 - own names
        [newest - window.age, window.rows],
    ).fetchone()
    return 2**62 if row is None or row[0] is None else int(row[0])


def _by_key(
    connection: duckdb.DuckDBPyConnection, live: str, table: Table, window: Window
) -> tuple[str, int]:
    """The newest rows of a table that time does not cut; such a table grows slowly, or has a narrow key."""
    column = _ORDERED_BY.get(table.name, table.key[0])
    row = connection.execute(
        f"""
        SELECT min({column})
        FROM (SELECT {column} FROM {live}.{table.name} ORDER BY {column} DESC LIMIT ?)
        """,  # noqa: S608 - own names
        [window.rows],
    ).fetchone()
    assert row is not None
    return column, row[0]


def _since(
    connection: duckdb.DuckDBPyConnection, live: str, table: Table, window: Window, newest: datetime
) -> datetime:
    # From the shortest upwards: each count reads about as many rows as are served in the end.
    best, parts = 0, 1
    while (
        parts <= _PARTS
        and _count(connection, live, table, newest - window.age * parts / _PARTS) <= window.rows
    ):
        best, parts = parts, parts * 4
    for tried in (best * 2, best * 3):
        if (
            0 < tried < _PARTS
            and _count(connection, live, table, newest - window.age * tried / _PARTS) <= window.rows
        ):
            best = tried
    return newest - window.age * best / _PARTS


def _count(connection: duckdb.DuckDBPyConnection, live: str, table: Table, since: datetime) -> int:
    row = connection.execute(
        f"SELECT count(*) FROM {live}.{table.name} WHERE {table.time} >= ?",  # noqa: S608 - own names
        [since],
    ).fetchone()
    return 0 if row is None else int(row[0])
