"""Closed hours in Parquet: each row once, whatever came late and whenever the process died."""

from __future__ import annotations

import random
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from plantops.archive.batch import Batch
from plantops.archive.durable import UNFINISHED
from plantops.archive.hour_file import part_of, sweep, write_hour
from plantops.archive.hours import Plan, Written, closed, record, record_marks
from plantops.archive.portable import LOGGED, outside, select
from plantops.runtime.errors import IntegrityError, StorageFull
from support.archived_plant import DAWN, HOUR, MINUTE, ArchivedPlant


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[ArchivedPlant]:
    made = ArchivedPlant.make(tmp_path)
    yield made
    made.store.close()


def passed(plant: ArchivedPlant, *, everything: bool = False) -> tuple[Plan, list[Written]]:
    """One whole pass."""
    cursor = plant.store.cursor()
    plan = closed(cursor, grace_seconds=600, everything=everything)
    written = [write_hour(cursor, plant.parquet, "demo", part) for part in plan.parts]
    with plant.store.transaction() as connection:
        record(connection, written)
        record_marks(connection, plan)
    return plan, written


def held(plant: ArchivedPlant, table: str) -> list[tuple[object, ...]]:
    """What all files of a table hold, in order of its key."""
    files = sorted(map(str, (plant.parquet / table).rglob("*.parquet")))
    if not files:
        return []
    made = next(one for one in LOGGED if one.name == table)
    return (
        duckdb.connect()
        .execute(
            f"SELECT {', '.join(outside(made).names)} FROM read_parquet({files}, hive_partitioning = false) "
            f"ORDER BY {', '.join(made.key)}"
        )
        .fetchall()
    )


def stored(plant: ArchivedPlant, table: str, where: str = "true") -> list[tuple[object, ...]]:
    made = next(one for one in LOGGED if one.name == table)
    return plant.store.connection.execute(
        f"SELECT * FROM ({select(made)}) WHERE {where} ORDER BY {', '.join(made.key)}"
    ).fetchall()


def same(left: list[tuple[object, ...]], right: list[tuple[object, ...]]) -> bool:
    return [tuple(map(repr, row)) for row in left] == [tuple(map(repr, row)) for row in right]


def fill(plant: ArchivedPlant, hours: int = 3) -> None:
    """Two sources, two streams, a message that could not be read and a hole, every ten minutes."""
    batch = Batch()
    for minute in range(0, hours * 60, 10):
        at = DAWN + minute * MINUTE
        plant.frame("plc1", at, batch=batch)
        plant.frame("opc-2", at + 1, batch=batch)
        plant.event("INTENTS", at, batch=batch)
        plant.event("COMMANDS", at + 2, batch=batch)
    plant.commit(batch)
    plant.unread("INTENTS", DAWN + 5 * MINUTE)
    plant.hole("COMMANDS", 50, DAWN + 6 * MINUTE)


def test_an_hour_waits_for_its_end_and_the_grace(plant: ArchivedPlant) -> None:
    plant.frame("plc1", DAWN)
    plant.frame("plc1", DAWN + HOUR + 9 * MINUTE)
    assert [part.table for part in closed(plant.store.cursor()).parts] == ["layout"]
    plant.frame("plc1", DAWN + HOUR + 10 * MINUTE)
    due = {(part.table, part.hour, part.rows) for part in closed(plant.store.cursor()).parts}
    assert due == {("layout", 0, 1), ("frame", DAWN, 1), ("sample", DAWN, 5)}


def test_an_hour_of_a_quiet_stream_closes_by_the_clock_of_another(plant: ArchivedPlant) -> None:
    plant.event("POLICY", DAWN)
    plant.tick("AUDIT", DAWN + 24 * HOUR)
    assert closed(plant.store.cursor()).parts == ()
    plant.tick("AUDIT", DAWN + 26 * HOUR)
    (part,) = closed(plant.store.cursor()).parts
    assert (part.table, part.stream, part.hour) == ("event", "POLICY", DAWN)


def test_the_files_hold_each_row_of_closed_hours_exactly_as_the_archive_does(plant: ArchivedPlant) -> None:
    fill(plant)
    passed(plant)
    end = f"make_timestamp({DAWN + 2 * HOUR})"
    for table in LOGGED:
        where = f"{table.time} < {end}" if table.time else "true"
        rows = stored(plant, table.name, where)
        assert rows
        assert same(held(plant, table.name), rows), table.name


def test_paths_say_site_source_day_and_hour(plant: ArchivedPlant) -> None:
    plant.frame("plc1", DAWN + 3 * MINUTE)
    plant.event("INTENTS", DAWN)
    passed(plant, everything=True)
    paths = sorted(str(path.relative_to(plant.parquet)) for path in plant.parquet.rglob("*.parquet"))
    assert paths == [
        "event/site=demo/stream=INTENTS/day=2026-09-21/14-1.parquet",
        "frame/site=demo/source=plc1/day=2026-09-21/14-1.parquet",
        "layout/site=demo/all-1.parquet",
        "sample/site=demo/source=plc1/day=2026-09-21/14-1.parquet",
    ]


def test_a_second_pass_finds_nothing(plant: ArchivedPlant) -> None:
    fill(plant)
    assert passed(plant)[1]
    plan, written = passed(plant)
    assert (plan.parts, written) == ((), [])


def test_late_rows_of_a_written_hour_go_into_a_further_file_and_no_row_twice(plant: ArchivedPlant) -> None:
    fill(plant)
    before = {one.path: one.sha256 for one in passed(plant)[1]}
    late = DAWN + 7 * MINUTE
    for number in range(3):
        plant.frame("plc1", late + number, stored_at=DAWN + 4 * HOUR)
    plan, written = passed(plant)
    of_dawn = [part for part in plan.parts if part.hour == DAWN]
    assert [(part.table, part.source, part.rows) for part in of_dawn] == [
        ("frame", "plc1", 3),
        ("sample", "plc1", 15),
    ]
    assert before.keys().isdisjoint(one.path for one in written)
    everything = f"observed_at < make_timestamp({DAWN + 3 * HOUR})"
    assert same(held(plant, "sample"), stored(plant, "sample", everything))


def test_a_row_of_a_far_future_hour_keeps_no_other_from_its_file(plant: ArchivedPlant) -> None:
    plant.frame("plc1", DAWN + 999 * HOUR, stored_at=DAWN)
    fill(plant)
    passed(plant)
    plant.frame("plc1", DAWN + 1, stored_at=DAWN + 4 * HOUR)
    passed(plant)
    plan, _written = passed(plant)
    assert plan.parts == ()
    rows = stored(plant, "frame", f"observed_at < make_timestamp({DAWN + 3 * HOUR})")
    assert same(held(plant, "frame"), rows)


def test_marks_let_a_pass_read_only_what_is_new(plant: ArchivedPlant) -> None:
    fill(plant)
    passed(plant)
    marks = dict(plant.store.connection.execute("SELECT name, value FROM about").fetchall())
    open_from = plant.store.connection.execute(
        f"SELECT min(sequence) FROM frame WHERE observed_at >= make_timestamp({DAWN + 2 * HOUR})"
    ).fetchone()
    assert open_from is not None
    assert int(marks["parquet.frame.TAGS"]) == open_from[0] - 1


def test_a_file_says_which_part_it_is_and_its_row_says_its_hash(plant: ArchivedPlant) -> None:
    fill(plant)
    _plan, written = passed(plant)
    rows = plant.store.connection.execute("SELECT path, rows, bytes, sha256, manifest FROM parquet_file")
    known = {path: facts for path, *facts in rows.fetchall()}
    for one in written:
        path = plant.parquet / one.path
        assert part_of(path) == one.part
        assert known[one.path] == [one.part.rows, path.stat().st_size, one.sha256, ""]


def test_samples_carry_names_as_dictionaries_and_no_number(plant: ArchivedPlant) -> None:
    plant.frame("plc1", DAWN)
    _plan, written = passed(plant, everything=True)
    path = next(plant.parquet / one.path for one in written if one.part.table == "sample")
    names = [pq.ParquetFile(path).metadata.row_group(0).column(n) for n in range(2)]
    assert [column.path_in_schema for column in names] == ["source", "tag"]
    assert all("RLE_DICTIONARY" in column.encodings for column in names)
    assert all(column.is_stats_set for column in names)
    assert "series" not in pq.read_schema(path).names


def test_other_rows_than_planned_are_no_file(plant: ArchivedPlant) -> None:
    fill(plant)
    cursor = plant.store.cursor()
    part = next(part for part in closed(cursor).parts if part.table == "sample")
    plant.store.connection.execute("DELETE FROM sample WHERE place = 0")
    with pytest.raises(IntegrityError, match="were due"):
        write_hour(cursor, plant.parquet, "demo", part)
    assert not [path for path in plant.parquet.rglob("*") if path.is_file()]


def test_a_file_is_never_written_over(plant: ArchivedPlant) -> None:
    plant.frame("plc1", DAWN)
    cursor = plant.store.cursor()
    part = closed(cursor, everything=True).parts[0]
    written = write_hour(cursor, plant.parquet, "demo", part)
    before = (plant.parquet / written.path).stat()
    with pytest.raises(IntegrityError, match="not written anew"):
        write_hour(cursor, plant.parquet, "demo", part)
    assert (plant.parquet / written.path).stat() == before


def test_a_full_disk_leaves_no_file_and_is_told_as_such(plant: ArchivedPlant) -> None:
    fill(plant)
    cursor = plant.store.cursor()
    part = closed(cursor).parts[0]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, before[1]))
    try:
        with pytest.raises(StorageFull, match="make room"):
            write_hour(cursor, plant.parquet, "demo", part)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not [path for path in plant.parquet.rglob("*") if path.is_file()]
    assert passed(plant)[1]


def test_sweeping_removes_what_a_crash_left_and_nothing_else(plant: ArchivedPlant) -> None:
    fill(plant)
    _plan, written = passed(plant)
    plant.frame("plc1", DAWN + 9 * HOUR)
    cursor = plant.store.cursor()
    orphan = write_hour(cursor, plant.parquet, "demo", closed(cursor).parts[0])
    torn = plant.parquet / "sample" / f"14-99.parquet{UNFINISHED}"
    torn.write_bytes(b"PAR1")
    assert sweep(cursor, plant.parquet) == [torn, plant.parquet / orphan.path]
    assert all((plant.parquet / one.path).exists() for one in written)


def test_sweeping_keeps_a_file_whose_rows_are_nowhere_else(plant: ArchivedPlant) -> None:
    fill(plant)
    cursor = plant.store.cursor()
    part = next(part for part in closed(cursor).parts if part.table == "sample")
    orphan = plant.parquet / write_hour(cursor, plant.parquet, "demo", part).path
    strange = plant.parquet / "sample" / "strange.parquet"
    strange.write_bytes(b"no parquet at all")
    plant.store.connection.execute("DELETE FROM sample WHERE sequence = ?", [part.first])
    assert sweep(cursor, plant.parquet) == []
    assert orphan.exists()
    assert strange.exists()


VICTIM = """
import os, signal, sys, time
from pathlib import Path
from plantops.archive.hour_file import sweep, write_hour
from plantops.archive.hours import closed, record, record_marks
from plantops.archive.store import Store

folder = Path(sys.argv[1])

def work():
    store = Store.open(folder / "live.duckdb", "demo", memory_megabytes=256)
    with store.transaction() as connection:
        connection.execute("UPDATE position SET sequence = sequence + 1")
    cursor = store.cursor()
    sweep(cursor, folder / "parquet")
    plan = closed(cursor)
    for part in plan.parts:
        written = write_hour(cursor, folder / "parquet", "demo", part)
        with store.transaction() as connection:
            record(connection, [written])
    with store.transaction() as connection:
        record_marks(connection, plan)
    store.close()
    os._exit(0)

# Each life is a fork of a process that has imported everything and opened nothing: they begin at once.
for instant in map(float, sys.argv[2:]):
    life = os.fork()
    if not life:
        work()
    if instant:
        time.sleep(instant)
        os.kill(life, signal.SIGKILL)
    print(os.waitstatus_to_exitcode(os.waitpid(life, 0)[1]), flush=True)
"""
"""For each instant given: work, killed after so many seconds; 0: until it is done."""


def test_killed_at_any_instant_each_row_is_in_exactly_one_file(tmp_path: Path) -> None:
    plant = ArchivedPlant.make(tmp_path)
    fill(plant, hours=24)
    plant.store.close()
    chance = random.Random(7)
    instants = [*(f"{chance.uniform(0.02, 0.4):.3f}" for _ in range(20)), "0"]
    words = [sys.executable, "-c", VICTIM, str(tmp_path), *instants]
    ends = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    assert (ends[-1], ends.count("-9") > 0) == ("0", True)
    plant = ArchivedPlant.make(tmp_path)
    try:
        on_disk = {
            str(path.relative_to(plant.parquet)) for path in plant.parquet.rglob("*") if path.is_file()
        }
        rows = plant.store.connection.execute("SELECT path FROM parquet_file").fetchall()
        assert on_disk == {path for (path,) in rows}
        for table in LOGGED:
            where = f"{table.time} < make_timestamp({DAWN + 23 * HOUR})" if table.time else "true"
            assert same(held(plant, table.name), stored(plant, table.name, where)), table.name
    finally:
        plant.store.close()
