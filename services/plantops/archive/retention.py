"""What is old leaves the live file: whole hours, and log rows only when an audited Parquet file holds them.

One pass is `due` with a cursor in a thread of its own, then `remove` for each slice of each removal, in a
transaction of the store each. A pass that was cut off is taken up by the next one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import duckdb
import msgspec

from plantops.archive.hours import Part, Stretch, condition, parts_of
from plantops.archive.plant_tables import SAMPLE
from plantops.archive.portable import HOUR, LOGGED, TAGS, has_stream, sequence_column
from plantops.archive.rolling import MARK as ROLLED
from plantops.archive.settings import RetentionDays
from plantops.archive.store import note
from plantops.archive.table import Table
from plantops.archive.tables import TABLES

WHOLE: Final = "whole.{table}"
"""In `about`: microseconds since 1970 from which on a table is whole. Digests of two archives agree over the
time in which both are; a note that is missing stands for "from its beginning"."""

SLICE_ROWS: Final = 1 << 20
_DAY: Final = 24 * HOUR
_EVER: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class Removal:
    """One hour of a table, or of one source or stream in it. `slices` are WHERE clauses: together they are
    all of its rows, each one is a transaction's worth."""

    table: str
    place: str
    hour: int
    rows: int
    slices: tuple[str, ...]


def due(cursor: duckdb.DuckDBPyConnection, days: RetentionDays) -> Iterator[Removal]:
    """What may go by now, by the newest time that the broker told and never by our own clock."""
    ((newest,),) = cursor.execute("SELECT epoch_us(max(stored_at)) FROM position").fetchall()
    if newest is None:
        return
    for name, kept in msgspec.structs.asdict(days).items():
        if kept:
            before = (newest - kept * _DAY) // HOUR * HOUR
            table = TABLES[name]
            yield from _logged(cursor, table, before) if table in LOGGED else _derived(cursor, table, before)


def _logged(cursor: duckdb.DuckDBPyConnection, table: Table, before: int) -> Iterator[Removal]:
    """Hours of which every row is in a file, every file is audited, and every sample is rolled up."""
    rolled = _rolled(cursor) if table is SAMPLE else _EVER
    old = f" AND {table.time} < make_timestamp({before})"
    streams = dict(cursor.execute("SELECT stream, created FROM position").fetchall())
    for stream, created in streams.items() if has_stream(table) else [(TAGS, streams.get(TAGS, ""))]:
        files = _audited(cursor, table, (stream, created), before)
        for part in parts_of(cursor, Stretch(table, stream, created, 0, _EVER), old):
            if part.last <= min(files.get((part.source, part.hour), 0), rolled):
                yield Removal(table.name, part.source or stream, part.hour, part.rows, _by_sequence(part))


def _audited(
    cursor: duckdb.DuckDBPyConnection, table: Table, stream: tuple[str, str], before: int
) -> dict[tuple[str, int], int]:
    """By source and hour the sequence up to which all rows are in files, where all of these are audited."""
    found = cursor.execute(
        "SELECT source, epoch_us(hour), max(up_to) FROM parquet_file WHERE table_name = ? AND stream = ? "
        "AND created = ? AND hour < make_timestamp(?) GROUP BY ALL HAVING bool_and(manifest <> '')",
        [table.name, *stream, before],
    ).fetchall()
    return {(source, hour): up_to for source, hour, up_to in found}


def _rolled(cursor: duckdb.DuckDBPyConnection) -> int:
    found = cursor.execute("SELECT value FROM about WHERE name = ?", [ROLLED]).fetchall()
    return int(found[0][0]) if found else 0


def _by_sequence(part: Part) -> tuple[str, ...]:
    sequence, where = sequence_column(TABLES[part.table]), condition(part)
    step = max(1, (part.last - part.first + 1) * SLICE_ROWS // part.rows)
    return tuple(
        f"{where} AND {sequence} BETWEEN {start} AND {min(start + step - 1, part.last)}"
        for start in range(part.first, part.last + 1, step)
    )


def _derived(cursor: duckdb.DuckDBPyConnection, table: Table, before: int) -> Iterator[Removal]:
    """Rows that follow from log rows, which are in this archive or in its files."""
    found = cursor.execute(
        f"SELECT epoch_us(date_trunc('hour', {table.time})) AS hour, count(*) FROM {table.name} "  # noqa: S608
        f"WHERE {table.time} < make_timestamp({before}) GROUP BY hour ORDER BY hour"
    ).fetchall()
    for hour, rows in found:
        step = max(1_000_000, HOUR * SLICE_ROWS // rows)
        slices = tuple(
            f"{table.time} >= make_timestamp({start}) "
            f"AND {table.time} < make_timestamp({min(start + step, hour + HOUR)})"
            for start in range(hour, hour + HOUR, step)
        )
        yield Removal(table.name, "", hour, rows, slices)


def remove(connection: duckdb.DuckDBPyConnection, removal: Removal, where: str) -> int:
    """Delete one slice in the open transaction, and note from when on the table is whole. Rows removed."""
    name = WHOLE.format(table=removal.table)
    told = connection.execute("SELECT value FROM about WHERE name = ?", [name]).fetchall()
    if not told or int(told[0][0]) < removal.hour + HOUR:
        note(connection, name, str(removal.hour + HOUR))
    ((counted,),) = connection.execute(f"DELETE FROM {removal.table} WHERE {where}").fetchall()  # noqa: S608
    return int(counted)


def whole_from(cursor: duckdb.DuckDBPyConnection, table: Table) -> datetime | None:
    """From when on nothing was removed from a table; None: nothing ever was."""
    found = cursor.execute(
        "SELECT value FROM about WHERE name = ?", [WHOLE.format(table=table.name)]
    ).fetchall()
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(found[0][0])) if found else None
