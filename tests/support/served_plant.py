"""A made-up plant in a live archive file: tags good and bad, and the story of `served_story`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from plantops.archive.batch import Batch, Position, Row, SampleBlock
from plantops.archive.plant_tables import ROLLUPS
from plantops.archive.store import Store, insert, note
from support.served_story import NOW_US, SECOND, audit, commands, row

SOURCES = ("line1", "tank's")
TAGS = (
    ("line1", "speed", "1/min"),
    ("line1", "state", ""),
    ("tank's", "level", "m"),
    ("tank's", "dead", "Cel"),
)


def fill(store: Store, seconds: int = 900, per_second: int = 1) -> None:
    """Samples of the last `seconds` before NOW and everything that happened meanwhile, in one commit."""
    batch = Batch()
    for each in (_plant, commands, audit):
        each(batch)
    _frames(batch, seconds * per_second, SECOND // per_second)
    last = seconds * per_second
    batch.positions["TAGS"] = Position(last, "created", NOW_US)
    batch.positions["COMMANDS"] = Position(30, "created", NOW_US - 5 * SECOND)
    with store.transaction() as connection:
        insert(connection, batch)
        note(connection, "rolled", str(last))


def add_frames(store: Store, first: int, count: int) -> None:
    """`count` more frames behind sequence `first`, a second apart, in one commit."""
    batch = Batch()
    start = NOW_US + (first - 900) * SECOND
    batch.samples.append(_block(np.arange(first + 1, first + count + 1), start, SECOND))
    for number in range(first, first + count):
        batch.add("frame", _frame(number, NOW_US + (number - 900) * SECOND))
    batch.positions["TAGS"] = Position(first + count, "created", start + (count - 1) * SECOND)
    with store.transaction() as connection:
        insert(connection, batch)


def plant(folder: Path, **how: int) -> Store:
    """An open live file with that plant in it."""
    store = Store.open(folder / "live.duckdb", "demo")
    fill(store, **how)
    return store


_SERIES = {"kind": "f8", "area": "hall", "period_ms": 1000, "low": 0.0, "high": 100.0}


def _plant(batch: Batch) -> None:
    for number, (source, tag, unit) in enumerate(TAGS, 1):
        own = {"series": number, "source": source, "tag": tag, "unit": unit}
        batch.add("series", row("series", description=f"made-up {tag}", **own, **_SERIES))
    begun = NOW_US - 900 * SECOND
    for number, source in enumerate(SOURCES, 1):
        batch.add("layout", row("layout", source=source, layout="h", sequence=number, body="{}"))
        own = {"sequence": number, "stored_at": begun, "source": source}
        batch.add("source_state", row("source_state", state="up", epoch=1, **own))
    for number, cause in enumerate(("device_lost", "outbox_full", "device_lost"), 1):
        place = {"sequence": 10 + number, "stored_at": NOW_US - number * 100 * SECOND, "source": "tank's"}
        size = {"first": number, "last": number, "frames": 1, "samples": 40 * number}
        batch.add("gap", row("gap", cause=cause, **place, **size))
    at = NOW_US - 400 * SECOND
    batch.add("hole", row("hole", stream="TAGS", first=5, last=6, stored_at=at, cause="missing"))
    unread = {"stream": "SOURCES", "sequence": 9, "stored_at": at, "type": "source.odd"}
    batch.add("unread", row("unread", cause="unknown_type", reason="no such type", **unread))


def _block(frames: np.ndarray[Any, np.dtype[np.int64]], start: int, step: int) -> SampleBlock:
    count = len(frames) * len(TAGS)
    moment = np.repeat(np.arange(len(frames)), len(TAGS))
    series = np.tile(np.arange(1, len(TAGS) + 1, dtype=np.int32), len(frames))
    return SampleBlock(
        series=series,
        observed_at=start + moment * step,
        value=50 + 10 * np.sin(moment / 30) + series,
        has_value=series != 4,
        text=["running" if one == 2 else None for one in series.tolist()],
        quality=np.where(series == 4, 24, 192).astype(np.uint8),
        source_lag=np.full(count, 20_000, np.int64),
        sequence=np.repeat(frames, len(TAGS)),
        place=np.tile(np.arange(len(TAGS), dtype=np.uint16), len(frames)),
    )


def _frames(batch: Batch, count: int, step: int) -> None:
    start = NOW_US - count * step
    block = _block(np.arange(1, count + 1), start, step)
    batch.samples.append(block)
    for number in range(count):
        batch.add("frame", _frame(number, start + number * step))
    for table, seconds in zip(ROLLUPS, (1, 60, 3600), strict=True):
        batch.rows[table.name] = list(_rolled(block, seconds))


def _frame(number: int, at: int) -> Row:
    return row(
        "frame",
        sequence=number + 1,
        stored_at=at + 3000,
        source=SOURCES[number % 2],
        epoch=1,
        number=number,
        observed_at=at,
        layout="h",
        samples=len(TAGS),
        good=len(TAGS) - 1,
        signer="adapter",
    )


def _rolled(block: SampleBlock, seconds: int) -> Iterable[Row]:
    buckets: dict[tuple[int, int], list[int]] = defaultdict(list)
    width = seconds * SECOND
    for index, (series, at) in enumerate(zip(block.series.tolist(), block.observed_at.tolist(), strict=True)):
        buckets[series, at // width * width].append(index)
    for (series, bucket), held in buckets.items():
        good = [index for index in held if block.quality[index] >= 192]
        values = block.value[good].tolist()
        last = held[-1]
        yield row(
            "rollup_1s",
            series=series,
            bucket=bucket,
            samples=len(held),
            good=len(good),
            numbers=len(values),
            minimum=min(values, default=None),
            maximum=max(values, default=None),
            total=sum(values) if values else None,
            last_value=float(block.value[last]) if block.has_value[last] else None,
            last_text=block.text[last] if block.text else None,
            last_quality=int(block.quality[last]),
            last_at=int(block.observed_at[last]),
        )
