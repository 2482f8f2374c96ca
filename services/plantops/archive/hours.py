"""Closed hours on their way to Parquet: what is due, and what was written.

One pass is `closed` and `write_hour` for each part, with a cursor in a thread of their own, then `record` in
a transaction of the store, then `record_marks`. A part is never written anew: rows that come later for an
hour that was written go into a further file of the same hour, told apart by `up_to`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self
from urllib.parse import quote

import duckdb

from plantops.archive.columns import rows_table
from plantops.archive.plant_tables import SAMPLE
from plantops.archive.portable import (
    HOUR,
    LOGGED,
    TAGS,
    has_stream,
    literal,
    partition_source,
    sequence_column,
)
from plantops.archive.record_tables import PARQUET_FILE
from plantops.archive.store import note
from plantops.archive.table import Table
from plantops.archive.tables import TABLES

MARK: Final = "parquet.{table}.{stream}"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of one table, stream, source and hour with `after` < sequence <= `up_to`: one Parquet file.

    `created` is the stream's identity: another stream of the same name counts from 1 again.
    Times are microseconds since 1970. `hour` and times are 0 for a table without a time, which is one part.
    `first` and `last` are the lowest and highest sequence that it has.
    """

    table: str
    stream: str
    created: str
    source: str
    hour: int
    after: int
    up_to: int
    rows: int
    first: int
    last: int
    first_at: int
    last_at: int

    @classmethod
    def read(cls, text: str | bytes) -> Self:
        """A part from the metadata of its file. Raises: ValueError, TypeError."""
        return cls(**json.loads(text))

    def told(self) -> bytes:
        """For the metadata of its file."""
        return json.dumps(asdict(self)).encode()

    def path(self, site: str) -> str:
        """Its file, below the archive's parquet folder."""
        folder = f"{self.table}/site={site}"
        if not TABLES[self.table].time:
            return f"{folder}/all-{self.up_to}.parquet"
        if has_stream(TABLES[self.table]):
            folder += f"/stream={self.stream}"
        if partition_source(TABLES[self.table]):
            folder += f"/source={quote(self.source, safe='')}"
        at = _EPOCH + timedelta(microseconds=self.hour)
        return f"{folder}/day={at:%Y-%m-%d}/{at:%H}-{self.up_to}.parquet"


@dataclass(frozen=True, slots=True)
class Plan:
    """The parts that are due, oldest first, and the marks that hold once all of them are recorded: up to
    that sequence every row of a table and stream is in a file, so that no later pass looks there."""

    parts: tuple[Part, ...]
    marks: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Written:
    """A part that is on the disk, whole."""

    part: Part
    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Stretch:
    """Where parts are looked for: `after` < sequence <= `up_to`, in one table and stream."""

    table: Table
    stream: str
    created: str
    after: int
    up_to: int


def closed(
    cursor: duckdb.DuckDBPyConnection,
    *,
    grace_seconds: float = 600.0,
    quiet_seconds: float = 86_400.0,
    everything: bool = False,
) -> Plan:
    """What is due: closed hours with rows that are in no file yet, and all definitions.

    An hour is closed when the newest broker time of its stream is `grace_seconds` past its end, or that of
    any stream `quiet_seconds` more. With `everything` all rows are due, closed or not. It reads only what
    lies behind the last marks.
    """
    positions = {
        stream: (created, sequence, at)
        for stream, created, sequence, at in cursor.execute(
            "SELECT stream, created, sequence, epoch_us(stored_at) FROM position"
        ).fetchall()
    }
    newest = max((at for _created, _sequence, at in positions.values()), default=0)
    notes = dict(cursor.execute("SELECT name, value FROM about").fetchall())
    parts: list[Part] = []
    marks: dict[str, int] = {}
    for table in LOGGED:
        for stream in sorted(positions) if has_stream(table) else [TAGS] if TAGS in positions else []:
            created, up_to, at = positions[stream]
            clock = max(at - grace_seconds * 1e6, newest - (grace_seconds + quiet_seconds) * 1e6)
            name = MARK.format(table=table.name, stream=stream)
            stretch = Stretch(table, stream, created, int(notes.get(name, "0")), up_to)
            found, mark = _due(cursor, stretch, math.inf if everything else clock)
            parts += found
            if mark > stretch.after:
                marks[name] = mark
    parts.sort(key=lambda part: (part.hour, part.table, part.stream, part.source))
    return Plan(tuple(parts), marks)


def _due(cursor: duckdb.DuckDBPyConnection, stretch: Stretch, clock: float) -> tuple[list[Part], int]:
    """The parts of a stretch, and how far all of its rows are in files after them."""
    done = _done(cursor, stretch)
    due: list[Part] = []
    reached = stretch.up_to
    for found in parts_of(cursor, stretch):
        part, after = found, done.get((found.source, found.hour), 0)
        if part.last <= after:
            continue
        if part.first <= after:
            (part,) = parts_of(
                cursor, replace(stretch, after=after), _within(stretch.table, found.source, found.hour)
            )
        if stretch.table.time and part.hour + HOUR > clock:
            reached = min(reached, part.first - 1)
        else:
            due.append(replace(part, after=after))
    return due, max(reached, stretch.after)


def _done(cursor: duckdb.DuckDBPyConnection, stretch: Stretch) -> dict[tuple[str, int], int]:
    found = cursor.execute(
        "SELECT source, epoch_us(hour), max(up_to) FROM parquet_file "
        "WHERE table_name = ? AND stream = ? AND created = ? GROUP BY ALL",
        [stretch.table.name, stretch.stream, stretch.created],
    ).fetchall()
    return {(source, hour): up_to for source, hour, up_to in found}


def parts_of(cursor: duckdb.DuckDBPyConnection, stretch: Stretch, and_only: str = "") -> list[Part]:
    """The rows of a stretch by source and hour."""
    table, sequence = stretch.table, sequence_column(stretch.table)
    time, own = table.time or "make_timestamp(0)", "series" if table is SAMPLE else table.source or "''"
    names, join = ("series.source", "JOIN series ON series.series = own") if table is SAMPLE else ("own", "")
    # Names only from TABLES, numbers of our own, texts as literals.
    inner = (
        f"SELECT {own} AS own, date_trunc('hour', {time}) AS hour, count(*) AS n, "  # noqa: S608
        f"min({sequence}) AS a, max({sequence}) AS b, min({time}) AS c, max({time}) AS d "
        f"FROM {table.name} WHERE {_along(stretch)}{and_only} GROUP BY ALL HAVING n > 0"
    )
    found = cursor.execute(
        f"SELECT {names}, epoch_us(hour), sum(n)::BIGINT, min(a), max(b), epoch_us(min(c)), epoch_us(max(d)) "  # noqa: S608
        f"FROM ({inner}) {join} GROUP BY {names}, hour"
    ).fetchall()
    return [
        Part(table.name, stretch.stream, stretch.created, source, hour, stretch.after, stretch.up_to, *facts)
        for source, hour, *facts in found
    ]


def _along(stretch: Stretch) -> str:
    sequence = sequence_column(stretch.table)
    text = f"{sequence} > {stretch.after} AND {sequence} <= {stretch.up_to}"
    return text + (f" AND stream = {literal(stretch.stream)}" if has_stream(stretch.table) else "")


def _within(table: Table, source: str, hour: int) -> str:
    text = ""
    if table.time:
        text += (
            f" AND {table.time} >= make_timestamp({hour}) AND {table.time} < make_timestamp({hour + HOUR})"
        )
    if table is SAMPLE:
        text += f" AND series IN (SELECT series FROM series WHERE source = {literal(source)})"  # noqa: S608
    elif table.source:
        text += f" AND {table.source} = {literal(source)}"
    return text


def condition(part: Part) -> str:
    """The WHERE of exactly the live rows of a part."""
    table = TABLES[part.table]
    along = _along(Stretch(table, part.stream, part.created, part.after, part.up_to))
    return along + _within(table, part.source, part.hour)


def record(connection: duckdb.DuckDBPyConnection, written: Sequence[Written]) -> None:
    """Put written files into the open transaction. From now on they are never written again."""
    rows = []
    for one in written:
        part = one.part
        place = (part.table, part.stream, part.created, part.source, part.hour, part.up_to)
        extent = (part.rows, part.first, part.last, part.first_at, part.last_at)
        rows.append((one.path, *place, *extent, one.bytes, one.sha256, ""))
    record_rows(connection, rows)


def record_rows(connection: duckdb.DuckDBPyConnection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Rows of `parquet_file`, times as microseconds, into the open transaction."""
    if rows:
        connection.register("files", rows_table(PARQUET_FILE, rows))
        connection.execute("INSERT INTO parquet_file SELECT * FROM files")
        connection.unregister("files")


def record_marks(connection: duckdb.DuckDBPyConnection, plan: Plan) -> None:
    """Only when every part of the plan is recorded, in the same transaction as the last or a later one."""
    for name, mark in plan.marks.items():
        note(connection, name, str(mark))
