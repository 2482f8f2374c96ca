"""The roll-ups in the tables are those of the samples, whatever happened between."""

from __future__ import annotations

import math
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from archive.rolling_child import work
from archive.sampling import T0, Sample, block, opened, random_samples, series_row, stored
from plantops.archive.batch import Batch, SampleBlock
from plantops.archive.digests import TableDigest, table_digests
from plantops.archive.plant_tables import ROLLUPS
from plantops.archive.rolling import Roller
from plantops.archive.store import Store, insert
from plantops.runtime.errors import IntegrityError

TESTS = Path(__file__).parents[1]
TABLES = ("sample", "series", *(table.name for table in ROLLUPS))
UNITS = {"rollup_1s": "second", "rollup_1m": "minute", "rollup_1h": "hour"}
BY_SQL = """
    WITH told AS (
        SELECT *, quality >= 192 AS is_good, quality >= 192 AND isfinite(value) AS is_number FROM sample
    )
    SELECT series, epoch_us(date_trunc('{unit}', observed_at)), count(*), count(*) FILTER (is_good),
           count(*) FILTER (quality BETWEEN 64 AND 127), count(*) FILTER (is_number),
           min(value) FILTER (is_number), max(value) FILTER (is_number), sum(value) FILTER (is_number),
           arg_max({{'value': value, 'text': text, 'quality': quality, 'at': epoch_us(observed_at)}},
                   (observed_at, sequence, place))
    FROM told GROUP BY ALL ORDER BY ALL
"""
STORED = """
    SELECT series, epoch_us(bucket), samples, good, uncertain, numbers, minimum, maximum, total,
           {{'value': last_value, 'text': last_text, 'quality': last_quality, 'at': epoch_us(last_at)}}
    FROM {table} ORDER BY series, bucket
"""


@pytest.fixture(name="store")
def _store(tmp_path: Path) -> Iterator[Store]:
    store = opened(tmp_path / "live.duckdb")
    yield store
    store.close()


def commit(store: Store, roller: Roller, samples: SampleBlock, *, flush: bool = True) -> None:
    with store.transaction() as connection:
        insert(connection, Batch(samples=[samples]))
        roller.fold(samples)
        if flush:
            roller.flush(connection, int(samples.sequence[-1]))


def started(store: Store, limit: int = 1_000_000) -> Roller:
    roller = Roller(store, limit)
    roller.resume()
    return roller


def digests(store: Store) -> dict[str, TableDigest]:
    return table_digests(store.connection, TABLES)


def unsigned(values: Iterable[Any]) -> list[str]:
    """NaN equals itself, and -0.0 is 0.0: DuckDB's arg_max does not keep the sign."""
    return [repr(value + 0.0 if isinstance(value, float) else value) for value in values]


def assert_agrees_with_sql(store: Store) -> None:
    for table, unit in UNITS.items():
        expected = store.connection.execute(BY_SQL.format(unit=unit)).fetchall()
        found = store.connection.execute(STORED.format(table=table)).fetchall()
        assert len(found) == len(expected) > 0
        for ours, theirs in zip(found, expected, strict=True):
            assert unsigned(ours[:8]) == unsigned(theirs[:8])
            assert unsigned(ours[9].values()) == unsigned(theirs[9].values())
            # What rounding loses is measured by the terms, which cancel in part.
            most = max(abs(theirs[6] or 0), abs(theirs[7] or 0)) * ours[5]
            assert ours[8] == theirs[8] or math.isclose(
                ours[8], theirs[8], rel_tol=1e-12, abs_tol=1e-12 * most
            )


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_agrees_with_a_query_over_the_samples(store: Store, seed: int) -> None:
    # One source's clock is a year ahead and one's a day behind: what is looked for must not depend on it.
    ahead = {4: 365 * 86_400_000_000, 5: -86_400_000_000}
    samples = [
        Sample(one.series, one.at + ahead.get(one.series, 0), one.value, one.quality, one.text)
        for one in random_samples(seed, 2100)
    ]
    chance, start = random.Random(seed), 0
    roller = started(store)
    while start < len(samples):
        size = 7 * chance.randint(1, 30)
        commit(store, roller, block(samples[start : start + size], start + 1), flush=chance.random() < 0.6)
        start += size
        if chance.random() < 0.3:
            roller = started(store, limit=chance.choice([50, 1_000_000]))
    with store.transaction() as connection:
        roller.flush(connection, 2100 // 7)
    assert_agrees_with_sql(store)


def test_kill_9_at_any_moment_loses_and_doubles_nothing(tmp_path: Path) -> None:
    chance = random.Random(20)
    work(tmp_path / "clean" / "live.duckdb", seed=0)
    path = tmp_path / "killed" / "live.duckdb"
    environment = os.environ | {"PYTHONPATH": str(TESTS)}
    with subprocess.Popen(
        [sys.executable, "-m", "archive.rolling_child", str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
        env=environment,
    ) as parent:
        ends = [run_until(parent, seed, chance.randint(2, 14)) for seed in range(1, 21)]
        assert run_until(parent, 99, None) == "ended 0"
    assert ends.count("ended -9") == 20
    clean, killed = opened(tmp_path / "clean" / "live.duckdb"), opened(path)
    assert digests(killed) == digests(clean)
    assert_agrees_with_sql(killed)
    clean.close()
    killed.close()


def run_until(parent: subprocess.Popen[str], seed: int, steps: int | None) -> str:
    """Let a worker take so many steps and kill it within the next; None: let it end."""
    assert parent.stdin is not None
    assert parent.stdout is not None
    print(seed, file=parent.stdin, flush=True)
    number = 0
    for told, line in enumerate(parent.stdout):
        if line.startswith("pid "):
            number = int(line.split()[1])
        if line.startswith("ended"):
            return line.strip()
        if steps is not None and told >= steps and number:
            os.kill(number, signal.SIGKILL)
            steps = None
    raise AssertionError("the parent of the workers is gone")


def test_resumes_with_the_samples_behind_the_mark(store: Store) -> None:
    samples = random_samples(4, 700)
    roller = started(store)
    commit(store, roller, block(samples[:70]))
    commit(store, roller, block(samples[70:], 71), flush=False)
    roller = Roller(store)
    assert roller.resume() == 630
    with store.transaction() as connection:
        roller.flush(connection, 100)
    assert_agrees_with_sql(store)
    assert Roller(store).resume() == 0


def test_resume_flushes_by_itself_and_sorts_samples_that_lie_in_no_order(
    store: Store, tmp_path: Path
) -> None:
    samples = random_samples(5, 1400)
    clean = opened(tmp_path / "clean" / "live.duckdb")
    for one in (store, clean):
        with one.transaction() as connection:
            rows = [series_row(n, "mill", f"t{n}") for n in range(1, 6)]
            insert(connection, Batch(rows={"series": rows}))
    commit(clean, started(clean), block(samples))
    stored(store, block(samples[700:], 701), block(samples[:700]))
    roller = Roller(store, limit=10)
    assert roller.resume() == 1400
    with store.transaction() as connection:
        roller.flush(connection, 200)
    assert digests(store) == digests(clean)
    clean.close()


def test_a_flush_that_did_not_commit_is_told_and_mended_by_resume(store: Store) -> None:
    samples = random_samples(6, 210)
    roller = started(store)
    stored(store, block(samples))
    roller.fold(block(samples))
    store.connection.begin()
    roller.flush(store.connection, 30)
    store.connection.rollback()
    with pytest.raises(IntegrityError, match=r"call resume\(\)"), store.transaction() as connection:
        roller.flush(connection, 30)
    assert roller.resume() == 210
    with store.transaction() as connection:
        roller.flush(connection, 30)
    assert_agrees_with_sql(store)


def test_a_late_sample_is_added_to_the_row_that_the_table_has(store: Store) -> None:
    commit(store, started(store), block([Sample(1, T0 + n * 1_000_000, 1.0) for n in range(7)]))
    commit(store, started(store), block([Sample(1, T0 + 5, 41.0)], 8))
    found = store.connection.execute(
        "SELECT samples, total, last_value FROM rollup_1s ORDER BY bucket"
    ).fetchall()
    assert found == [(2, 42.0, 41.0), *[(1, 1.0, 1.0)] * 6]


def test_nothing_is_folded_twice_or_out_of_order(store: Store) -> None:
    roller = started(store)
    first = block([Sample(1, T0, 1.0)] * 7)
    commit(store, roller, first)
    with pytest.raises(IntegrityError, match="do not follow"):
        roller.fold(first)
    with pytest.raises(IntegrityError, match="do not follow"):
        started(store).fold(first)


def test_a_mark_never_lies_before_what_was_folded(store: Store) -> None:
    roller = started(store)
    roller.fold(block([Sample(1, T0, 1.0)] * 14))
    with pytest.raises(IntegrityError, match="up to sequence 2"), store.transaction() as connection:
        roller.flush(connection, 1)


def test_must_be_resumed_before_anything_else(store: Store) -> None:
    with pytest.raises(IntegrityError, match=r"call resume\(\)"):
        Roller(store).fold(block([Sample(1, T0, 1.0)]))


def test_two_rows_for_one_bucket_are_told(store: Store) -> None:
    commit(store, started(store), block([Sample(1, T0, 1.0)] * 7))
    store.connection.execute("INSERT INTO rollup_1m FROM rollup_1m")
    with pytest.raises(IntegrityError, match="rollup_1m has 2 rows for 1 buckets"):
        commit(store, started(store), block([Sample(1, T0, 1.0)], 8))


def test_a_row_that_retention_took_away_is_no_error(store: Store) -> None:
    roller = started(store)
    commit(store, roller, block([Sample(1, T0, 1.0)] * 7))
    store.connection.execute("DELETE FROM rollup_1s")
    commit(store, roller, block([Sample(1, T0, 1.0)], 8))
    assert store.connection.execute("SELECT samples FROM rollup_1s").fetchall() == [(8,)]


def test_asks_for_a_flush_when_too_many_buckets_are_open(store: Store) -> None:
    roller = started(store, limit=20)
    commit(store, roller, block([Sample(1, T0 + n * 1_000_000, 1.0) for n in range(28)]), flush=False)
    assert roller.is_full
    with store.transaction() as connection:
        assert roller.flush(connection, 4) == 31  # 28 s, 2 min, 1 h
    assert not roller.is_full
