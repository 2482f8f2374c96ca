"""Builders of samples, and a store to put them into."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from plantops.archive.batch import Batch, Row, SampleBlock
from plantops.archive.store import Store, insert

T0 = 1_750_000_000_000_000


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample; its sequence and place are given by where it stands."""

    series: int
    at: int
    value: float | None
    quality: int = 192
    text: str | None = None


def block(samples: Sequence[Sample], first: int = 1, per_frame: int = 7) -> SampleBlock:
    """Samples as frames of `per_frame`; `first` counts samples from 1 in the whole stream."""
    number = np.arange(first - 1, first - 1 + len(samples))
    texts = [one.text for one in samples]
    return SampleBlock(
        series=np.array([one.series for one in samples], np.int32),
        observed_at=np.array([one.at for one in samples], np.int64),
        value=np.array([np.nan if one.value is None else one.value for one in samples], np.float64),
        has_value=np.array([one.value is not None for one in samples], np.bool_),
        text=texts if any(text is not None for text in texts) else None,
        quality=np.array([one.quality for one in samples], np.uint8),
        source_lag=np.zeros(len(samples), np.int64),
        sequence=number // per_frame + 1,
        place=(number % per_frame).astype(np.uint16),
    )


def random_samples(seed: int, count: int, series: int = 5, seconds: int = 150) -> list[Sample]:
    """Mostly in order of time, some late; all qualities, numbers that round, non-numbers and texts."""
    chance = random.Random(seed)
    values: list[float | None] = [None, float("nan"), float("inf"), -0.0, 0.0]
    samples = []
    for number in range(count):
        late = chance.random() < 0.1
        at = T0 + number * seconds * 1_000_000 // count - (chance.randrange(3_000_000_000) if late else 0)
        value = chance.choice(values) if chance.random() < 0.1 else chance.gauss(0, 10) ** 5
        text = chance.choice(["", "on", "läuft"]) if chance.random() < 0.05 else None
        samples.append(
            Sample(
                1 + chance.randrange(series), at, value, chance.choice([192, 192, 216, 64, 0, 255, 128]), text
            )
        )
    return samples


def series_row(number: int, source: str, tag: str) -> Row:
    """A row of table `series`."""
    return (number, source, tag, "f8", "Cel", "", "", 1000, None, None, "layout")


def opened(path: Path) -> Store:
    """A store of the tests' site."""
    return Store.open(path, "test", threads=1, memory_megabytes=256)


def stored(store: Store, *blocks: SampleBlock) -> None:
    """Put samples into table `sample`."""
    with store.transaction() as connection:
        insert(connection, Batch(samples=list(blocks)))
