"""Columns as canonical bytes: the same for the same values, whatever stored them and in what pieces.

`digests` says what the bytes are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from plantops.archive.table import Column, SqlType
from plantops.runtime.errors import IntegrityError

_NUMBERS: Final[Mapping[SqlType, str]] = {
    "BIGINT": "<i8",
    "BOOLEAN": "u1",
    "INTEGER": "<i4",
    "TIMESTAMP": "<i8",
    "USMALLINT": "<u2",
    "UTINYINT": "u1",
}
_ARROW_INTEGERS: Final[Mapping[SqlType, pa.DataType]] = {"BOOLEAN": pa.uint8(), "TIMESTAMP": pa.int64()}
_NAN: Final = np.int64(0x7FF8000000000000)


class SeriesNames:
    """Source and tag of each series number in one archive."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        rows = connection.execute("SELECT series, source, tag FROM series").fetchall()
        self.names: Final = {series: (source, tag) for series, source, tag in rows}

    def of(self, series: int, table: str) -> tuple[str, str]:
        """Raises: IntegrityError when the number is not there."""
        if series not in self.names:
            raise IntegrityError(
                f"table {table} has rows of series {series}, which table series does not have: "
                "rebuild the archive with `plantops replay`"
            )
        return self.names[series]


class Stream:
    """The byte streams of one column, hashed as the pieces of the column come by."""

    def __init__(self, name: str, kind: SqlType, *streams: str) -> None:
        self.name, self.kind = name, kind
        self._hashes = {stream: hashlib.sha256() for stream in streams}

    def add(self, column: Any) -> None:
        """Take the next rows, as an Arrow array. Raises: IntegrityError for a value that may not be there."""
        raise NotImplementedError

    def digests(self) -> Iterator[tuple[str, str]]:
        """What each stream is, and its SHA-256."""
        for stream, state in self._hashes.items():
            yield f"{self.name} {self.kind} {stream}", state.hexdigest()


def stream_of(column: Column) -> Stream:
    """The streams of a column that is taken as it is."""
    streams = () if column.required else ("valid",)
    kind = _Bytes if column.type in ("VARCHAR", "BLOB") else _Numbers
    return kind(column, *streams)


class _Plain(Stream):
    """A column as the table has it."""

    streams: tuple[str, ...] = ()

    def __init__(self, column: Column, *streams: str) -> None:
        super().__init__(column.name, column.type, *streams, *self.streams)
        self._required = column.required

    def _valid(self, column: Any) -> None:
        if not self._required:
            self._hashes["valid"].update(column.is_valid().cast(pa.uint8()).to_numpy(zero_copy_only=False))
        elif column.null_count:
            raise IntegrityError(
                f"column {self.name} has {column.null_count} rows without a value, which it may not: "
                "rebuild the archive with `plantops replay`"
            )


class _Numbers(_Plain):
    streams = ("values",)

    def add(self, column: Any) -> None:
        self._valid(column)
        self._hashes["values"].update(bits(column, self.kind).data)


def bits(column: Any, kind: SqlType) -> NDArray[Any]:
    """An Arrow array of numbers in their canonical form: NULL is 0, a double is its bits with one NaN."""
    integers = column.cast(_ARROW_INTEGERS[kind]) if kind in _ARROW_INTEGERS else column
    if integers.null_count:
        integers = integers.fill_null(0)
    values = integers.to_numpy(zero_copy_only=False)
    if kind != "DOUBLE":
        return np.ascontiguousarray(values, _NUMBERS[kind])
    undefined = np.isnan(values)
    whole = np.ascontiguousarray(values, "<f8").view("<i8")
    return np.where(undefined, _NAN, whole).astype("<i8", copy=False) if undefined.any() else whole


class _Bytes(_Plain):
    streams = ("lengths", "bytes")

    def add(self, column: Any) -> None:
        self._valid(column)
        lengths = np.zeros(len(column), "<i8")
        if column.null_count < len(column):
            lengths[:] = pc.fill_null(pc.binary_length(column), 0).to_numpy(zero_copy_only=False)
            self._hashes["bytes"].update(_joined(column.drop_null() if column.null_count else column))
        self._hashes["lengths"].update(lengths.data)


def _joined(column: Any) -> memoryview:
    """The bytes of all texts of an Arrow array without NULL, without copying them."""
    offsets = np.frombuffer(column.buffers()[1], np.int32)[column.offset : column.offset + len(column) + 1]
    data = column.buffers()[2]
    return memoryview(b"" if data is None else data)[int(offsets[0]) : int(offsets[-1])]


class SeriesStream(Stream):
    """A series number, as the order in which its source and tag first occur."""

    def __init__(self, table: str, names: SeriesNames) -> None:
        super().__init__("series", "INTEGER", "values")
        self._table, self._names = table, names
        self._places = np.full(max(names.names, default=0) + 1, -1, "<i4")
        self._lengths, self._bytes = hashlib.sha256(), hashlib.sha256()
        self._count = 0

    def add(self, column: Any) -> None:
        series = column.to_numpy()
        if len(series) and not 0 <= series.min() <= series.max() < len(self._places):
            self._names.of(int(series.max() if series.min() >= 0 else series.min()), self._table)
        places = self._places[series]
        if (places < 0).any():
            fresh, first = np.unique(series[places < 0], return_index=True)
            for one in fresh[np.argsort(first)].tolist():
                self._name(one)
            places = self._places[series]
        self._hashes["values"].update(places.data)

    def _name(self, series: int) -> None:
        self._places[series] = self._count
        self._count += 1
        for text in self._names.of(series, self._table):
            data = text.encode()
            self._lengths.update(len(data).to_bytes(8, "little"))
            self._bytes.update(data)

    def digests(self) -> Iterator[tuple[str, str]]:
        yield from super().digests()
        yield "names VARCHAR lengths", self._lengths.hexdigest()
        yield "names VARCHAR bytes", self._bytes.hexdigest()
