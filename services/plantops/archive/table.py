"""What a table is: columns, key, and where its rows come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

SqlType: TypeAlias = Literal[
    "BIGINT", "BOOLEAN", "BLOB", "DOUBLE", "INTEGER", "TIMESTAMP", "USMALLINT", "UTINYINT", "VARCHAR"
]
Origin: TypeAlias = Literal["log", "derived", "own"]
"""log: from a stream. derived: a function of log tables. own: about this archive itself, in no digest."""


@dataclass(frozen=True, slots=True)
class Column:
    """`required`: never NULL. `text` explains it to people."""

    name: str
    type: SqlType
    text: str = ""
    required: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """`key` is unique and orders the rows (digests, exports). `time` is the column by which a window, a
    partition or retention cuts the table, "" where it is kept whole. `source` is the column that holds the
    source by which Parquet is partitioned, "" for none (samples reach theirs through `series`).
    `replaces`: a new row takes the place of the one with its key; all others only ever grow."""

    name: str
    text: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    origin: Origin = "log"
    time: str = ""
    source: str = ""
    replaces: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names, in order."""
        return tuple(column.name for column in self.columns)

    def create(self, schema: str = "", *, texts: str = "") -> str:
        """The CREATE TABLE statement; `texts` is how text columns are compressed, "" as DuckDB finds best.

        No constraint but NOT NULL: an index would halve the speed of writing, and uniqueness follows from
        positions that are stored with the rows.
        """
        lines = ", ".join(
            f"{c.name} {c.type}{' NOT NULL' if c.required else ''}"
            f"{f' USING COMPRESSION {texts}' if texts and c.type == 'VARCHAR' else ''}"
            for c in self.columns
        )
        return f"CREATE TABLE {schema + '.' if schema else ''}{self.name} ({lines})"


def needs(name: str, kind: SqlType, text: str = "") -> Column:
    """A column that is never NULL."""
    return Column(name, kind, text, required=True)


SEQUENCE: Final = needs("sequence", "BIGINT", "where it stands in its stream")
STORED: Final = needs("stored_at", "TIMESTAMP", "the broker's clock when it was stored")
COMMAND: Final = needs("command", "VARCHAR", "the command's identity")
