"""Tables of a DuckDB file as Parquet, CSV or another DuckDB file, as they are outside of an archive."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import duckdb
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from plantops.archive.durable import HashedFile, durable, sha256_of
from plantops.archive.export_manifest import Format, StreamTold, TableFile
from plantops.archive.faults import translated
from plantops.archive.portable import arrow_schema, has_series, literal, outside
from plantops.archive.served_empty import STORAGE_VERSION
from plantops.archive.table import Column, Table
from plantops.archive.tables import TABLES
from plantops.archive.views import create_views
from plantops.runtime.errors import StorageError

Progress: TypeAlias = Callable[[int, int], None]
"""Rows that were written, of how many."""

DATABASE: Final = "plantops.duckdb"
_BATCH: Final = 1 << 17
_MEMORY: Final = "1024MB"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which tables, and from when (included) to when (excluded), in microseconds. A table without a time is
    always whole."""

    tables: tuple[Table, ...] = tuple(TABLES.values())
    since: int | None = None
    until: int | None = None

    def where(self, table: Table) -> str:
        """The WHERE clause, or nothing."""
        bounds = [
            f"{table.time} {sign} make_timestamp({moment})"
            for sign, moment in ((">=", self.since), ("<", self.until))
            if table.time and moment is not None
        ]
        return " WHERE " + " AND ".join(bounds) if bounds else ""


@contextmanager
def opened(source: Path, spill: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB file for reading, beside others who read it. Raises: StorageError when it is not there,
    StorageBusy when a process owns it, IntegrityError when it is damaged."""
    if not source.is_file():
        raise StorageError(
            f"{source} does not exist: the archive writes it while it runs, see `plantops doctor`",
            path=str(source),
        )
    with duckdb.connect(config={"memory_limit": _MEMORY, "temp_directory": str(spill)}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        with translated(source):
            connection.execute(f"ATTACH {literal(str(source))} AS source (READ_ONLY)")
        connection.execute("USE source")
        yield connection


def streams_of(connection: duckdb.DuckDBPyConnection) -> tuple[StreamTold, ...]:
    """How far each stream is in a file."""
    rows = connection.execute(
        "SELECT stream, created, sequence, epoch_us(stored_at) FROM position ORDER BY stream"
    ).fetchall()
    return tuple(StreamTold(stream=s, created=c, sequence=n, stored_at=at) for s, c, n, at in rows)


def site_of(connection: duckdb.DuckDBPyConnection) -> str:
    """Whose archive a file is."""
    found = connection.execute("SELECT value FROM about WHERE name = 'site'").fetchall()
    return str(found[0][0]) if found else ""


def export_tables(
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    wanted: Wanted,
    form: Format,
    *,
    prefix: str = "",
    progress: Progress | None = None,
) -> list[TableFile]:
    """Write each wanted table of the current database into `folder`, in the order of its key.

    `prefix` stands before the files' names. Raises: StorageFull, IntegrityError; OSError.
    """
    totals = {table.name: _count(connection, table, wanted) for table in wanted.tables}
    done, total = 0, sum(totals.values())
    if form == "duckdb":
        return [_database(connection, folder, wanted, total)]
    files: list[TableFile] = []
    for table in wanted.tables:
        with durable(folder / f"{prefix}{table.name}.{form}") as file:
            rows = 0
            with _writer(table, file, form) as write:
                for batch in _batches(connection, table, wanted, form):
                    write(batch)
                    rows += batch.num_rows
                    if progress is not None:
                        progress(done + rows, total)
        done += rows
        name = f"{prefix}{table.name}.{form}"
        files.append(TableFile(path=name, table=table.name, rows=rows, bytes=file.bytes, sha256=file.sha256))
    return files


def _count(connection: duckdb.DuckDBPyConnection, table: Table, wanted: Wanted) -> int:
    ((rows,),) = connection.execute(f"SELECT count(*) FROM {table.name}{wanted.where(table)}").fetchall()  # noqa: S608
    return int(rows)


def _batches(
    connection: duckdb.DuckDBPyConnection, table: Table, wanted: Wanted, form: Format
) -> Iterator[pa.RecordBatch]:
    view, schema = outside(table), _schema(table, form)
    columns = ", ".join(_shown(column) if form == "csv" else column.name for column in view.columns)
    join = " JOIN series USING (series)" if has_series(table) else ""
    order = ", ".join(view.key)
    rows = connection.sql(
        f"SELECT {columns} FROM {table.name}{join}{wanted.where(table)} ORDER BY {order}"  # noqa: S608 - of TABLES
    )
    for batch in rows.to_arrow_reader(_BATCH):
        if batch.num_rows:
            yield batch.cast(schema)


def _schema(table: Table, form: Format) -> pa.Schema:
    if form == "parquet":
        return arrow_schema(table)
    texts = {"TIMESTAMP": pa.string(), "BLOB": pa.string()}
    plain = pa.schema([pa.field(f.name, _undictionaried(f.type)) for f in arrow_schema(table)])
    for number, column in enumerate(outside(table).columns):
        if column.type in texts:
            plain = plain.set(number, pa.field(column.name, pa.string()))
    return plain


def _undictionaried(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _shown(column: Column) -> str:
    """As a CSV reader of any kind takes it in."""
    if column.type == "TIMESTAMP":
        return f"strftime({column.name}, '%Y-%m-%dT%H:%M:%S.%fZ') AS {column.name}"
    return f"lower(hex({column.name})) AS {column.name}" if column.type == "BLOB" else column.name


@contextmanager
def _writer(table: Table, file: HashedFile, form: Format) -> Iterator[Callable[[pa.RecordBatch], None]]:
    schema = _schema(table, form)
    if form == "parquet":
        with pq.ParquetWriter(file, schema, compression="zstd") as parquet:
            yield parquet.write_batch
        return
    # RFC 4180: CRLF ends a record, what holds a comma, quote or line break is quoted, quotes are doubled.
    options = pa_csv.WriteOptions(
        eol="\r\n", quoting_style="needed", quoting_header="none", batch_size=_BATCH
    )
    with pa_csv.CSVWriter(file, schema, write_options=options) as csv:
        yield csv.write_batch


def _database(connection: duckdb.DuckDBPyConnection, folder: Path, wanted: Wanted, total: int) -> TableFile:
    path = folder / DATABASE
    ((source,),) = connection.execute("SELECT current_database()").fetchall()
    with translated(path):
        connection.execute(
            f"ATTACH {literal(str(path))} AS exported (STORAGE_VERSION {literal(STORAGE_VERSION)})"
        )
        connection.execute("USE exported")
        for table in TABLES.values():
            connection.execute(table.create())
        _fill(connection, source, wanted)
        create_views(connection)
        connection.execute(f"USE {source}")
        connection.execute("DETACH exported")
    size, digest = sha256_of(path)
    return TableFile(path=DATABASE, table="*", rows=total, bytes=size, sha256=digest)


def _fill(connection: duckdb.DuckDBPyConnection, source: str, wanted: Wanted) -> None:
    for table in wanted.tables:
        names = ", ".join(table.names)
        connection.execute(
            f"INSERT INTO {table.name} SELECT {names} FROM {source}.{table.name}{wanted.where(table)} "  # noqa: S608
            f"ORDER BY {', '.join(table.key)}"
        )
