"""Exports: everything, from which the same archive comes again, and windows for other programs."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from plantops.archive.batch import Batch
from plantops.archive.export_manifest import MANIFEST, README, read_export
from plantops.archive.export_tables import DATABASE, Wanted
from plantops.archive.exporting import export_all, export_window
from plantops.archive.hour_file import write_hour
from plantops.archive.hours import closed, record, record_marks
from plantops.archive.importing import Loaded, load_parquet, load_tables
from plantops.archive.manifest import known_files, mark, next_manifest
from plantops.archive.portable import LOGGED
from plantops.archive.store import Store
from plantops.archive.tables import TABLES
from plantops.runtime.errors import IntegrityError, Refused
from support.archived_plant import DAWN, HOUR, MINUTE, ArchivedPlant

END = f"make_timestamp({DAWN + 2 * HOUR})"


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[ArchivedPlant]:
    made = ArchivedPlant.make(tmp_path)
    fill(made)
    yield made
    made.store.close()


def fill(plant: ArchivedPlant) -> None:
    """Three hours of two sources that take turns, with late rows, a hole and what could not be read."""
    batch = Batch()
    for minute in range(0, 180, 15):
        at = DAWN + minute * MINUTE
        plant.frame("plc2" if minute % 2 else "plc1", at, batch=batch)
        plant.frame("opc", at - 50 * MINUTE, batch=batch)
        plant.event("INTENTS", at, '{"text":"a \\"b\\", c"}', batch=batch)
        batch.add("finding", (plant.sequences["INTENTS"], at, "", "line one\r\nline two", "{}"))
        batch.add("rollup_1m", (1, at, 1, 1, 0, 1, 1.5, None, 1.5, 1.5, None, 192, at))
    plant.commit(batch)
    plant.unread("INTENTS", DAWN + 5 * MINUTE)
    plant.hole("INTENTS", 7, DAWN + 6 * MINUTE)
    plant.event("INTENTS", DAWN + 3 * HOUR)


def to_parquet(plant: ArchivedPlant) -> None:
    cursor = plant.store.cursor()
    plan = closed(cursor)
    written = [write_hour(cursor, plant.parquet, "demo", part) for part in plan.parts]
    with plant.store.transaction() as connection:
        record(connection, written)
        record_marks(connection, plan)
    stored = next_manifest(cursor, plant.parquet, "demo")
    assert stored is not None
    with plant.store.transaction() as connection:
        mark(connection, stored)


def rows(store: Store, table: str) -> list[str]:
    """Every row, bit by bit, in the order of the key."""
    made = TABLES[table]
    found = store.connection.execute(f"SELECT * FROM {table} ORDER BY {', '.join(made.key)}").fetchall()
    return [repr(row) for row in found]


def loaded(folder: Path, source: Path) -> tuple[Store, Loaded]:
    store = Store.open(folder / "again.duckdb", "demo")
    return store, load_parquet(store, source)


def test_everything_goes_out_and_the_same_archive_comes_again(plant: ArchivedPlant, tmp_path: Path) -> None:
    to_parquet(plant)
    before = {name: rows(plant.store, name) for name in TABLES if name != "parquet_file"}
    # Rows that only Parquet holds any more.
    plant.store.connection.execute(f"DELETE FROM sample WHERE observed_at < {END}")
    told: list[tuple[int, int]] = []
    manifest = export_all(
        plant.store.cursor(),
        plant.parquet,
        tmp_path / "out",
        progress=lambda done, all_: told.append((done, all_)),
    )
    assert told[-1][0] == told[-1][1] == manifest.rows
    again, result = loaded(tmp_path, tmp_path / "out")
    try:
        load_tables(again, tmp_path / "out")
        for name, wanted in before.items():
            if name != "about":
                assert rows(again, name) == wanted, name
        assert not [one for one in result.missing if one.first]
        assert {one.stream: one.sequence for one in result.streams} == plant.sequences
        assert result.whole == plant.sequences
    finally:
        again.close()


def test_series_get_the_numbers_that_the_streams_gave_them(plant: ArchivedPlant, tmp_path: Path) -> None:
    export_all(plant.store.cursor(), plant.parquet, tmp_path / "out")
    again, _result = loaded(tmp_path, tmp_path / "out")
    assert rows(again, "series") == rows(plant.store, "series")
    again.close()


def test_samples_come_in_the_order_of_the_stream_whatever_file_they_were_in(
    plant: ArchivedPlant, tmp_path: Path
) -> None:
    to_parquet(plant)
    again, _result = loaded(tmp_path, plant.parquet)
    found = again.connection.execute("SELECT sequence, place FROM sample").fetchall()
    assert found == sorted(found)
    again.close()


def test_the_archives_own_folder_loads_and_says_what_is_missing(plant: ArchivedPlant, tmp_path: Path) -> None:
    to_parquet(plant)
    again, result = loaded(tmp_path, plant.parquet)
    try:
        assert again.connection.execute("SELECT count(*) FROM sample").fetchone() == (
            plant.store.connection.execute(
                f"SELECT count(*) FROM sample WHERE observed_at < {END}"
            ).fetchone()
        )
        gaps = [(one.stream, one.first, one.last) for one in result.missing if one.first]
        assert gaps
        held = plant.store.connection.execute(
            f"SELECT sequence FROM frame WHERE observed_at >= {END} AND sequence < "
            f"(SELECT max(sequence) FROM frame WHERE observed_at < {END})"
        ).fetchall()
        missing = {n for stream, first, last in gaps if stream == "TAGS" for n in range(first, last + 1)}
        assert missing == {sequence for (sequence,) in held}
        assert result.whole["TAGS"] == min(missing) - 1
    finally:
        again.close()


def test_a_lost_file_or_a_changed_byte_stops_before_a_row_is_taken_in(
    plant: ArchivedPlant, tmp_path: Path
) -> None:
    export_all(plant.store.cursor(), plant.parquet, tmp_path / "out")
    path = next((tmp_path / "out" / "event").rglob("*.parquet"))
    data = path.read_bytes()
    again = Store.open(tmp_path / "again.duckdb", "demo")
    try:
        path.write_bytes(data[:50] + bytes([data[50] ^ 1]) + data[51:])
        with pytest.raises(IntegrityError, match=f"{path.name} was changed"):
            load_parquet(again, tmp_path / "out")
        path.unlink()
        with pytest.raises(IntegrityError, match="is missing"):
            load_parquet(again, tmp_path / "out")
        assert rows(again, "frame") == rows(again, "layout") == []
        path.write_bytes(data)
        load_parquet(again, tmp_path / "out")
        with pytest.raises(Refused, match="holds rows"):
            load_parquet(again, tmp_path / "out")
    finally:
        again.close()


def test_tags_without_a_definition_keep_their_samples_and_are_named(
    plant: ArchivedPlant, tmp_path: Path
) -> None:
    plant.store.connection.execute("DELETE FROM layout WHERE source = 'opc'")
    export_all(plant.store.cursor(), plant.parquet, tmp_path / "out")
    again, result = loaded(tmp_path, tmp_path / "out")
    try:
        assert result.rows["sample"] == plant.counted("sample")
        assert [one.text for one in result.missing] == [
            "the definition of 5 tags of 'opc' is missing: 'opc.t0' …"
        ]
        found = again.connection.execute("SELECT tag, kind FROM series WHERE source = 'opc' ORDER BY series")
        assert found.fetchall() == [(f"opc.t{n}", "") for n in range(5)]
    finally:
        again.close()


def test_an_hour_that_was_changed_on_the_disk_is_not_exported(plant: ArchivedPlant, tmp_path: Path) -> None:
    to_parquet(plant)
    path = plant.parquet / known_files(plant.store.cursor())[0].path
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(IntegrityError, match="was changed"):
        export_all(plant.store.cursor(), plant.parquet, tmp_path / "out")
    path.unlink()
    with pytest.raises(IntegrityError, match="is missing"):
        export_all(plant.store.cursor(), plant.parquet, tmp_path / "out")
    assert not [path for path in tmp_path.iterdir() if "out" in path.name]


def test_the_writer_goes_on_while_everything_is_exported(plant: ArchivedPlant, tmp_path: Path) -> None:
    before = plant.counted("frame")
    wrote: list[int] = []

    def write(_done: int, _total: int) -> None:
        if not wrote:
            wrote.append(plant.frame("plc1", DAWN + 3 * HOUR))

    manifest = export_all(plant.store.cursor(), plant.parquet, tmp_path / "out", progress=write)
    assert plant.counted("frame") == before + 1
    assert sum(file.rows for file in manifest.files if file.table == "frame") == before


def live(plant: ArchivedPlant) -> Path:
    """The live file with nobody in it."""
    plant.store.close()
    return plant.folder / "live.duckdb"


@pytest.mark.parametrize("form", ["parquet", "csv", "duckdb"])
def test_nothing_is_written_over(plant: ArchivedPlant, tmp_path: Path, form: str) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(Refused, match="not written over"):
        export_window(live(plant), tmp_path / "out", Wanted(), form)  # type: ignore[arg-type]
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("form", ["parquet", "csv", "duckdb"])
def test_the_manifest_names_every_file_with_its_hash(plant: ArchivedPlant, tmp_path: Path, form: str) -> None:
    manifest = export_window(live(plant), tmp_path / "out", Wanted(), form)  # type: ignore[arg-type]
    assert read_export(tmp_path / "out") == manifest
    on_disk = {
        str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()
    }
    assert on_disk == {MANIFEST, README, *(file.path for file in manifest.tables)}
    for file in manifest.tables:
        data = (tmp_path / "out" / file.path).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (file.bytes, file.sha256)


def test_csv_is_as_rfc_4180_says_and_tells_missing_from_empty(plant: ArchivedPlant, tmp_path: Path) -> None:
    export_window(live(plant), tmp_path / "out", Wanted(), "csv")
    text = (tmp_path / "out" / "finding.csv").read_bytes().decode()
    header, first = text.split("\r\n")[:2]
    assert header == "sequence,stored_at,analyser,type,body"
    assert first == '1,"2026-09-21T14:00:00.000000Z","","line one'
    with (tmp_path / "out" / "finding.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    assert read[0]["type"] == "line one\r\nline two"
    event = (tmp_path / "out" / "event.csv").read_text()
    assert '"{""text"":""a \\""b\\"", c""}"' in event
    samples = (tmp_path / "out" / "sample.csv").read_text().splitlines()
    assert samples[0] == "source,tag,observed_at,value,text,quality,source_lag,sequence,place"
    assert samples[1] == '"plc1","plc1.t0","2026-09-21T14:00:00.000000Z",nan,,192,1500,1,0'
    assert samples[2] == '"plc1","plc1.t1","2026-09-21T14:00:00.000000Z",,,24,1500,1,1'
    unread = (tmp_path / "out" / "unread.csv").read_text().splitlines()
    assert unread[1].endswith(',"00ff"')


def test_only_the_wanted_tables_and_times_go_out(plant: ArchivedPlant, tmp_path: Path) -> None:
    wanted = Wanted((TABLES["event"], TABLES["series"]), since=DAWN + HOUR, until=DAWN + 2 * HOUR)
    manifest = export_window(live(plant), tmp_path / "out", wanted, "parquet")
    assert [(file.table, file.rows) for file in manifest.tables] == [("event", 4), ("series", 15)]
    times = duckdb.connect().execute(f"SELECT stored_at FROM '{tmp_path}/out/event.parquet'").fetchall()
    assert all(at.timestamp() >= DAWN + HOUR for (at,) in times) or times


def test_a_duckdb_export_opens_with_its_views(plant: ArchivedPlant, tmp_path: Path) -> None:
    counts = {table.name: plant.counted(table.name) for table in TABLES.values()}
    export_window(live(plant), tmp_path / "out", Wanted(), "duckdb")
    with duckdb.connect(str(tmp_path / "out" / DATABASE), read_only=True) as connection:
        for name, count in counts.items():
            assert connection.execute(f"SELECT count(*) FROM {name}").fetchone() == (count,), name
        assert connection.execute("SELECT count(*) FROM samples").fetchone() == (counts["sample"],)


def test_nothing_is_made_again_from_a_window(plant: ArchivedPlant, tmp_path: Path) -> None:
    export_window(live(plant), tmp_path / "out", Wanted(), "parquet")
    again = Store.open(tmp_path / "again.duckdb", "demo")
    with pytest.raises(Refused, match="--live"):
        load_parquet(again, tmp_path / "out")
    again.close()


def test_every_log_table_is_in_an_export_of_everything(plant: ArchivedPlant, tmp_path: Path) -> None:
    manifest = export_all(plant.store.cursor(), plant.parquet, tmp_path / "out")
    assert {file.table for file in manifest.files} == {table.name for table in LOGGED}
    others = {table.name for table in TABLES.values() if table not in LOGGED} - {"parquet_file"}
    assert {file.table for file in manifest.tables} == others
