"""How rows look outside of an archive: source and tag in place of a series number, so they stand alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pyarrow as pa

from plantops.archive.columns import ARROW
from plantops.archive.plant_tables import LAYOUT, SAMPLE, SERIES
from plantops.archive.record_tables import AUDIT, HOLE
from plantops.archive.table import Column, Table, needs
from plantops.archive.tables import TABLES

TAGS: Final = "TAGS"
HOUR: Final = 3_600_000_000  # microseconds

LOGGED: Final = tuple(table for table in TABLES.values() if table.origin == "log" and table is not AUDIT)
"""What goes to Parquet; audit records go as tiles."""

_NAMES: Final = (needs("source", "VARCHAR"), needs("tag", "VARCHAR"))
_REPEATED: Final = frozenset({"source", "tag", "stream", "type", "subject", "signer", "layout", "cause"})


def outside(table: Table) -> Table:
    """The table as it is outside: the same without `series`, with `source` and `tag` at its place."""
    columns: tuple[Column, ...] = table.columns
    if table is SERIES:
        columns = tuple(column for column in columns if column.name != "series")
    elif has_series(table):
        columns = (*_NAMES, *(column for column in columns if column.name != "series"))
    key = tuple(name for one in table.key for name in (("source", "tag") if one == "series" else (one,)))
    return replace(table, columns=columns, key=key)


def has_series(table: Table) -> bool:
    """Whether its rows name their tag by a number."""
    return table is not SERIES and "series" in table.names


def select(table: Table) -> str:
    """The SELECT of all rows as they are outside; a WHERE or AND may follow."""
    names = ", ".join(outside(table).names)
    join = " JOIN series USING (series)" if has_series(table) else ""
    return f"SELECT {names} FROM {table.name}{join}"  # noqa: S608 - names from TABLES


def arrow_schema(table: Table) -> pa.Schema:
    """The columns as they are outside, words that come again and again as dictionaries."""
    return pa.schema(
        [pa.field(c.name, _arrow_type(table, c), nullable=not c.required) for c in outside(table).columns]
    )


def _arrow_type(table: Table, column: Column) -> pa.DataType:
    if column.name in _REPEATED and table is not LAYOUT:
        return pa.dictionary(pa.int32(), pa.string())
    return ARROW[column.type]


def sequence_column(table: Table) -> str:
    """The column that says where a row stands in its stream."""
    return HOLE.key[1] if table is HOLE else "sequence"


def has_stream(table: Table) -> bool:
    """Whether its rows come from several streams and say from which; those of the others are all of TAGS."""
    return "stream" in table.names


def partition_source(table: Table) -> bool:
    """Whether its files hold the rows of one source each."""
    return table is SAMPLE or bool(table.source)


def literal(text: str) -> str:
    """A text inside SQL, where no parameter can stand."""
    return "'" + text.replace("'", "''") + "'"
