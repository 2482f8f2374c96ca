"""Log tables out of Parquet: an export of everything, or the archive's own folder, into an empty archive.

What was written is checked before a row is taken in. Rows come in the order of the streams, so that series
get the numbers that they would get from the streams themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Final, TypeAlias

import duckdb
import msgspec

from plantops.archive.batch import Batch
from plantops.archive.durable import sha256_of
from plantops.archive.export_manifest import StreamTold, read_export
from plantops.archive.losses import Loss, losses
from plantops.archive.manifest import File, manifests
from plantops.archive.plant_tables import LAYOUT, SAMPLE, SERIES
from plantops.archive.portable import LOGGED, literal, outside, sequence_column
from plantops.archive.series import SeriesBook
from plantops.archive.store import Store, insert
from plantops.archive.table import Table
from plantops.archive.tables import TABLES
from plantops.events.tags import SourceDefined
from plantops.runtime.errors import IntegrityError, Refused

Progress: TypeAlias = Callable[[str, int, int], None]
"""What is being done ("checking": bytes, "loading": rows), how much of it, of how much."""

SLICE_ROWS: Final = 1 << 20
_UNKNOWN: Final = ("", "", "", "", 0, None, None, "")
"""What `series` says of a tag whose definition is missing: kind, unit and the rest are empty."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was taken in. `rows` by table. `missing` is what the files do not hold, in order of stream and
    place. `streams` is how far each stream is in an export of everything, empty for the archive's own
    folder, where open hours are missing: there `whole` says up to which sequence nothing is."""

    rows: dict[str, int]
    missing: tuple[Loss, ...]
    streams: tuple[StreamTold, ...]
    whole: dict[str, int]


@dataclass
class _Loading:
    store: Store
    folder: Path
    progress: Progress | None
    total: int
    done: int = 0
    undefined: dict[str, list[str]] = field(default_factory=dict)

    def tell(self, what: str, done: int, total: int) -> None:
        if self.progress is not None:
            self.progress(what, done, total)


def load_parquet(store: Store, folder: Path, *, progress: Progress | None = None) -> Loaded:
    """Take the log tables of `folder` into `store`, and the rows of `series` with them; everything else is
    to be made from these. The caller sets positions: only he knows from where he goes on.

    Raises: IntegrityError when a file is missing, was changed, or two streams of one name are mixed; then
    nothing was taken in. Refused when the store holds rows already, or the folder is none of these.
    StorageFull; then throw the store away and begin anew.
    """
    _require_empty(store)
    exported = read_export(folder)
    if exported is not None and exported.scope != "all":
        raise Refused(
            f"{folder} is an export of a window: nothing is made again from it, export with --live",
            reason="window",
        )
    files = list(exported.files) if exported else [f for one in manifests(folder) for f in one.manifest.files]
    if not files:
        raise Refused(f"{folder} holds neither an export nor manifests of Parquet files", reason="path")
    _require_one_stream_each(files)
    loading = _Loading(store, folder, progress, sum(file.rows for file in files))
    _require_unchanged(loading, files)
    by_table = {table.name: [file for file in files if file.table == table.name] for table in LOGGED}
    _load_layouts(loading, by_table.pop(LAYOUT.name))
    for name, some in by_table.items():
        for _stream, same in groupby(sorted(some, key=lambda file: file.stream), lambda file: file.stream):
            _load(loading, TABLES[name], sorted(same, key=lambda file: (file.first, file.path)))
    missing, whole = losses(store.connection, loading.undefined)
    rows = {table.name: _count(store, table) for table in LOGGED}
    return Loaded(rows, missing, exported.streams if exported else (), whole)


def _require_empty(store: Store) -> None:
    for table in (*LOGGED, SERIES):
        if _count(store, table):
            raise Refused(
                f"{store.path} holds rows of {table.name!r} already: load into a new archive",
                reason="not_empty",
            )


def _count(store: Store, table: Table) -> int:
    ((rows,),) = store.connection.execute(f"SELECT count(*) FROM {table.name}").fetchall()  # noqa: S608
    return int(rows)


def _require_one_stream_each(files: Sequence[File]) -> None:
    seen: dict[str, str] = {}
    for file in files:
        other = seen.setdefault(file.stream, file.created)
        if other != file.created:
            raise IntegrityError(
                f"the files hold two streams of the name {file.stream!r}, made {other} and {file.created}: "
                "their sequences mean different messages; load each into an archive of its own"
            )


def _require_unchanged(loading: _Loading, files: Sequence[File]) -> None:
    total, done, bad = sum(file.bytes for file in files), 0, []

    def advance(length: int) -> None:
        nonlocal done
        done += length
        loading.tell("checking", done, total)

    for file in files:
        path = loading.folder / file.path
        if not path.is_file():
            bad.append(f"{path} is missing")
        elif sha256_of(path, advance) != (file.bytes, file.sha256):
            bad.append(f"{path} was changed")
    if bad:
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        raise IntegrityError(f"{bad[0]}{more}: nothing is loaded, take these files from a copy", path=bad[0])


def _load_layouts(loading: _Loading, files: Sequence[File]) -> None:
    """Definitions in the order of their first use, which is the order of numbers."""
    book, batch = SeriesBook({}, ()), Batch()
    if files:
        found = loading.store.connection.execute(
            f"SELECT {', '.join(LAYOUT.names)} FROM {_read(loading, files)} ORDER BY sequence"  # noqa: S608
        ).fetchall()
        for source, layout, sequence, body in found:
            definition = msgspec.json.decode(body, type=SourceDefined)
            book.numbers(definition, layout, sequence, batch)
            batch.rows[LAYOUT.name][-1] = (source, layout, sequence, body)
    with loading.store.transaction() as connection:
        insert(connection, batch)
    loading.done += len(batch.rows.get(LAYOUT.name, ()))


def _load(loading: _Loading, table: Table, files: Sequence[File]) -> None:
    """The files of one table and stream, slice by slice."""
    sequence, before = sequence_column(table), loading.done
    for start, end, some in _slices(files):
        where = f"{sequence} BETWEEN {start} AND {end}"
        try:
            loading.done += _insert(loading, table, some, where)
        except duckdb.ConstraintException:
            if table is not SAMPLE:
                raise
            _number_undefined(loading, some, where)
            loading.done += _insert(loading, table, some, where)
        loading.tell("loading", loading.done, loading.total)
    expected = sum(file.rows for file in files)
    if loading.done - before != expected:
        raise IntegrityError(
            f"{expected} rows of {table.name!r} are named, {loading.done - before} were read: manifest and "
            f"files in {loading.folder} do not belong together; throw {loading.store.path} away"
        )


def _slices(files: Sequence[File]) -> Iterator[tuple[int, int, list[File]]]:
    """Ranges of sequences with about `SLICE_ROWS` rows, and the files that reach into them."""
    first, last = files[0].first, max(file.last for file in files)
    step = max(1, (last - first + 1) * SLICE_ROWS // max(1, sum(file.rows for file in files)))
    waiting, current = list(reversed(files)), list[File]()
    for start in range(first, last + 1, step):
        end = min(start + step - 1, last)
        while waiting and waiting[-1].first <= end:
            current.append(waiting.pop())
        if current:
            yield start, end, current
        current = [file for file in current if file.last > end]


def _insert(loading: _Loading, table: Table, files: Sequence[File], where: str) -> int:
    names = ", ".join("series.series" if name == "series" else name for name in table.names)
    join = " LEFT JOIN series USING (source, tag)" if table is SAMPLE else ""
    with loading.store.transaction() as connection:
        ((counted,),) = connection.execute(
            f"INSERT INTO {table.name} SELECT {names} FROM {_read(loading, files)}{join} "  # noqa: S608 - of TABLES
            f"WHERE {where} ORDER BY {', '.join(table.key)}"
        ).fetchall()
    return int(counted)


def _read(loading: _Loading, files: Sequence[File]) -> str:
    paths = ", ".join(literal(str(loading.folder / file.path)) for file in files)
    return f"read_parquet([{paths}], hive_partitioning = false)"


def _number_undefined(loading: _Loading, files: Sequence[File], where: str) -> None:
    """Tags whose definition no file holds get the next numbers, in the order of their first use."""
    connection = loading.store.connection
    fresh = connection.execute(
        f"SELECT source, tag FROM {_read(loading, files)} ANTI JOIN series USING (source, tag) "  # noqa: S608
        f"WHERE {where} GROUP BY source, tag ORDER BY min((sequence, place))"
    ).fetchall()
    ((number,),) = connection.execute("SELECT coalesce(max(series), 0) FROM series").fetchall()
    batch = Batch()
    for offset, (source, tag) in enumerate(fresh, 1):
        batch.add(SERIES.name, (number + offset, source, tag, *_UNKNOWN))
        loading.undefined.setdefault(source, []).append(tag)
    with loading.store.transaction() as opened:
        insert(opened, batch)


def load_tables(store: Store, folder: Path) -> None:
    """The tables that follow from the log, and positions, as an export of everything kept them: for reading
    them beside the log. After `load_parquet`; where tables are to be made again, leave this out.

    Raises: IntegrityError when a file was changed.
    """
    exported = read_export(folder)
    for file in exported.tables if exported else ():
        table, path = TABLES[file.table], folder / file.path
        if not path.is_file() or sha256_of(path) != (file.bytes, file.sha256):
            raise IntegrityError(f"{path} is missing or was changed: take it from a copy", path=str(path))
        if table.name in (SERIES.name, "about"):
            continue
        join = " JOIN series USING (source, tag)" if outside(table) != table else ""
        names = ", ".join("series.series" if name == "series" else name for name in table.names)
        with store.transaction() as connection:
            connection.execute(
                f"INSERT INTO {table.name} SELECT {names} "  # noqa: S608 - of TABLES
                f"FROM read_parquet({literal(str(path))}, hive_partitioning = false){join}"
            )
