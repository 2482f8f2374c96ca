"""A digest says what a table holds: nothing of how it is stored, and every bit of what is."""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.sampling import T0, Sample, block, opened, random_samples, series_row, stored
from plantops.archive.batch import Batch, Row
from plantops.archive.differing import Difference, differing
from plantops.archive.digests import DIGESTED, table_digests
from plantops.archive.plant_tables import SAMPLE
from plantops.archive.store import Store, insert
from plantops.archive.table import Table
from plantops.archive.tables import TABLES
from plantops.runtime.errors import IntegrityError

SIZES = {
    "BIGINT": "<q",
    "INTEGER": "<i",
    "USMALLINT": "<H",
    "UTINYINT": "<B",
    "BOOLEAN": "<B",
    "TIMESTAMP": "<q",
}
NAMES = [("boiler", "t1"), ("boiler", "t2"), ("mill", "speed"), ("mill", "t1"), ("zoo", "ä")]


def memory(*tables: str) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={"threads": 1})
    for name in {*tables, "series"}:
        connection.execute(TABLES[name].create())
    return connection


def put(connection: duckdb.DuckDBPyConnection, name: str, rows: list[Row]) -> None:
    if rows:
        insert(connection, Batch(rows={name: rows}))


def holding(name: str, rows: list[Row]) -> duckdb.DuckDBPyConnection:
    connection = memory(name)
    put(connection, name, rows)
    return connection


def digest(connection: duckdb.DuckDBPyConnection, name: str) -> str:
    return table_digests(connection, [name])[name].sha256


def number(kind: str, value: Any) -> bytes:
    if kind == "DOUBLE":
        value = 0.0 if value is None else value
        return bytes.fromhex("000000000000f87f") if math.isnan(value) else struct.pack("<d", value)
    return struct.pack(SIZES[kind], int(value or 0))


def text(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else value or b""


def by_the_book(table: Table, rows: list[Row], names: dict[int, tuple[str, str]]) -> str:
    """The digest as the module's words have it, in the plainest way. `rows` are in the order of the key."""
    lines = [f"plantops table 1\n{table.name} {len(rows)}\n"]
    for place, column in enumerate(table.columns):
        values = [row[place] for row in rows]
        streams: list[tuple[str, str, bytes]] = []
        if column.name == "series":
            if table.name == "series":
                continue
            used = list(dict.fromkeys(names[value] for value in values))
            streams.append(
                ("INTEGER", "values", b"".join(struct.pack("<i", used.index(names[v])) for v in values))
            )
            parts = [part.encode() for pair in used for part in pair]
            lines += said("series", streams)
            streams = [
                ("VARCHAR", "lengths", b"".join(struct.pack("<q", len(part)) for part in parts)),
                ("VARCHAR", "bytes", b"".join(parts)),
            ]
            lines += said("names", streams)
            continue
        if not column.required:
            streams.append((column.type, "valid", bytes(value is not None for value in values)))
        if column.type in ("VARCHAR", "BLOB"):
            lengths = b"".join(struct.pack("<q", len(text(value))) for value in values)
            streams += [
                (column.type, "lengths", lengths),
                (column.type, "bytes", b"".join(map(text, values))),
            ]
        else:
            streams.append((column.type, "values", b"".join(number(column.type, value) for value in values)))
        lines += said(column.name, streams)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def said(name: str, streams: list[tuple[str, str, bytes]]) -> list[str]:
    return [f"{name} {kind} {stream} {hashlib.sha256(data).hexdigest()}\n" for kind, stream, data in streams]


def values_of(kind: str) -> st.SearchStrategy[Any]:
    texts = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=6)
    return {
        "BIGINT": st.integers(-(2**63) + 1, 2**63 - 1),
        "BLOB": st.binary(max_size=6),
        "BOOLEAN": st.booleans(),
        "DOUBLE": st.floats(),
        "INTEGER": st.integers(-(2**31), 2**31 - 1),
        "TIMESTAMP": st.integers(-(2**60), 2**60),
        "USMALLINT": st.integers(0, 65535),
        "UTINYINT": st.integers(0, 255),
        "VARCHAR": texts,
    }[kind]


@st.composite
def rows_of(draw: st.DrawFn, table: Table) -> list[Row]:
    """Rows in the order of the key, which is unique."""
    row = st.tuples(
        *(
            st.integers(1, len(NAMES))
            if c.name == "series" and table.name != "series"
            else values_of(c.type)
            if c.required
            else st.none() | values_of(c.type)
            for c in table.columns
        )
    )
    places = [table.names.index(name) for name in table.key]

    def key(row: Row) -> tuple[Any, ...]:
        return tuple(NAMES[row[p] - 1] if table.names[p] == "series" else row[p] for p in places)

    return sorted(draw(st.lists(row, max_size=5, unique_by=key)), key=key)


@pytest.mark.parametrize("name", DIGESTED)
@given(data=st.data())
@settings(deadline=None, max_examples=8)
def test_is_what_the_words_say_in_whatever_order_the_rows_came(name: str, data: st.DataObject) -> None:
    table = TABLES[name]
    rows = data.draw(rows_of(table))
    connection = holding(name, data.draw(st.permutations(rows)))
    if name != "series":
        put(connection, "series", [series_row(n + 1, *names) for n, names in enumerate(NAMES)])
    names = {n + 1: pair for n, pair in enumerate(NAMES)}
    assert digest(connection, name) == by_the_book(table, rows, names)
    assert list(differing(connection, connection, name)) == []


def plain_row(table: Table, **changed: Any) -> Row:
    start: dict[str, Any] = {"VARCHAR": "a", "BLOB": b"a", "DOUBLE": 1.0, "BOOLEAN": False}
    row = {c.name: start.get(c.type, 1) for c in table.columns}
    return tuple((row | changed).values())


@pytest.mark.parametrize("name", DIGESTED)
def test_one_changed_value_in_any_column_is_seen_and_named(name: str) -> None:
    table = TABLES[name]
    before = plain_row(table)
    other = {"VARCHAR": "b", "BLOB": b"b", "DOUBLE": math.nextafter(1, 2), "BOOLEAN": True}
    a, b = holding(name, [before]), memory(name)
    for connection in (a, b) if name != "series" else ():
        put(connection, "series", [series_row(1, "boiler", "t1")])
    for column in table.columns:
        if column.name == "series":
            continue
        b.execute(f"DELETE FROM {name}")
        put(b, name, [plain_row(table, **{column.name: other.get(column.type, 2)})])
        assert digest(a, name) != digest(b, name), column.name
        found = {(one.column, one.a is None, one.b is None) for one in differing(a, b, name)}
        whole = {("", False, True), ("", True, False)}
        assert found == (whole if column.name in table.key else {(column.name, False, False)})


@pytest.mark.parametrize("column", ["value", "text"])
def test_null_zero_nan_signs_and_empty_texts_all_differ(column: str) -> None:
    values: list[Any] = [None, "", "\n", "NULL"]
    if column == "value":
        values = [None, 0.0, -0.0, math.nan, math.inf]
    seen = set()
    for value in values:
        connection = holding("sample", [plain_row(SAMPLE, **{column: value})])
        put(connection, "series", [series_row(1, "boiler", "t1")])
        seen.add(digest(connection, "sample"))
    assert len(seen) == len(values)


def test_texts_do_not_run_into_each_other() -> None:
    a = holding("layout", [("s", "1", 1, "ab"), ("s", "2", 1, "c")])
    b = holding("layout", [("s", "1", 1, "a"), ("s", "2", 1, "bc")])
    assert digest(a, "layout") != digest(b, "layout")


def test_every_nan_is_the_same() -> None:
    digests = set()
    for pattern in (0x7FF8000000000000, 0xFFF8000000000001):
        (value,) = struct.unpack("<d", struct.pack("<Q", pattern))
        connection = holding("sample", [plain_row(SAMPLE, value=value)])
        put(connection, "series", [series_row(1, "boiler", "t1")])
        digests.add(digest(connection, "sample"))
    assert len(digests) == 1


def test_empty_tables_have_digests_that_tell_them_apart() -> None:
    found = table_digests(memory(*TABLES))
    assert set(found) == {name for name, table in TABLES.items() if table.origin != "own"}
    assert {one.rows for one in found.values()} == {0}
    assert len({one.sha256 for one in found.values()}) == len(found)


@pytest.fixture(name="store")
def _store(tmp_path: Path) -> Iterator[Store]:
    store = opened(tmp_path / "live.duckdb")
    yield store
    store.close()


def test_batches_order_and_numbering_of_series_do_not_matter(store: Store, tmp_path: Path) -> None:
    samples = random_samples(2, 1000)
    stored(store, block(samples))
    with store.transaction() as connection:
        put(connection, "series", [series_row(n + 1, *NAMES[n]) for n in range(5)])
    other = opened(tmp_path / "other" / "live.duckdb")
    renamed = [Sample(10 - one.series, one.at, one.value, one.quality, one.text) for one in samples]
    stored(other, block(renamed[500:], 501))
    for start in range(0, 500, 100):
        stored(other, block(renamed[start : start + 100], start + 1))
    with other.transaction() as connection:
        put(connection, "series", [series_row(9 - n, *NAMES[n]) for n in range(5)])
    tables = ["sample", "series"]
    assert table_digests(store.connection, tables) == table_digests(other.connection, tables)
    assert [list(differing(store.connection, other.connection, name)) for name in tables] == [[], []]
    other.close()


def test_a_window_cuts_by_the_time_of_the_table(store: Store) -> None:
    stored(store, block([Sample(1, T0 + second, 1.0) for second in range(10)]))
    with store.transaction() as connection:
        put(connection, "series", [series_row(1, "boiler", "t1")])
    found = table_digests(store.connection, ["sample", "series"], since=T0 + 3, until=T0 + 5)
    assert (found["sample"].rows, found["series"].rows) == (2, 1)


def test_tells_how_far_it_is(store: Store) -> None:
    stored(store, block([Sample(1, T0 + second, 1.0) for second in range(10)]))
    with store.transaction() as connection:
        put(connection, "series", [series_row(1, "boiler", "t1")])
    told: list[tuple[str, int, int]] = []
    table_digests(store.connection, ["sample"], progress=lambda *now: told.append(now))
    assert told[-1] == ("sample", 10, 10)


@pytest.mark.parametrize("series", [-1, 2, 77])
def test_a_sample_of_no_known_series_is_an_error_that_names_it(store: Store, series: int) -> None:
    stored(store, block([Sample(series, T0, 1.0)]))
    with store.transaction() as connection:
        put(connection, "series", [series_row(1, "a", "b"), series_row(3, "a", "c")])
    with pytest.raises(IntegrityError, match=f"table sample has rows of series {series},"):
        table_digests(store.connection, ["sample"])


def test_names_the_edited_the_missing_and_the_added_row() -> None:
    rows = [plain_row(SAMPLE, sequence=n // 10, place=n % 10, value=float(n)) for n in range(1000)]
    a, b = holding("sample", rows), holding("sample", rows)
    for connection, number_here in ((a, 1), (b, 1)):
        put(connection, "series", [series_row(number_here, "boiler", "t1")])
    b.execute("UPDATE sample SET value = -1 WHERE sequence = 3 AND place = 4")
    b.execute("DELETE FROM sample WHERE sequence = 50 AND place = 0")
    a.execute("DELETE FROM sample WHERE sequence = 99 AND place = 9")
    missing, added = ((("boiler", "t1"), 1, float(n), "a", 1, 1, n // 10, n % 10) for n in (500, 999))
    assert list(differing(a, b, "sample")) == [
        Difference((3, 4), "value", 34.0, -1.0),
        Difference((50, 0), "", missing, None),
        Difference((99, 9), "", None, added),
    ]


def test_rows_of_roll_ups_are_named_by_source_and_tag() -> None:
    table = TABLES["rollup_1m"]
    a = holding(table.name, [plain_row(table, series=s, bucket=T0) for s in (1, 2)])
    b = holding(
        table.name, [plain_row(table, series=s, bucket=T0, total=2.0 if s == 7 else 1.0) for s in (7, 8)]
    )
    put(a, "series", [series_row(1, "mill", "t1"), series_row(2, "boiler", "t1")])
    put(b, "series", [series_row(7, "mill", "t1"), series_row(8, "boiler", "t1")])
    assert list(differing(a, b, table.name)) == [Difference(("mill", "t1", T0), "total", 1.0, 2.0)]


def test_stops_at_the_limit() -> None:
    rows = [plain_row(SAMPLE, sequence=n) for n in range(100)]
    a, b = holding("sample", rows), holding("sample", [])
    put(a, "series", [series_row(1, "boiler", "t1")])
    assert len(list(differing(a, b, "sample", limit=7))) == 7


def test_a_null_where_none_may_be_is_an_error() -> None:
    connection = memory()
    connection.execute(
        "CREATE TABLE layout (source VARCHAR, layout VARCHAR, sequence BIGINT, "
        "body VARCHAR); INSERT INTO layout VALUES ('a', 'b', NULL, 'c')"
    )
    with pytest.raises(IntegrityError, match="column sequence has 1 rows without a value"):
        table_digests(connection, ["layout"])
