"""A live file with hours of a plant in it, made through the store itself: 2,000 tags at 1, 5 and 10 Hz."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from plantops.archive.batch import Batch, Position, Row, SampleBlock
from plantops.archive.plant_tables import FRAME
from plantops.archive.rolling import Roller
from plantops.archive.samples import HAS_VALUE, IS_GOOD
from plantops.archive.series import SeriesBook
from plantops.archive.store import Store, insert
from plantops.bench.figures import Tell
from plantops.bench.publisher import APART
from plantops.events.base import SiteName, SourceName, TagName
from plantops.events.tags import Kind, ScanGroup, SourceDefined, TagDefinition, layout_of

Values: TypeAlias = Literal["noise", "counters"]

SITE: Final = "demo"
SOURCES: Final = 4
# By scan group: Hz, and tags of one source in it.
GROUPS: Final = ((10, 25), (5, 50), (1, 425))
TICKS: Final = 10
PER_SECOND: Final = SOURCES * sum(rate * tags for rate, tags in GROUPS)
FRAMES_PER_SECOND: Final = SOURCES * TICKS
# 222,000 rows in a commit: above a row group, below a second.
COMMIT_SECONDS: Final = 60
_ROLL_COMMITS: Final = 5
CREATED: Final = "2026-01-01T00:00:00Z"


@dataclass(frozen=True)
class Second:
    """Which samples every second has, in the order of TAGS; columns of `PER_SECOND`, but `first` and
    `source` of `FRAMES_PER_SECOND`: the first sample of each frame, and whose frame it is."""

    tag: NDArray[np.int64]  # over all sources
    tick: NDArray[np.int64]
    count: NDArray[np.int64]  # of the same tag before it in this second
    rate: NDArray[np.int64]  # of its tag, per second
    frame: NDArray[np.int64]
    place: NDArray[np.int64]
    first: NDArray[np.int64]
    source: NDArray[np.int64]


def _second() -> Second:
    rates = np.repeat([rate for rate, _ in GROUPS], [tags for _, tags in GROUPS])
    size, rows = len(rates), []
    for frame, (tick, source) in enumerate(itertools.product(range(TICKS), range(SOURCES))):
        due = np.flatnonzero(tick % (TICKS // rates) == 0)
        ones = np.ones(len(due), "i8")
        count = tick // (TICKS // rates[due])
        rows.append(
            np.stack(
                [
                    source * size + due,
                    tick * ones,
                    count,
                    rates[due],
                    frame * ones,
                    np.arange(len(due)),
                ]
            )
        )
    lengths = np.array([row.shape[1] for row in rows])
    first = np.cumsum(lengths) - lengths
    tag, tick, count, rate, number, place = np.concatenate(rows, axis=1)
    return Second(tag, tick, count, rate, number, place, first, np.tile(np.arange(SOURCES), TICKS))


def definitions(values: Values) -> list[SourceDefined]:
    """What the sources say of themselves: `bench0` and on, tags `bench0.t000` and on."""
    kind: Kind = "f8" if values == "noise" else "u8"
    size = sum(tags for _, tags in GROUPS)
    groups = np.repeat(np.arange(len(GROUPS)), [tags for _, tags in GROUPS])
    return [
        SourceDefined(
            site=SiteName(SITE),
            source=SourceName(f"bench{source}"),
            groups=tuple(ScanGroup(name=f"hz{rate}", period_ms=1000 // rate) for rate, _ in GROUPS),
            tags=tuple(
                TagDefinition(
                    name=TagName(f"bench{source}.t{number:03d}"),
                    kind=kind,
                    group=int(groups[number]),
                    unit="Cel",
                )
                for number in range(size)
            ),
        )
        for source in range(SOURCES)
    ]


class Plant:
    """Blocks of whole seconds from `start` (µs) on; the same for the same seed."""

    def __init__(self, values: Values, start: int) -> None:
        self.definitions = definitions(values)
        self.layouts = [str(layout_of(each)) for each in self.definitions]
        self._values, self._start = values, start
        self._random = np.random.default_rng(1)
        self._second = _second()
        self._size = len(self.definitions[0].tags)
        self.numbers = np.zeros(0, "i4")

    def first_batch(self) -> Batch:
        """The layouts and series, which are numbered by it."""
        batch, book = Batch(), SeriesBook({}, ())
        found = [
            book.numbers(definition, layout, 1 + place, batch)
            for place, (definition, layout) in enumerate(zip(self.definitions, self.layouts, strict=True))
        ]
        self.numbers = np.concatenate(found)
        return batch

    def batch(self, begin: int, end: int) -> tuple[Batch, SampleBlock]:
        """The samples and frames of the seconds from `begin` to before `end`."""
        jitter = self._random.integers(0, 3000, (end - begin, FRAMES_PER_SECOND))
        block = self._block(begin, end, jitter)
        batch = Batch(samples=[block])
        batch.rows[FRAME.name] = list(self._frames(block, begin, end))
        last = int(block.sequence[-1])
        batch.positions["TAGS"] = Position(last, CREATED, int(block.observed_at[-1]) + 2000)
        return batch, block

    def _block(self, begin: int, end: int, jitter: NDArray[np.int64]) -> SampleBlock:
        one, seconds = self._second, end - begin
        which = np.repeat(np.arange(begin, end), PER_SECOND)
        tag = np.tile(one.tag, seconds)
        quality = self._quality(len(tag))
        # Two of the sources tell no time of their own; the others' clocks differ from sample to sample.
        lag = np.where(tag < len(self.numbers) // 2, 0, self._random.integers(1000, 50_000, len(tag)))
        at = self._start + which * 1_000_000 + np.tile(one.tick, seconds) * 100_000
        return SampleBlock(
            series=self.numbers[tag],
            observed_at=at + jitter[:, one.frame].ravel(),
            value=self._value(tag, which * np.tile(one.rate, seconds) + np.tile(one.count, seconds)),
            has_value=HAS_VALUE[quality],
            text=None,
            quality=quality,
            source_lag=lag,
            sequence=which * FRAMES_PER_SECOND + np.tile(one.frame, seconds) + 1,
            place=np.tile(one.place, seconds).astype("u2"),
        )

    def _quality(self, size: int) -> NDArray[np.uint8]:
        dice = self._random.random(size)
        return np.where(dice < 0.0025, 0, np.where(dice < 0.005, 64, 192)).astype("u1")

    def _value(self, tag: NDArray[np.int64], count: NDArray[np.int64]) -> NDArray[np.float64]:
        if self._values == "counters":
            return (tag * APART + count + 1).astype("f8")
        drift = np.sin(count / 600.0 + tag)
        value: NDArray[np.float64] = 20.0 + tag % 80 + drift + 0.1 * self._random.standard_normal(len(tag))
        return value

    def _frames(self, block: SampleBlock, begin: int, end: int) -> Iterator[Row]:
        one = self._second
        first = (np.arange(end - begin)[:, None] * PER_SECOND + one.first).ravel()
        good = np.add.reduceat(IS_GOOD[block.quality].astype("i8"), first).tolist()
        samples = np.diff(np.append(first, len(block))).tolist()
        sources = np.tile(one.source, end - begin).tolist()
        observed, sequences = block.observed_at[first].tolist(), block.sequence[first].tolist()
        for sequence, at, source, size, well in zip(sequences, observed, sources, samples, good, strict=True):
            name, layout = self.definitions[source].source, self.layouts[source]
            number = (sequence - 1) // SOURCES + 1
            signer = f"adapter-{name}"
            yield (sequence, at + 2000, name, 1, number, at, layout, size, well, False, signer)


def make_archive(path: Path, samples: int, values: Values, end: int, tell: Tell) -> int:
    """Fill a new live file with at least this many samples up to `end` (µs since 1970), roll-ups included.

    Gives how many. The file is open nowhere when it returns.
    """
    seconds = max(2, -(-samples // PER_SECOND))
    plant = Plant(values, end - seconds * 1_000_000)
    store = Store.open(path, SITE)
    try:
        with store.transaction() as connection:
            insert(connection, plant.first_batch())
        _fill(store, plant, seconds, tell)
    finally:
        store.close()
    return seconds * PER_SECOND


def _fill(store: Store, plant: Plant, seconds: int, tell: Tell) -> None:
    roller = Roller(store)
    roller.resume()
    for number, begin in enumerate(range(0, seconds, COMMIT_SECONDS)):
        end = min(seconds, begin + COMMIT_SECONDS)
        batch, block = plant.batch(begin, end)
        roller.fold(block)
        with store.transaction() as connection:
            insert(connection, batch, block)
            if number % _ROLL_COMMITS == 0 or end == seconds:
                roller.flush(connection, int(block.sequence[-1]))
        tell(f"made {end * PER_SECOND:,} of {seconds * PER_SECOND:,} samples")
