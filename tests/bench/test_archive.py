"""What the benches of the archive measure with: their proof can fail, the plant that they make is whole."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pytest

from plantops.archive.batch import Batch, Position, SampleBlock
from plantops.archive.plant_tables import FRAME, SERIES
from plantops.archive.rolling import Roller
from plantops.archive.store import Store, insert
from plantops.bench.archive_made import FRAMES_PER_SECOND, PER_SECOND, make_archive
from plantops.bench.archive_reader import turn
from plantops.bench.archive_seen import check_counters
from plantops.bench.figures import Figure, figure
from plantops.bench.machine import Machine
from plantops.bench.processes import GROUPINGS
from plantops.bench.processes_table import BEGIN, COLUMNS, put
from plantops.bench.progress import delays, rates
from plantops.bench.publisher import APART, SAMPLES
from plantops.bench.report import Report, now
from plantops.deployment.initialise import initialise
from plantops.deployment.processes import process_names
from plantops.deployment.supervisor import grouped
from plantops.runtime.errors import IntegrityError, SettingsError

ROOT = Path(__file__).resolve().parents[2]
END = 1_790_000_000_000_000
FRAMES = 3


def counters(path: Path) -> None:
    """Three frames of the publisher's, archived: the same thousand tags three times."""
    store = Store.open(path, "demo")
    batch = Batch(positions={"TAGS": Position(FRAMES, "made", END)})
    for number in range(SAMPLES):
        tag_row = (number + 1, "bench", f"bench.c{number:05d}", "u8", "", "", "", 1000, None, None, "x")
        batch.add(SERIES.name, tag_row)
    for number in range(1, FRAMES + 1):
        row = (number, END, "bench", 1, number, END, "x", SAMPLES, SAMPLES, False, "adapter-bench")
        batch.add(FRAME.name, row)
    order = np.arange(FRAMES * SAMPLES)
    tag = order % SAMPLES
    count = order // SAMPLES + 1
    block = SampleBlock(
        series=(tag + 1).astype("i4"),
        observed_at=END + count,
        value=(tag * APART + count).astype("f8"),
        has_value=np.ones(len(order), bool),
        text=None,
        quality=np.full(len(order), 192, "u1"),
        source_lag=np.zeros(len(order), "i8"),
        sequence=count,
        place=tag.astype("u2"),
    )
    roller = Roller(store)
    roller.resume()
    roller.fold(block)
    with store.transaction() as connection:
        insert(connection, batch, block)
        roller.flush(connection, FRAMES)
    store.close()


def test_an_archive_with_every_sample_once_and_in_order_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "live.duckdb"
    counters(path)
    assert check_counters(path, FRAMES) == FRAMES * SAMPLES


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM sample WHERE series = 7 AND sequence = 2",
        "INSERT INTO sample SELECT * FROM sample WHERE series = 7 AND sequence = 2",
        # As many samples as before, but one of them stands for another.
        "UPDATE sample SET value = value + 1 WHERE series = 7 AND sequence = 2",
        # All values are there; two of them in the wrong order.
        "UPDATE sample SET sequence = 5 - sequence WHERE series = 7 AND sequence IN (2, 3)",
        "DELETE FROM frame WHERE sequence = 3",
        "UPDATE rollup_1s SET samples = samples - 1 WHERE series = 7",
        "INSERT INTO hole VALUES ('TAGS', 1, 1, now()::TIMESTAMP, 'missing')",
        "UPDATE position SET sequence = 2",
    ],
)
def test_whatever_is_missing_twice_or_swapped_makes_a_run_void(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "live.duckdb"
    counters(path)
    with duckdb.connect(str(path)) as connection:
        connection.execute(damage)
    with pytest.raises(IntegrityError, match="void"):
        check_counters(path, FRAMES)


def test_the_made_plant_has_every_count_of_every_tag_once_and_in_its_roll_ups(tmp_path: Path) -> None:
    path = tmp_path / "live.duckdb"
    samples = make_archive(path, 70 * PER_SECOND - 5, "counters", END, lambda _text: None)
    assert samples == 70 * PER_SECOND
    with duckdb.connect(str(path), read_only=True) as connection:
        found = connection.execute(
            """
            SELECT 1000 // period_ms AS hz, count(DISTINCT series) AS tags,
                   count(*) / count(DISTINCT series) AS samples,
                   count(DISTINCT (series, sequence, place)) = count(*) AS is_once
            FROM sample JOIN series USING (series) GROUP BY hz ORDER BY hz
            """
        ).fetchall()
        assert found == [(1, 1700, 70, True), (5, 200, 350, True), (10, 100, 700, True)]
        rolled = "SELECT (SELECT sum(samples)::BIGINT FROM {}) FROM range(1)"
        for table in ("rollup_1s", "rollup_1m", "rollup_1h", "frame"):
            assert connection.execute(rolled.format(table)).fetchall() == [(samples,)]
        facts = "SELECT count(*), max(sequence), (SELECT sequence FROM position) FROM frame"
        frames = 70 * FRAMES_PER_SECOND
        assert connection.execute(facts).fetchall() == [(frames, frames, frames)]


def test_a_rise_is_told_second_by_second_and_a_delay_up_to_the_first_look() -> None:
    seen = [(1.0, 10), (2.0, 30), (3.0, 60)]
    assert rates(seen, 0.0, 3.0) == (20.0, 30.0)
    assert rates(seen[:1], 0.0, 1.0, each=1000) == (10_000.0,)
    assert delays([(1.0, 1), (2.0, 3)], [0.5, 0.6, 1.9]) == pytest.approx((0.5, 1.4, 0.1))


def test_a_reader_tells_a_file_that_it_cannot_ask_as_an_error(tmp_path: Path) -> None:
    broken = tmp_path / "plantops.duckdb"
    broken.write_bytes(b"not a database" * 1000)
    assert turn(broken).error
    assert turn(broken).queries == 0


def test_the_guide_gets_the_table_of_a_run_between_its_marks_and_a_run_without_it_is_refused() -> None:
    keys = [key for key, _title in COLUMNS]
    figures = [
        figure(f"processes.{name}.{key}", "", 1000.0 * place + column, "")
        for place, name in enumerate(GROUPINGS, 1)
        for column, key in enumerate(keys)
    ]
    guide = (ROOT / "docs" / "guides" / "processes.md").read_text()
    told = put(report(figures), guide)
    assert "| each alone | 1,000 | 1,001 |" in told
    assert put(report(figures), told) == told
    assert told.partition(BEGIN)[0] == guide.partition(BEGIN)[0]
    with pytest.raises(SettingsError, match="no figure"):
        put(report(figures[:-1]), guide)
    with pytest.raises(SettingsError, match="no place"):
        put(report(figures), "a guide")


def report(figures: list[Figure]) -> Report:
    facts = Machine(
        cores=2,
        processor="one",
        memory_megabytes=1,
        system="a",
        python="3",
        nats_server="2",
        load=0.0,
        fsync_p50_ms=1.0,
        fsync_p99_ms=1.0,
    )
    return Report(measured_at=now(), seconds=1.0, runs=1, machine=facts, figures=tuple(figures))


def test_each_grouping_has_every_process_once_and_the_shipped_one_leaves_the_archive_alone(
    tmp_path: Path,
) -> None:
    site = initialise(tmp_path / "site").site
    names = process_names(site)
    for _title, groups in GROUPINGS.values():
        found = grouped(names, site.settings.groups if groups is None else groups)
        assert sorted(name for members in found.values() for name in members) == sorted(names)
    assert grouped(names, site.settings.groups)["archive"] == ("archive",)
    assert "archive" in site.settings.groups
