"""Retention: whole hours, and never a log row that stands nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import msgspec
import pytest

from plantops.archive.batch import Batch
from plantops.archive.hour_file import write_hour
from plantops.archive.hours import closed, record, record_marks
from plantops.archive.retention import Removal, due, remove, whole_from
from plantops.archive.settings import RetentionDays
from plantops.archive.store import note
from plantops.archive.tables import TABLES
from support.archived_plant import DAWN, HOUR, MINUTE, ArchivedPlant

DAYS = 1
KEPT = RetentionDays(**dict.fromkeys(RetentionDays.__struct_fields__, DAYS))


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[ArchivedPlant]:
    made = ArchivedPlant.make(tmp_path)
    yield made
    made.store.close()


def fill(plant: ArchivedPlant, hours: int) -> None:
    batch = Batch()
    for minute in range(0, hours * 60, 20):
        at = DAWN + minute * MINUTE
        plant.frame("plc1", at, batch=batch)
        plant.frame("plc2", at, batch=batch)
        plant.event("INTENTS", at, batch=batch)
        batch.add("source_state", (plant.sequences["INTENTS"], at, "plc1", "up", 1, "", ""))
    plant.commit(batch)
    with plant.store.transaction() as connection:
        note(connection, "rolled", str(plant.sequences["TAGS"]))


def to_parquet(plant: ArchivedPlant, *, audited: bool = True) -> None:
    cursor = plant.store.cursor()
    plan = closed(cursor)
    written = [write_hour(cursor, plant.parquet, "demo", part) for part in plan.parts]
    with plant.store.transaction() as connection:
        record(connection, written)
        record_marks(connection, plan)
        if audited:
            connection.execute("UPDATE parquet_file SET manifest = 'd'")


def one_pass(plant: ArchivedPlant, days: RetentionDays = KEPT) -> list[Removal]:
    removals = list(due(plant.store.cursor(), days))
    for removal in removals:
        rows = 0
        for where in removal.slices:
            with plant.store.transaction() as connection:
                rows += remove(connection, removal, where)
        assert rows == removal.rows
    return removals


def since(plant: ArchivedPlant, table: str) -> int:
    found = plant.store.connection.execute(
        f"SELECT epoch_us(min({TABLES[table].time})) FROM {table}"
    ).fetchone()
    assert found is not None
    return int(found[0])


def test_every_table_with_a_time_can_be_told_how_long_it_is_kept() -> None:
    timed = {table.name for table in TABLES.values() if table.time}
    assert set(RetentionDays.__struct_fields__) == timed


def test_old_hours_go_and_the_table_says_from_when_on_it_is_whole(plant: ArchivedPlant) -> None:
    fill(plant, hours=28)
    to_parquet(plant)
    # The newest message came in hour 27; a day before that is within hour 3.
    one_pass(plant)
    for table in ("sample", "frame", "event", "source_state"):
        assert since(plant, table) == DAWN + 3 * HOUR, table
        whole = whole_from(plant.store.cursor(), TABLES[table])
        assert whole == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=DAWN + 3 * HOUR)
    assert whole_from(plant.store.cursor(), TABLES["gap"]) is None
    assert one_pass(plant) == []


def test_zero_days_are_for_ever(plant: ArchivedPlant) -> None:
    fill(plant, hours=28)
    to_parquet(plant)
    for_ever = msgspec.structs.replace(KEPT, sample=0, frame=0, event=0, source_state=0)
    assert one_pass(plant, for_ever) == []


def test_log_rows_stay_until_an_audited_file_holds_them(plant: ArchivedPlant) -> None:
    fill(plant, hours=28)
    assert {removal.table for removal in one_pass(plant)} == {"source_state"}
    to_parquet(plant, audited=False)
    assert one_pass(plant) == []
    plant.store.connection.execute("UPDATE parquet_file SET manifest = 'd' WHERE source <> 'plc2'")
    removals = one_pass(plant)
    assert {(removal.table, removal.place) for removal in removals} == {
        ("sample", "plc1"),
        ("frame", "plc1"),
        ("event", "INTENTS"),
    }
    left = "SELECT DISTINCT source FROM frame WHERE observed_at < make_timestamp(?)"
    assert plant.store.connection.execute(left, [DAWN + 3 * HOUR]).fetchall() == [("plc2",)]


def test_an_hour_with_a_late_row_that_is_in_no_file_stays_whole(plant: ArchivedPlant) -> None:
    fill(plant, hours=28)
    to_parquet(plant)
    late = plant.frame("plc1", DAWN + 5 * MINUTE, stored_at=DAWN + 27 * HOUR)
    plant.store.connection.execute("UPDATE about SET value = ? WHERE name = 'rolled'", [str(late)])
    one_pass(plant)
    at_dawn = (
        f"SELECT count(*) FROM frame WHERE source = 'plc1' AND observed_at < make_timestamp({DAWN + HOUR})"
    )
    assert plant.store.connection.execute(at_dawn).fetchone() == (4,)
    to_parquet(plant)
    one_pass(plant)
    assert plant.store.connection.execute(at_dawn).fetchone() == (0,)


def test_files_of_another_stream_of_the_same_name_count_for_nothing(plant: ArchivedPlant) -> None:
    fill(plant, hours=28)
    to_parquet(plant)
    plant.store.connection.execute("UPDATE parquet_file SET created = 'before'")
    assert {removal.table for removal in one_pass(plant)} == {"source_state"}


def test_samples_stay_until_the_roll_ups_have_them(plant: ArchivedPlant) -> None:
    fill(plant, hours=28)
    to_parquet(plant)
    plant.store.connection.execute("UPDATE about SET value = '3' WHERE name = 'rolled'")
    assert "sample" not in {removal.table for removal in one_pass(plant)}


def test_what_was_removed_stands_in_parquet(plant: ArchivedPlant) -> None:
    fill(plant, hours=28)
    before = plant.counted("sample")
    to_parquet(plant)
    removed = sum(removal.rows for removal in one_pass(plant) if removal.table == "sample")
    files = f"{plant.parquet}/sample/**/*.parquet"
    found = duckdb.connect().execute(
        f"SELECT count(*) FROM read_parquet('{files}') WHERE observed_at < make_timestamp({DAWN + 3 * HOUR})"
    )
    assert found.fetchone() == (removed,)
    assert plant.counted("sample") == before - removed


def test_a_pass_that_was_cut_off_is_taken_up(plant: ArchivedPlant, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(plant, hours=28)
    to_parquet(plant)
    monkeypatch.setattr("plantops.archive.retention.SLICE_ROWS", 4)
    removal = next(due(plant.store.cursor(), KEPT))
    assert len(removal.slices) > 1
    with plant.store.transaction() as connection:
        remove(connection, removal, removal.slices[0])
    assert whole_from(plant.store.cursor(), TABLES[removal.table]) is not None
    one_pass(plant)
    assert since(plant, "sample") == DAWN + 3 * HOUR
