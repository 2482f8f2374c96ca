"""What a million samples take on the disk, in each of the places where they are kept."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

import duckdb

from plantops.archive.hour_file import write_hour
from plantops.archive.hours import closed
from plantops.archive.plant_tables import FRAME, ROLLUPS, SAMPLE
from plantops.archive.serving import serve
from plantops.archive.store import Store
from plantops.bench.archive_made import SITE, Values, make_archive
from plantops.bench.archive_seen import stream_seen
from plantops.bench.figures import Bench, Figure, Load, Tell, figure
from plantops.bench.ground import ground, temporary_folder
from plantops.bench.publisher import SAMPLES, publisher, source_file
from plantops.deployment.runtime_file import read_running
from plantops.runtime.errors import SettingsError

FRAMES = 2000
ROWS = 4_000_000
TAGS = 2000
DRAIN_SECONDS = 120.0
_KINDS: Final[tuple[tuple[Values, Literal["uint64", "float64"], str], ...]] = (
    ("counters", "uint64", "counters"),
    ("noise", "float64", "noisy doubles"),
)


async def _streamed(load: Load, kind: Literal["uint64", "float64"]) -> tuple[float, float]:
    """Megabytes on the disk of TAGS for a million samples in frames of 1,000; and as the broker counts it."""
    frames = load.count(FRAMES, least=20)
    async with ground(source_file(TAGS, kind), names=()) as here, publisher(here.site) as made:
        running = read_running(here.site.folder)
        if running is None:
            raise SettingsError("the bench's site does not run")
        made.make(frames)
        async with asyncio.timeout(DRAIN_SECONDS):
            while (seen := await stream_seen(running.monitor_port)).state.messages < frames:  # noqa: ASYNC110 - a server
                await asyncio.sleep(0.1)
        folder = here.site.folder.broker_data / "jetstream" / "PLANT" / "streams" / "TAGS"
        millions = frames * SAMPLES / 1e6
        return _allocated(folder) / 1e6 / millions, seen.state.bytes / 1e6 / millions


def _allocated(folder: Path) -> int:
    """Bytes that the files below a folder take on the disk (st_blocks counts 512 bytes, POSIX stat.h)."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def _archived(load: Load, values: Values, folder: Path, tell: Tell) -> tuple[int, Mapping[str, float], str]:
    """How many samples, megabytes of each place, and what the snapshot holds."""
    path = folder / f"{values}.duckdb"
    samples = make_archive(
        path, load.count(ROWS, least=20_000), values, time.time_ns() // 1000, lambda _: None
    )
    tell(f"{values}: tables alone, Parquet, snapshot")
    sizes = {"live": path.stat().st_size / 1e6}
    sizes["samples"] = _alone(path, (SAMPLE.name,), folder)
    sizes["frames"] = _alone(path, (FRAME.name,), folder)
    sizes["rollups"] = _alone(path, tuple(table.name for table in ROLLUPS), folder)
    store = Store.open(path, SITE)
    try:
        cursor = store.cursor()
        parts = [part for part in closed(cursor, everything=True).parts if part.table == SAMPLE.name]
        written = [write_hour(cursor, folder / "parquet", SITE, part) for part in parts]
        sizes["parquet"] = sum(one.bytes for one in written) / 1e6
        served = serve(cursor, folder / "serve" / "plantops.duckdb")
        sizes["served"] = served.size / 1e6
    finally:
        store.close()
    return samples, sizes, f"{served.rows:,} rows of all tables"


def _alone(path: Path, tables: tuple[str, ...], folder: Path) -> float:
    """Megabytes of some tables in a file of their own."""
    alone = folder / "alone.duckdb"
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{path}' AS live (READ_ONLY)")
        connection.execute(f"ATTACH '{alone}' AS alone")
        for table in tables:
            connection.execute(f"CREATE TABLE alone.{table} AS FROM live.{table}")
        connection.execute("DETACH alone")
    size = alone.stat().st_size / 1e6
    alone.unlink()
    return size


async def run(load: Load, tell: Tell) -> list[Figure]:
    """Counters compress well, noise in every bit not at all: plants lie between them."""
    figures = []
    for values, kind, title in _KINDS:
        tell(f"{title}: stream")
        streamed, counted = await _streamed(load, kind)
        tell(f"{title}: archive")
        async with temporary_folder() as folder:
            samples, sizes, held = await asyncio.to_thread(_archived, load, values, folder, tell)
        spread = f"{samples:,} samples of 2,000 tags at 1, 5 and 10 Hz"
        rows = (
            ("live", "live file, with everything", spread),
            ("samples", "live file, samples alone", spread),
            ("frames", "live file, frames alone", spread),
            ("rollups", "live file, roll-ups alone", f"{spread}; at 1 Hz a second has as many as samples"),
            ("parquet", "Parquet (zstd), samples", spread),
        )
        figures += [
            _figure(f"tags.{values}", f"{title}: TAGS on disk", streamed, f"the broker counts {counted:.1f}"),
            *(
                _figure(f"{name}.{values}", f"{title}: {text}", 1e6 * sizes[name] / samples, note)
                for name, text, note in rows
            ),
            figure(
                f"disk.served.{values}",
                f"{title}: served snapshot of it, whole",
                sizes["served"],
                "MB",
                better="lower",
                note=held,
            ),
        ]
    return figures


def _figure(name: str, title: str, value: float, note: str) -> Figure:
    return figure(f"disk.{name}", title, value, "MB per million", better="lower", note=note)


BENCH = Bench("disk", "Disk per million samples", run)
