"""Rows and sample blocks as Arrow tables, which DuckDB takes in without copying them row by row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from plantops.archive.batch import Row, SampleBlock
from plantops.archive.table import SqlType, Table

ARROW: Final[Mapping[SqlType, pa.DataType]] = {
    "BIGINT": pa.int64(),
    "BOOLEAN": pa.bool_(),
    "BLOB": pa.binary(),
    "DOUBLE": pa.float64(),
    "INTEGER": pa.int32(),
    "TIMESTAMP": pa.timestamp("us"),
    "USMALLINT": pa.uint16(),
    "UTINYINT": pa.uint8(),
    "VARCHAR": pa.string(),
}


def schema_of(table: Table) -> pa.Schema:
    """The table's columns as Arrow has them."""
    return pa.schema([pa.field(c.name, ARROW[c.type], nullable=not c.required) for c in table.columns])


def rows_table(table: Table, rows: Sequence[Row]) -> pa.Table:
    """Rows as an Arrow table. Raises: pa.ArrowInvalid, pa.ArrowTypeError when a value fits no column."""
    columns = zip(*rows, strict=True)
    schema = schema_of(table)
    return pa.Table.from_arrays(
        [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)], schema=schema
    )


def samples_table(block: SampleBlock) -> pa.Table:
    """Samples as an Arrow table; all but `value` and `text` share their memory with the block."""
    missing = None if block.has_value.all() else ~block.has_value
    return pa.table(
        {
            "series": block.series,
            "observed_at": block.observed_at.view("datetime64[us]"),
            "value": pa.array(block.value, mask=missing, from_pandas=False),
            "text": pa.nulls(len(block), pa.string())
            if block.text is None
            else pa.array(block.text, pa.string()),
            "quality": block.quality,
            "source_lag": block.source_lag,
            "sequence": block.sequence,
            "place": block.place,
        }
    )


def microseconds(nanoseconds: int) -> int:
    """Nanoseconds since 1970 as the archive keeps them, truncated towards the past."""
    return nanoseconds // 1000


def is_exact(number: int) -> bool:
    """Whether a double holds the integer exactly."""
    return int(np.float64(number)) == number
