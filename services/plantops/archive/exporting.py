"""Exports of the archive: a window of it for reading, or everything, from which it can be made again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import duckdb

from plantops.archive.durable import durable
from plantops.archive.export_manifest import ExportManifest, Format, finish, new_folder
from plantops.archive.export_tables import Progress, Wanted, export_tables, opened, site_of, streams_of
from plantops.archive.hour_file import write_hour
from plantops.archive.hours import Plan, Written, closed
from plantops.archive.manifest import File, known_files
from plantops.archive.portable import LOGGED
from plantops.archive.tables import TABLES
from plantops.runtime.errors import IntegrityError

TABLES_FOLDER: Final = "tables"
"""Where an export of everything keeps the tables that follow from the log, as they were in the live file."""

_OTHERS: Final = tuple(
    table for table in TABLES.values() if table not in LOGGED and table.name != "parquet_file"
)
_CHUNK: Final = 1 << 20
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def export_window(
    source: Path, target: Path, wanted: Wanted, form: Format, *, progress: Progress | None = None
) -> ExportManifest:
    """What a DuckDB file of the archive holds (the served snapshot, a live file that nobody owns), into a new
    folder `target`.

    Raises: Refused when `target` exists; StorageFull; what `opened` raises.
    """
    with new_folder(target) as folder, opened(source, folder / "spill") as connection:
        files = export_tables(connection, folder, wanted, form, progress=progress)
        manifest = ExportManifest(
            site=site_of(connection),
            made_at=datetime.now(UTC),
            format=form,
            scope="window",
            since=_moment(wanted.since),
            until=_moment(wanted.until),
            streams=streams_of(connection),
            tables=tuple(files),
        )
        finish(folder, manifest)
    return manifest


def export_all(
    cursor: duckdb.DuckDBPyConnection, parquet: Path, target: Path, *, progress: Progress | None = None
) -> ExportManifest:
    """Everything that the archive ever stored, as Parquet, into a new folder `target`.

    Closed hours are copied from `parquet` with their hashes checked; what is not closed yet comes from the
    live file behind `cursor`, which belongs to the calling thread. All is of one instant: one transaction
    that only reads, so the owner goes on writing, but its write-ahead log is not folded in before the end.

    Raises: IntegrityError naming a file that is missing or was changed; Refused when `target` exists;
    StorageFull.
    """
    cursor.begin()
    try:
        with new_folder(target) as folder:
            return _everything(cursor, parquet, folder, progress)
    finally:
        cursor.rollback()


def _everything(
    cursor: duckdb.DuckDBPyConnection, parquet: Path, folder: Path, progress: Progress | None
) -> ExportManifest:
    site, files, plan = site_of(cursor), known_files(cursor), closed(cursor, everything=True)
    advance = _counted(progress, files, plan, _rows(cursor))
    for file in files:
        _copy(parquet, folder, file)
        advance(file.rows)
    fresh: list[File] = []
    for part in plan.parts:
        fresh.append(_file(write_hour(cursor, folder, site, part)))
        advance(part.rows)
    tables = export_tables(
        cursor, folder, Wanted(_OTHERS), "parquet", prefix=f"{TABLES_FOLDER}/", progress=None
    )
    advance(sum(table.rows for table in tables))
    manifest = ExportManifest(
        site=site,
        made_at=datetime.now(UTC),
        format="parquet",
        scope="all",
        streams=streams_of(cursor),
        files=(*files, *fresh),
        tables=tuple(tables),
    )
    finish(folder, manifest)
    return manifest


def _rows(cursor: duckdb.DuckDBPyConnection) -> int:
    counts = (cursor.execute(f"SELECT count(*) FROM {table.name}").fetchall() for table in _OTHERS)  # noqa: S608
    return sum(int(rows) for ((rows,),) in counts)


def _counted(progress: Progress | None, files: list[File], plan: Plan, others: int) -> Callable[[int], None]:
    total = sum(file.rows for file in files) + sum(part.rows for part in plan.parts) + others
    done = 0

    def advance(rows: int) -> None:
        nonlocal done
        done += rows
        if progress is not None:
            progress(done, total)

    return advance


def _copy(parquet: Path, folder: Path, file: File) -> None:
    source = parquet / file.path
    try:
        opened_source = source.open("rb")
    except FileNotFoundError as error:
        raise IntegrityError(
            f"{source} is missing, {file.rows} rows of {file.table!r} are nowhere else: take it from a copy",
            path=str(source),
        ) from error
    with opened_source as data, durable(folder / file.path) as copy:
        while piece := data.read(_CHUNK):
            copy.write(piece)
    if (copy.bytes, copy.sha256) != (file.bytes, file.sha256):
        raise IntegrityError(
            f"{source} was changed since it was written: take it from a copy", path=str(source)
        )


def _file(written: Written) -> File:
    part = written.part
    return File(
        path=written.path,
        table=part.table,
        stream=part.stream,
        created=part.created,
        source=part.source,
        hour=part.hour,
        up_to=part.up_to,
        rows=part.rows,
        first=part.first,
        last=part.last,
        first_at=part.first_at,
        last_at=part.last_at,
        bytes=written.bytes,
        sha256=written.sha256,
    )


def _moment(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else _EPOCH + timedelta(microseconds=microseconds)
