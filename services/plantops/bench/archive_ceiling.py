"""What bare DuckDB reaches on this machine with the archive's columns."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import numpy as np

from plantops.archive.batch import SampleBlock
from plantops.archive.columns import samples_table
from plantops.archive.plant_tables import SAMPLE
from plantops.archive.store import CHECKPOINT_THRESHOLD
from plantops.bench.figures import Figure, Load, Tell, figure
from plantops.bench.publisher import APART, SAMPLES

ROWS = 3_000_000


async def insert_ceiling(load: Load, tell: Tell, commit_rows: int) -> Figure:
    """Rows/s of the table `sample` from Arrow tables that are ready, in commits of this many rows."""
    commits = max(2, load.count(ROWS) // commit_rows)
    tables = await asyncio.to_thread(_tables, commits, commit_rows)
    found = []
    for number in range(load.runs):
        tell(f"bare inserts, run {number + 1} of {load.runs}")
        with TemporaryDirectory(prefix="plantops-bench-") as folder:
            found.append(await asyncio.to_thread(_inserted, Path(folder) / "bare.duckdb", tables))
    return figure(
        "ceiling.archive.insert",
        "bare DuckDB: Arrow inserts of the same columns",
        found,
        "rows/s",
        better="higher",
        note=f"{commit_rows:,} rows a commit, {commits} commits, nothing else",
    )


def _inserted(path: Path, tables: list[Any]) -> float:
    with duckdb.connect(str(path), config={"threads": 2}) as connection:
        connection.execute(f"SET checkpoint_threshold = '{CHECKPOINT_THRESHOLD}'")
        connection.execute(SAMPLE.create())
        begun = time.perf_counter()
        for arriving in tables:
            connection.register("arriving", arriving)
            connection.begin()
            connection.execute("INSERT INTO sample SELECT * FROM arriving")
            connection.commit()
            connection.unregister("arriving")
        return sum(map(len, tables)) / (time.perf_counter() - begun)


def _tables(commits: int, rows: int) -> list[Any]:
    """The counters that the publisher makes, 1000 tags a frame."""
    made = []
    for number in range(commits):
        order = np.arange(number * rows, (number + 1) * rows)
        tag, count = order % (2 * SAMPLES), order // (2 * SAMPLES)
        made.append(
            samples_table(
                SampleBlock(
                    series=tag.astype("i4"),
                    observed_at=time.time_ns() // 1000 + count * 1000,
                    value=(tag * APART + count).astype("f8"),
                    has_value=np.ones(rows, bool),
                    text=None,
                    quality=np.full(rows, 192, "u1"),
                    source_lag=np.zeros(rows, "i8"),
                    sequence=order // SAMPLES + 1,
                    place=(order % SAMPLES).astype("u2"),
                )
            )
        )
    return made
