"""Where two archives differ: the rows and columns by name, and both values."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final, NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from plantops.archive.batch import Row
from plantops.archive.canonical import SeriesNames, bits
from plantops.archive.digests import Ascent, Window, has_series, lies_in_order, select
from plantops.archive.table import Table
from plantops.archive.tables import TABLES

_READ_AT_ONCE: Final = 1 << 17


class Difference(NamedTuple):
    """One value that differs. Times are µs; a series number is (source, tag) in `key` and in the values.

    `column` is "" for a row that only one side has: its values, and None on the other side.
    """

    key: Row
    column: str
    a: Any
    b: Any


def differing(
    a: duckdb.DuckDBPyConnection,
    b: duckdb.DuckDBPyConnection,
    table: str,
    *,
    window: Window = Window(),  # noqa: B008 - frozen
    limit: int = 20,
) -> Iterator[Difference]:
    """The first `limit` differences of a table between two archives, in the order of its key.

    Two rows are the same when their digests are: NaN equals NaN, -0.0 is not 0.0, NULL is nothing else.
    Raises: IntegrityError when a row is of a series that its archive does not know.
    """
    meant = TABLES[table]
    left, right = _Side(a, meant, window), _Side(b, meant, window)
    return islice(_merged(meant, left, right), limit)


class _Side:
    """The rows of one archive in the order of the key; `batch` are those that are not dealt with yet."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, table: Table, window: Window) -> None:
        self._table = table
        self._names = SeriesNames(connection) if has_series(table) else None
        self._columns = [name for name in table.names if has_series(table) or name != "series"]
        # A cursor of its own: both sides may be the same archive.
        self._connection = connection.cursor()
        ordered = not (lies_in_order(table) and self._ascends(window))
        query = select(table, window, ordered=ordered)
        self._reader = iter(self._connection.sql(query).to_arrow_reader(_READ_AT_ONCE))
        self.batch: Any = pa.RecordBatch.from_pylist([])
        self.skip(0)

    def _ascends(self, window: Window) -> bool:
        ascent = Ascent(self._table.key)
        query = select(self._table, window, ordered=False)
        keys = f"SELECT {', '.join(self._table.key)} FROM ({query})"  # noqa: S608 - of TABLES
        return all(map(ascent.goes_on, self._connection.sql(keys).to_arrow_reader(_READ_AT_ONCE)))

    def skip(self, rows: int) -> None:
        """These rows are dealt with."""
        self.batch = self.batch.slice(rows)
        while not len(self.batch) and (found := next(self._reader, None)) is not None:
            self.batch = found.select(self._columns)

    def named(self, rows: int) -> dict[str, Any]:
        """The columns of the next rows, series by their names."""
        columns = {name: self.batch.column(name).slice(0, rows) for name in self._columns}
        if self._names is not None:
            columns["series"] = self._series(columns["series"])
        return columns

    def _series(self, column: Any) -> Any:
        numbers, places = np.unique(column.to_numpy(), return_inverse=True)
        assert self._names is not None
        names = ["\0".join(self._names.of(number, self._table.name)) for number in numbers.tolist()]
        return pa.DictionaryArray.from_arrays(places.astype(np.int32), pa.array(names, pa.string())).cast(
            pa.string()
        )

    def row(self) -> Row:
        """The next row."""
        return tuple(_value(name, column, 0) for name, column in self.named(1).items())

    def key(self) -> Row:
        """The key of the next row."""
        return _key(self._table, self.named(1), 0)


def _merged(table: Table, a: _Side, b: _Side) -> Iterator[Difference]:
    while len(a.batch) and len(b.batch):
        rows = min(len(a.batch), len(b.batch))
        left, right = a.named(rows), b.named(rows)
        masks = {name: _unequal(table, name, left[name], right[name]) for name in left}
        apart = np.flatnonzero(np.any([masks[name] for name in table.key], axis=0))
        common = int(apart[0]) if len(apart) else rows
        for place in np.flatnonzero(np.any(list(masks.values()), axis=0)[:common]).tolist():
            key = _key(table, left, place)
            for name in left:
                if masks[name][place]:
                    yield Difference(
                        key, name, _value(name, left[name], place), _value(name, right[name], place)
                    )
        a.skip(common)
        b.skip(common)
        if common < rows:
            yield _alone(a, b)
    for side in (a, b):
        while len(side.batch):
            yield _only(side, is_a=side is a)


def _alone(a: _Side, b: _Side) -> Difference:
    """The keys of the next rows differ: the smaller one is missing on the other side."""
    return _only(a, is_a=True) if a.key() < b.key() else _only(b, is_a=False)


def _only(side: _Side, *, is_a: bool) -> Difference:
    key, row = side.key(), side.row()
    side.skip(1)
    return Difference(key, "", row if is_a else None, None if is_a else row)


def _key(table: Table, columns: dict[str, Any], place: int) -> Row:
    key: list[Any] = []
    for name in table.key:
        value = _value(name, columns[name], place)
        key.extend(value if isinstance(value, tuple) else (value,))
    return tuple(key)


def _value(name: str, column: Any, place: int) -> Any:
    one = column[place]
    if name == "series":
        return tuple(one.as_py().split("\0"))
    return one.value if pa.types.is_timestamp(column.type) else one.as_py()


def _unequal(table: Table, name: str, a: Any, b: Any) -> NDArray[np.bool_]:
    kind = next(column.type for column in table.columns if column.name == name)
    if kind in ("VARCHAR", "BLOB") or name == "series":
        values = pc.fill_null(pc.not_equal(a, b), False).to_numpy(zero_copy_only=False)
    else:
        values = bits(a, kind) != bits(b, kind)
    validity = pc.xor(a.is_valid(), b.is_valid()).to_numpy(zero_copy_only=False)
    unequal: NDArray[np.bool_] = values | validity
    return unequal
