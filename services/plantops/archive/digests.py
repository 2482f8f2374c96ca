"""What a table holds, as one number: the same wherever and however the rows are stored.

The digest of a table, so that others can compute it:

1. The rows stand in the order of the table's key; texts by their UTF-8 bytes. `series` in a key stands for
   (source, tag).
2. Every column becomes byte streams, each the concatenation over all rows, integers little-endian:

   - `valid`, only of columns that may be NULL: one byte a row, 1 or 0;
   - BIGINT 8, INTEGER 4, USMALLINT 2, UTINYINT 1 and BOOLEAN 1 byte a row: `values`, 0 for NULL;
   - TIMESTAMP: `values`, 8 bytes a row, microseconds since 1970 UTC, 0 for NULL;
   - DOUBLE: `values`, 8 bytes a row, IEEE 754; every NaN is 0x7ff8000000000000, -0.0 is itself, NULL is 0.0;
   - VARCHAR and BLOB: `lengths`, 8 bytes a row, 0 for NULL, then `bytes`, all texts (UTF-8) joined.

3. The column `series` of table `series` is left out. Elsewhere it is two columns in its place: `series`, an
   INTEGER counted from 0 in the order of first use in the rows, and `names`, for each of these numbers the
   source and the tag, as two VARCHAR `lengths` in turn and their `bytes`.
4. The digest is the SHA-256 of this ASCII text, each line ended by a line feed:

       plantops table 1
       <table> <rows>
       <column> <type> <stream> <SHA-256 of the stream, hexadecimal>

   with one line a stream, in the order of the columns and as above; the lines of `names` are of type VARCHAR.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import duckdb
import numpy as np

from plantops.archive.canonical import SeriesNames, SeriesStream, Stream, stream_of
from plantops.archive.plant_tables import SERIES
from plantops.archive.table import Table
from plantops.archive.tables import TABLES

DIGESTED: Final = tuple(table.name for table in TABLES.values() if table.origin != "own")
"""The tables that say something about the plant and not about this file."""

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with a table's name, the rows that were taken and those that it has."""

_READ_AT_ONCE: Final = 1 << 17


@dataclass(frozen=True, slots=True)
class TableDigest:
    """`sha256` in hexadecimal, over the bytes that the module describes."""

    rows: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Window:
    """Times in µs, `until` excluded; None leaves an end open. It cuts tables that have a time."""

    since: int | None = None
    until: int | None = None


def table_digests(
    connection: duckdb.DuckDBPyConnection,
    tables: Iterable[str] = DIGESTED,
    since: int | None = None,
    until: int | None = None,
    progress: Progress | None = None,
) -> dict[str, TableDigest]:
    """Digests of tables by name. `since` and `until` (µs, the latter excluded) cut those that have a time.

    Memory is bounded by DuckDB's own limit: tables with a key of integers usually lie in its order and are
    read as they lie; others, and these if not, are sorted by DuckDB.

    Raises: IntegrityError when a sample or bucket is of a series that is not there, or a NULL stands where
    none may.
    """
    names = SeriesNames(connection)
    return {name: _digest(connection, TABLES[name], names, Window(since, until), progress) for name in tables}


def select(table: Table, window: Window, *, ordered: bool) -> str:
    """The query of a table's columns, by key if `ordered`; `series` is left as the number it is here."""
    columns = ", ".join(f"{table.name}.{column.name}" for column in table.columns)
    return (
        f"SELECT {columns} FROM {table.name}{_ranks(table) if ordered else ''}"  # noqa: S608 - of TABLES
        f"{_where(table, window)}{' ORDER BY ' + _order(table) if ordered else ''}"
    )


def has_series(table: Table) -> bool:
    """Whether its rows name a tag by a series number, which means nothing elsewhere."""
    return table.name != SERIES.name and "series" in table.names


def _ranks(table: Table) -> str:
    if "series" not in table.key:
        return ""
    ranks = "SELECT series, row_number() OVER (ORDER BY source, tag) AS rank FROM series"
    return f" LEFT JOIN ({ranks}) AS ranks ON ranks.series = {table.name}.series"


def _order(table: Table) -> str:
    return ", ".join("ranks.rank" if name == "series" else f"{table.name}.{name}" for name in table.key)


def _where(table: Table, window: Window) -> str:
    if not table.time:
        return ""
    column = f"{table.name}.{table.time}"
    parts = [] if window.since is None else [f"{column} >= make_timestamp({window.since})"]
    parts += [] if window.until is None else [f"{column} < make_timestamp({window.until})"]
    return f" WHERE {' AND '.join(parts)}" if parts else ""


def lies_in_order(table: Table) -> bool:
    """Whether a table is worth reading as it lies: it grows in the order of its key, which is integers."""
    types = {column.name: column.type for column in table.columns}
    return all(types[name] in ("BIGINT", "USMALLINT") for name in table.key)


def _digest(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    names: SeriesNames,
    window: Window,
    progress: Progress | None,
) -> TableDigest:
    for as_it_lies in (True, False) if lies_in_order(table) else (False,):
        hashing, ascent = _Hashing(table, names), Ascent(table.key)
        total = _count(connection, table, window) if progress else 0
        query = select(table, window, ordered=not as_it_lies)
        for batch in connection.sql(query).to_arrow_reader(_READ_AT_ONCE):
            if as_it_lies and not ascent.goes_on(batch):
                break
            hashing.add(batch)
            if progress:
                progress(table.name, hashing.rows, total)
        else:
            return hashing.digest()
    raise AssertionError("unreachable: sorted rows are always taken")


def _count(connection: duckdb.DuckDBPyConnection, table: Table, window: Window) -> int:
    where = _where(table, window)
    return int(connection.execute(f"SELECT count(*) FROM {table.name}{where}").fetchall()[0][0])  # noqa: S608


class Ascent:
    """Looks whether rows come in the order of a key of integers."""

    def __init__(self, key: tuple[str, ...]) -> None:
        self._key = key
        self._last: tuple[int, ...] = ()

    def goes_on(self, batch: Any) -> bool:
        """Whether all rows of an Arrow batch stand behind each other and behind the ones before."""
        if not len(batch):
            return True
        keys = [batch.column(name).to_numpy().astype(np.int64) for name in self._key]
        is_later = np.zeros(len(batch) - 1, np.bool_)
        for key in reversed(keys):
            is_later = (key[1:] > key[:-1]) | ((key[1:] == key[:-1]) & is_later)
        before, self._last = self._last, tuple(int(key[-1]) for key in keys)
        return (not before or tuple(int(key[0]) for key in keys) > before) and bool(is_later.all())


class _Hashing:
    """The digest of one table as its rows come by."""

    def __init__(self, table: Table, names: SeriesNames) -> None:
        self.rows = 0
        self._table = table
        self._columns: list[Stream] = []
        for column in table.columns:
            if column.name != "series":
                self._columns.append(stream_of(column))
            elif has_series(table):
                self._columns.append(SeriesStream(table.name, names))
        self._places = [
            place for place, name in enumerate(table.names) if name != "series" or has_series(table)
        ]

    def add(self, batch: Any) -> None:
        for stream, place in zip(self._columns, self._places, strict=True):
            stream.add(batch.column(place))
        self.rows += len(batch)

    def digest(self) -> TableDigest:
        lines = [f"plantops table 1\n{self._table.name} {self.rows}\n"]
        for stream in self._columns:
            lines += [f"{label} {digest}\n" for label, digest in stream.digests()]
        return TableDigest(self.rows, hashlib.sha256("".join(lines).encode()).hexdigest())
