"""The roll-ups of one archive: open buckets in memory, the rest in its tables, and a mark between them.

The mark is the sequence in TAGS up to which the tables hold all samples. It is written with the buckets, so
after a crash the samples behind it are folded again, into buckets that do not have them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from plantops.archive.batch import SampleBlock
from plantops.archive.columns import schema_of
from plantops.archive.plant_tables import ROLLUP_1H, ROLLUP_1M, ROLLUP_1S, SAMPLE
from plantops.archive.rollups import Buckets, Found, Rollups, ranked, unranked
from plantops.archive.store import Store, note
from plantops.archive.tables import TABLES
from plantops.runtime.errors import IntegrityError

MARK: Final = "rolled"
"""The name in table `about` under which the mark stands."""

_READ_AT_ONCE: Final = 1 << 17
_PLACES: Final = 1 << 16  # `sample.place` is a USMALLINT


class Roller:
    """Keeps the roll-up tables of a store. One thread at a time, the one that uses `store.connection`.

    Call `resume` first, and again after any exception and after any transaction with a `flush` in it that did
    not commit: it starts anew from what is stored. Retention must keep hours at least as long as minutes and
    minutes as long as seconds: hours tell which buckets may exist.
    """

    def __init__(self, store: Store, limit: int = 1_000_000) -> None:
        """`limit`: buckets in memory above which `is_full` asks for a flush; 200 bytes each."""
        self._store: Final = store
        self._limit: Final = limit
        self._rollups = Rollups(self._load, limit)
        self._mark = 0
        self._last = -1
        self._sound = False

    @property
    def is_full(self) -> bool:
        """Whether a flush should not wait any longer."""
        return self._rollups.is_full

    def resume(self) -> int:
        """Drop what is in memory and fold the samples behind the mark; flushes by itself when there are many.
        Returns the number of samples.

        Raises: IntegrityError, StorageFull.
        """
        connection = self._store.connection
        self._rollups = Rollups(self._load, self._limit)
        self._mark = _mark(connection)
        self._last = self._mark * _PLACES + _PLACES - 1
        self._sound = True
        self._learn(connection)
        folded = 0
        for block in _stored(self._store, self._mark):
            self.fold(block)
            folded += len(block)
            if self.is_full:
                with self._store.transaction() as open_transaction:
                    self.flush(open_transaction, int(block.sequence[-1]))
        return folded

    def fold(self, block: SampleBlock) -> None:
        """Fold samples that are stored, or that are stored in the transaction of the next flush or before.

        Raises: IntegrityError when they do not follow the ones before in (sequence, place).
        """
        if not len(block):
            return
        self._require_sound()
        order = block.sequence * _PLACES + block.place
        if order[0] <= self._last or not (order[1:] > order[:-1]).all():
            raise IntegrityError(
                f"samples of TAGS from sequence {block.sequence[0]} do not follow sequence "
                f"{self._last // _PLACES}: fold each once and in order, or call resume()"
            )
        self._sound = False
        self._rollups.fold(block)
        self._sound = True
        self._last = int(order[-1])

    def flush(self, connection: duckdb.DuckDBPyConnection, up_to: int) -> int:
        """Write the changed buckets and the mark into the open transaction, which the caller commits.

        `up_to` is a sequence in TAGS: all samples up to it are folded and stored, none behind it is folded.
        Returns the number of rows written.

        Raises: IntegrityError when that cannot be so, or the table has two rows for one bucket.
        """
        self._require_sound()
        if up_to < self._mark or up_to < self._last // _PLACES:
            raise IntegrityError(
                f"roll-ups hold samples up to sequence {self._last // _PLACES} of TAGS and cannot be marked "
                f"as complete up to {up_to}: name the last sequence that was folded"
            )
        stands = _mark(connection)
        if stands != self._mark:
            raise IntegrityError(
                f"the roll-ups' mark is {stands} and not {self._mark}: a flush did not commit, call resume()"
            )
        self._sound = False
        written = sum(_write(connection, table, found) for table, found in self._rollups.changed())
        note(connection, MARK, str(up_to))
        self._rollups.settle()
        self._mark = up_to
        self._last = max(self._last, up_to * _PLACES + _PLACES - 1)
        self._sound = True
        return written

    def _require_sound(self) -> None:
        if not self._sound:
            raise IntegrityError("roll-ups in memory are incomplete after an error: call resume()")

    def _learn(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Find out how far each series may be in each table, without reading the large ones whole."""
        hours = _newest(connection, ROLLUP_1H.name, None)
        if not len(hours[0]):
            return
        self._rollups.known(ROLLUP_1H.name, *hours)
        end_of_hour = hours[1] + 3_600_000_000 - 1
        # Half of the series are at the median hour or later; only those need a closer look, which zone maps
        # make cheap. One source whose clock runs ahead does not move the median.
        since = int(np.median(hours[1]))
        for table in (ROLLUP_1M.name, ROLLUP_1S.name):
            behind = hours[1] < since
            self._rollups.known(table, hours[0][behind], end_of_hour[behind])
            self._rollups.known(table, *_newest(connection, table, since))

    def _load(self, table: str, series: NDArray[np.int32], bucket: NDArray[np.int64]) -> Found:
        connection = self._store.connection
        asked = pa.table({"series": series, "bucket": bucket.view("datetime64[us]")})
        connection.register("asked", asked)
        try:
            rows = connection.sql(
                f"SELECT {table}.* FROM {table} JOIN asked USING (series, bucket) "  # noqa: S608 - of TABLES
                f"WHERE {table}.bucket BETWEEN make_timestamp(?) AND make_timestamp(?)",
                params=[int(bucket.min()), int(bucket.max())],
            ).to_arrow_table()
        finally:
            connection.unregister("asked")
        return _found(rows)


def _mark(connection: duckdb.DuckDBPyConnection) -> int:
    found = connection.execute("SELECT value FROM about WHERE name = ?", [MARK]).fetchall()
    return int(found[0][0]) if found else 0


def _newest(
    connection: duckdb.DuckDBPyConnection, table: str, since: int | None
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Each series with its newest bucket (µs) in a table, among those from `since` on."""
    where = "" if since is None else f"WHERE bucket >= make_timestamp({since})"
    rows = connection.sql(
        f"SELECT series, epoch_us(max(bucket)) AS bucket FROM {table} {where} GROUP BY series"  # noqa: S608
    ).to_arrow_table()
    return rows["series"].to_numpy(), rows["bucket"].to_numpy()


def _write(connection: duckdb.DuckDBPyConnection, table: str, found: Found) -> int:
    """Put buckets in the place of the rows that the table has for them."""
    if not len(found.series):
        return 0
    changed = _rows(table, found)
    known = changed.select(["series", "bucket"]).filter(pa.array(found.held.stored))
    if len(known):
        _delete(connection, table, known)
    # DuckDB finds `changed` by its name here, and `known` below.
    connection.execute(f"INSERT INTO {table} SELECT * FROM changed")  # noqa: S608 - of TABLES
    return len(changed)


def _delete(connection: duckdb.DuckDBPyConnection, table: str, known: Any) -> None:
    deleted = connection.execute(
        f"DELETE FROM {table} USING known "  # noqa: S608 - of TABLES
        f"WHERE {table}.series = known.series AND {table}.bucket = known.bucket "
        f"AND {table}.bucket >= (SELECT min(bucket) FROM known) "
        f"AND {table}.bucket <= (SELECT max(bucket) FROM known)"
    ).fetchall()[0][0]
    # Fewer may be there: retention deletes without asking.
    if deleted > len(known):
        raise IntegrityError(
            f"table {table} has {deleted} rows for {len(known)} buckets: rebuild it with `plantops replay`"
        )


def _rows(table: str, found: Found) -> Any:
    held = found.held
    none = held.numbers == 0
    schema = schema_of(TABLES[table])
    columns = {
        "series": found.series,
        "bucket": found.bucket.view("datetime64[us]"),
        "samples": held.samples,
        "good": held.good,
        "uncertain": held.uncertain,
        "numbers": held.numbers,
        "minimum": pa.array(unranked(held.lowest), mask=none, from_pandas=False),
        "maximum": pa.array(unranked(held.highest), mask=none, from_pandas=False),
        "total": pa.array(held.total, mask=none, from_pandas=False),
        "last_value": pa.array(held.last_value, mask=~held.last_has_value, from_pandas=False),
        "last_text": pa.array(held.last_text.tolist(), pa.string()),
        "last_quality": held.last_quality,
        "last_at": held.last_at.view("datetime64[us]"),
    }
    return pa.table([columns[name] for name in schema.names], schema=schema)


def _found(rows: Any) -> Found:
    return Found(
        series=rows["series"].to_numpy(),
        bucket=_micros(rows["bucket"]),
        held=Buckets(
            samples=rows["samples"].to_numpy(),
            good=rows["good"].to_numpy(),
            uncertain=rows["uncertain"].to_numpy(),
            numbers=rows["numbers"].to_numpy(),
            lowest=_ranks(rows["minimum"], np.iinfo(np.int64).max),
            highest=_ranks(rows["maximum"], np.iinfo(np.int64).min),
            total=rows["total"].fill_null(0.0).to_numpy(),
            last_value=rows["last_value"].fill_null(0.0).to_numpy(),
            last_has_value=rows["last_value"].is_valid().to_numpy(),
            last_text=np.array(rows["last_text"].to_pylist(), np.object_),
            last_quality=rows["last_quality"].to_numpy(),
            last_at=_micros(rows["last_at"]),
            stored=np.ones(len(rows), np.bool_),
        ),
    )


def _ranks(column: Any, missing: int) -> NDArray[np.int64]:
    ranks = ranked(column.fill_null(0.0).to_numpy())
    return np.where(column.is_valid().to_numpy(), ranks, missing)


def _micros(column: Any) -> NDArray[np.int64]:
    micros: NDArray[np.int64] = column.to_numpy().astype("datetime64[us]").view(np.int64)
    return micros


def _stored(store: Store, after: int) -> Iterator[SampleBlock]:
    """The samples behind a sequence of TAGS in (sequence, place) order, cut between sequences only."""
    connection = store.cursor()
    ordered = _is_ordered(connection, after)
    reader = connection.sql(
        f"SELECT {', '.join(SAMPLE.names)} FROM sample WHERE sequence > ? "  # noqa: S608 - of TABLES
        f"{'' if ordered else 'ORDER BY sequence, place'}",
        params=[after],
    ).to_arrow_reader(_READ_AT_ONCE)
    rest: list[Any] = []
    for batch in reader:
        table = pa.Table.from_batches([*rest, batch])
        sequence = table["sequence"].to_numpy()
        end = int(np.searchsorted(sequence, sequence[-1])) if len(sequence) else 0
        if end:
            yield _block(table.slice(0, end))
        rest = table.slice(end).to_batches()
    if rest:
        yield _block(pa.Table.from_batches(rest))
    connection.close()


def _is_ordered(connection: duckdb.DuckDBPyConnection, after: int) -> bool:
    """Whether the rows lie in order as they are, which they do unless somebody moved them: a sort of all
    samples would cost far more than this look at two columns."""
    last = -1
    reader = connection.sql(
        "SELECT sequence, place FROM sample WHERE sequence > ?", params=[after]
    ).to_arrow_reader(_READ_AT_ONCE)
    for batch in reader:
        order = batch["sequence"].to_numpy() * _PLACES + batch["place"].to_numpy()
        if len(order) and (order[0] <= last or not (order[1:] > order[:-1]).all()):
            return False
        last = int(order[-1]) if len(order) else last
    return True


def _block(rows: Any) -> SampleBlock:
    value = rows["value"]
    return SampleBlock(
        series=rows["series"].to_numpy(),
        observed_at=_micros(rows["observed_at"]),
        value=value.fill_null(float("nan")).to_numpy(),
        has_value=value.is_valid().to_numpy(),
        text=None if rows["text"].null_count == len(rows) else rows["text"].to_pylist(),
        quality=rows["quality"].to_numpy(),
        source_lag=rows["source_lag"].to_numpy(),
        sequence=rows["sequence"].to_numpy(),
        place=rows["place"].to_numpy(),
    )
