"""One part as a Parquet file, in slices so small that neither memory nor the writer's commits notice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import structlog

from plantops.archive.durable import UNFINISHED, durable
from plantops.archive.hours import Part, Written, condition
from plantops.archive.plant_tables import SAMPLE
from plantops.archive.portable import arrow_schema, literal, sequence_column
from plantops.archive.table import Table
from plantops.archive.tables import TABLES
from plantops.runtime.errors import IntegrityError

METADATA: Final = b"plantops.part"
"""Under this key a file tells which part it is."""

SLICE_ROWS: Final = 1 << 20
GROUP_ROWS: Final = 1 << 18
_PACKED: Final = ("observed_at", "stored_at", "sequence", "place", "source_lag", "first", "last", "number")

log = structlog.get_logger("plantops.archive")


def write_hour(cursor: duckdb.DuckDBPyConnection, folder: Path, site: str, part: Part) -> Written:
    """Write a part in the order of its table's key. When this returns, the file is on the disk, whole.

    Raises: IntegrityError when it holds other rows than planned, or its name is taken; StorageFull.
    """
    table = TABLES[part.table]
    path = folder / part.path(site)
    schema = arrow_schema(table).with_metadata({METADATA: part.told()})
    with durable(path) as file:
        rows = 0
        with pq.ParquetWriter(file, schema, **_layout(schema)) as writer:
            for batch in _batches(cursor, table, part, schema):
                rows += batch.num_rows
                writer.write_table(pa.Table.from_batches([batch], schema), GROUP_ROWS)
        if rows != part.rows:
            raise IntegrityError(
                f"{part.rows} rows of {part.table!r} were due for {path}, {rows} were found: nothing is "
                "written; is another process in the archive's file?",
                path=str(path),
            )
    return Written(part, part.path(site), file.bytes, file.sha256)


def _layout(schema: pa.Schema) -> dict[str, object]:
    packed = [
        name
        for name in schema.names
        if name in _PACKED and not pa.types.is_dictionary(schema.field(name).type)
    ]
    return {
        "compression": "zstd",
        "use_dictionary": [
            name for name in schema.names if name not in packed and name not in ("value", "body")
        ],
        "column_encoding": dict.fromkeys(packed, "DELTA_BINARY_PACKED"),
        "write_statistics": True,
        "write_page_index": True,
        "store_schema": True,
    }


def _batches(
    cursor: duckdb.DuckDBPyConnection, table: Table, part: Part, schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """The rows by rising key; a slice is a range of sequences, sorted by itself."""
    names = ", ".join(
        "series" if name == "tag" else name for name in schema.names if not _is_told(table, name)
    )
    numbers, tags = _numbers(cursor, part) if table is SAMPLE else (None, None)
    sequence = sequence_column(table)
    step = max(1, (part.last - part.first + 1) * SLICE_ROWS // max(part.rows, 1))
    for start in range(part.first, part.last + 1, step):
        slices = cursor.sql(
            f"SELECT {names} FROM {table.name} WHERE {condition(part)} "  # noqa: S608 - names from TABLES
            f"AND {sequence} BETWEEN {start} AND {start + step - 1} ORDER BY {', '.join(table.key)}"
        )
        for batch in slices.to_arrow_reader(GROUP_ROWS):
            if batch.num_rows:
                yield _outside(batch, part, schema, numbers, tags)


def _is_told(table: Table, name: str) -> bool:
    return table is SAMPLE and name == "source"


def _numbers(cursor: duckdb.DuckDBPyConnection, part: Part) -> tuple[np.ndarray, pa.Array]:
    """By series number the place of its tag in a list of tags."""
    found = cursor.execute(
        f"SELECT series, tag FROM series WHERE source = {literal(part.source)} ORDER BY series"  # noqa: S608
    ).fetchall()
    places = np.zeros(max(number for number, _tag in found) + 1, "i4")
    places[[number for number, _tag in found]] = np.arange(len(found), dtype="i4")
    return places, pa.array([tag for _number, tag in found], pa.string())


def _outside(
    batch: pa.RecordBatch, part: Part, schema: pa.Schema, numbers: np.ndarray | None, tags: pa.Array
) -> pa.RecordBatch:
    columns = []
    for field in schema:
        if numbers is not None and field.name == "source":
            zeros = pa.array(np.zeros(batch.num_rows, "i4"))
            columns.append(pa.DictionaryArray.from_arrays(zeros, pa.array([part.source], pa.string())))
        elif numbers is not None and field.name == "tag":
            places = pa.array(numbers[batch.column("series").to_numpy()])
            columns.append(pa.DictionaryArray.from_arrays(places, tags))
        else:
            columns.append(batch.column(field.name).cast(field.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def sweep(cursor: duckdb.DuckDBPyConnection, folder: Path) -> list[Path]:
    """Remove what a crash left: unfinished files, and whole ones that were not recorded. Call it before the
    first pass, after `manifest.adopt`.

    A whole one goes only while the archive still holds every row of it; what is not so is told and stays.
    """
    known = {path for (path,) in cursor.execute("SELECT path FROM parquet_file").fetchall()}
    removed = sorted(folder.rglob(f"*{UNFINISHED}"))
    for path in sorted(folder.rglob("*.parquet")):
        if str(path.relative_to(folder)) in known:
            continue
        if _is_held(cursor, path):
            removed.append(path)
        else:
            log.warning("archive.parquet_unrecorded", path=str(path), advice="the archive lacks rows of it")
    for path in removed:
        path.unlink()
        log.info("archive.orphan_removed", path=str(path))
    return removed


def _is_held(cursor: duckdb.DuckDBPyConnection, path: Path) -> bool:
    part = part_of(path)
    if part is None:
        return False
    ((counted,),) = cursor.execute(
        f"SELECT count(*) FROM {TABLES[part.table].name} WHERE {condition(part)}"  # noqa: S608 - from TABLES
    ).fetchall()
    return bool(counted == part.rows)


def part_of(path: Path) -> Part | None:
    """Which part a file says it is; None when it says nothing that can be understood."""
    try:
        told = (pq.read_schema(path).metadata or {}).get(METADATA, b"")
        part = Part.read(told)
    except (pa.ArrowInvalid, ValueError, TypeError):
        return None
    return part if part.table in {table.name for table in TABLES.values()} else None
