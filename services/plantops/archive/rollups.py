"""Samples per second, minute and hour, kept in memory while they grow. Pure: the table is behind a loader.

What a bucket holds depends on the samples in the order of TAGS only, never on how they were cut into blocks
or how often the bucket went to the table and came back: sums are added one by one to the stored sum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any, Final, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from plantops.archive.batch import SampleBlock
from plantops.archive.plant_tables import ROLLUP_1H, ROLLUP_1M, ROLLUP_1S
from plantops.archive.slots import Keys, Places, Slots

WIDTHS: Final = {ROLLUP_1S.name: 1_000_000, ROLLUP_1M.name: 60_000_000, ROLLUP_1H.name: 3_600_000_000}
"""Microseconds that a bucket of each table covers; it begins at a whole multiple since 1970 UTC."""

# A bucket that nothing touched for so many flushes leaves the memory; it comes back through the loader.
# Seconds are over soon, and a slow tag touches its minute and hour seldom.
_LINGER: Final = {ROLLUP_1S.name: 1, ROLLUP_1M.name: 24, ROLLUP_1H.name: 720}
# A key is bucket * 2**28 + series; int64 microseconds leave 35 bits for the second when they came from
# nanoseconds, as observed_at does.
_SERIES_BITS: Final = 28
_FOLD_AT_ONCE: Final = 1 << 16
_NEVER: Final = np.iinfo(np.int64).min
_HIGHEST: Final = np.iinfo(np.int64).max
_SIGN: Final = np.int64(_HIGHEST)


def ranked(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Doubles as integers of the same order, -0.0 below 0.0: comparing them is the same on every machine."""
    bits = values.view(np.int64)
    return bits ^ ((bits >> 63) & _SIGN)


def unranked(ranks: NDArray[np.int64]) -> NDArray[np.float64]:
    """The doubles that `ranked` took."""
    bits: NDArray[np.int64] = ranks ^ ((ranks >> 63) & _SIGN)
    return bits.view(np.float64)


@dataclass(slots=True)
class Buckets:
    """Columns of a roll-up, of equal length. `lowest` and `highest` are `ranked`, and mean something where
    `numbers` is above 0. `stored`: the table has a row for this bucket."""

    samples: NDArray[np.int64]
    good: NDArray[np.int64]
    uncertain: NDArray[np.int64]
    numbers: NDArray[np.int64]
    lowest: NDArray[np.int64]
    highest: NDArray[np.int64]
    total: NDArray[np.float64]
    last_value: NDArray[np.float64]
    last_has_value: NDArray[np.bool_]
    last_text: NDArray[np.object_]
    last_quality: NDArray[np.uint8]
    last_at: NDArray[np.int64]
    stored: NDArray[np.bool_]

    @classmethod
    def empty(cls, size: int) -> Self:
        """Buckets into which nothing was folded yet."""
        return cls(
            samples=np.zeros(size, np.int64),
            good=np.zeros(size, np.int64),
            uncertain=np.zeros(size, np.int64),
            numbers=np.zeros(size, np.int64),
            lowest=np.full(size, _HIGHEST),
            highest=np.full(size, _NEVER),
            total=np.zeros(size),
            last_value=np.zeros(size),
            last_has_value=np.zeros(size, np.bool_),
            last_text=np.full(size, None),
            last_quality=np.zeros(size, np.uint8),
            last_at=np.full(size, _NEVER),
            stored=np.zeros(size, np.bool_),
        )

    def take(self, which: Places) -> Self:
        """A copy of some of them."""
        return type(self)(*(column[which] for column in self._columns()))

    def put(self, where: Places, others: Buckets) -> None:
        """Overwrite some of them."""
        for mine, theirs in zip(self._columns(), others._columns(), strict=True):
            mine[where] = theirs

    def _columns(self) -> Iterator[NDArray[Any]]:
        return (getattr(self, field.name) for field in fields(self))


@dataclass(frozen=True, slots=True)
class Found:
    """Rows of a roll-up table: which buckets, and what they hold. `bucket` is their beginning in µs."""

    series: NDArray[np.int32]
    bucket: NDArray[np.int64]
    held: Buckets


Loader: TypeAlias = Callable[[str, NDArray[np.int32], NDArray[np.int64]], Found]
"""Asked for a table's rows of some (series, bucket); answers those that are there, in any order."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """Samples with what all levels need of them. An index is None where it stands for all samples."""

    series: NDArray[np.int64]
    at: NDArray[np.int64]
    order: NDArray[np.int64]
    good: Places | None
    uncertain: Places
    number: Places | None
    numbers: NDArray[np.float64]
    ranks: NDArray[np.int64]
    value: NDArray[np.float64]
    has_value: NDArray[np.bool_]
    quality: NDArray[np.uint8]
    text: NDArray[np.object_] | None


def _pieces(block: SampleBlock, order: int) -> Iterator[_Piece]:
    text = None if block.text is None else np.array(block.text, np.object_)
    for start in range(0, len(block), _FOLD_AT_ONCE):
        cut = slice(start, start + _FOLD_AT_ONCE)
        value, quality = block.value[cut], block.quality[cut]
        kind = quality & 0xC0  # OPC DA 3.0, 6.8: the two highest bits say good, uncertain or bad
        good = kind == 0xC0
        number = good & block.has_value[cut] & np.isfinite(value)
        chosen = None if number.all() else np.flatnonzero(number)
        numbers = np.ascontiguousarray(_pick(value, chosen))
        yield _Piece(
            series=block.series[cut].astype(np.int64),
            at=block.observed_at[cut],
            order=np.arange(order + start, order + start + len(value)),
            good=None if good.all() else np.flatnonzero(good),
            uncertain=np.flatnonzero(kind == 0x40),
            number=chosen,
            numbers=numbers,
            ranks=ranked(numbers),
            value=value,
            has_value=block.has_value[cut],
            quality=quality,
            text=None if text is None else text[cut],
        )


def _pick(column: NDArray[Any], chosen: Places | None) -> NDArray[Any]:
    return column if chosen is None else column[chosen]


class _Level:
    """The buckets of one table that are in memory."""

    def __init__(self, name: str, load: Loader) -> None:
        self.name: Final = name
        self.width: Final = WIDTHS[name]
        self._load = load
        self._slots = Slots()
        self._held = Buckets.empty(0)
        self._last_order = np.zeros(0, np.int64)
        self._touched = np.zeros(0, np.int64)
        self._flushes = 0
        # The newest bucket that each series ever had: a newer one is in no table and need not be looked for.
        self._newest = np.zeros(0, np.int64)

    def __len__(self) -> int:
        return len(self._slots)

    def known(self, series: NDArray[np.int32], newest: NDArray[np.int64]) -> None:
        """The table may hold buckets of these series up to `newest` (µs)."""
        self._saw(series.astype(np.int64), newest // self.width)

    def fold(self, piece: _Piece) -> None:
        slots = self._slots_of(piece)
        held = self._held
        self._touched[slots] = self._flushes
        np.add.at(held.samples, slots, 1)
        np.add.at(held.good, _pick(slots, piece.good), 1)
        np.add.at(held.uncertain, slots[piece.uncertain], 1)
        counted = _pick(slots, piece.number)
        np.add.at(held.numbers, counted, 1)
        np.add.at(held.total, counted, piece.numbers)
        np.minimum.at(held.lowest, counted, piece.ranks)
        np.maximum.at(held.highest, counted, piece.ranks)
        self._keep_last(slots, piece)

    def _keep_last(self, slots: Places, piece: _Piece) -> None:
        held = self._held
        np.maximum.at(held.last_at, slots, piece.at)
        newest = np.flatnonzero(held.last_at[slots] == piece.at)
        np.maximum.at(self._last_order, slots[newest], piece.order[newest])
        last = newest[self._last_order[slots[newest]] == piece.order[newest]]
        where = slots[last]
        held.last_value[where] = piece.value[last]
        held.last_has_value[where] = piece.has_value[last]
        held.last_quality[where] = piece.quality[last]
        held.last_text[where] = None if piece.text is None else piece.text[last]

    def _slots_of(self, piece: _Piece) -> Places:
        before = len(self._slots)
        slots = self._slots.place(((piece.at // self.width) << _SERIES_BITS) + piece.series)
        if len(self._slots) > before:
            self._open(before)
        return slots

    def _open(self, first: int) -> None:
        """Make the buckets from slot `first` on, with what the table holds of them."""
        self._reserve(len(self._slots))
        fresh = np.arange(first, len(self._slots))
        self._held.put(fresh, Buckets.empty(len(fresh)))
        self._last_order[fresh] = -1
        series, bucket = self._named(self._slots.keys[first:])
        self._saw(series, np.full(len(series), _NEVER))
        older = np.flatnonzero(bucket <= self._newest[series])
        if len(older):
            found = self._load(self.name, series[older].astype(np.int32), bucket[older] * self.width)
            keys = ((found.bucket // self.width) << _SERIES_BITS) + found.series
            self._held.put(self._slots.place(keys), found.held)
        self._saw(series, bucket)

    def _named(self, keys: Keys) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return keys & ((1 << _SERIES_BITS) - 1), keys >> _SERIES_BITS

    def _saw(self, series: NDArray[np.int64], bucket: NDArray[np.int64]) -> None:
        if len(series) and (top := int(series.max())) >= len(self._newest):
            grown = np.full(max(top + 1, 2 * len(self._newest)), _NEVER)
            grown[: len(self._newest)] = self._newest
            self._newest = grown
        np.maximum.at(self._newest, series, bucket)

    def _reserve(self, size: int) -> None:
        if size > len(self._touched):
            old, kept = self._held, np.arange(len(self._touched))
            size = max(size, 2 * len(kept))
            self._held = Buckets.empty(size)
            self._held.put(kept, old)
            self._last_order = np.resize(self._last_order, size)
            self._touched = np.resize(self._touched, size)

    def changed(self) -> Found:
        """The buckets that were touched since the last `settle`, by bucket and series."""
        keys = self._slots.keys
        which = np.flatnonzero(self._touched[: len(keys)] == self._flushes)
        which = which[np.argsort(keys[which])]
        series, bucket = self._named(keys[which])
        return Found(series.astype(np.int32), bucket * self.width, self._held.take(which))

    def settle(self) -> None:
        """All that changed is stored. Buckets that were not touched for long leave."""
        used = self._touched[: len(self)]
        self._held.stored[: len(self)] = True
        self._keep(np.flatnonzero(self._flushes - used < _LINGER[self.name]))
        self._flushes += 1

    def forget(self) -> None:
        """Let all buckets leave; right after `settle` only."""
        self._keep(np.zeros(0, np.intp))

    def _keep(self, which: Places) -> None:
        if len(which) == len(self):
            return
        self._slots = Slots(self._slots.keys[which])
        self._held = self._held.take(which)
        self._last_order, self._touched = self._last_order[which], self._touched[which]


class Rollups:
    """Open buckets of all three levels. One thread at a time.

    After any exception the buckets are incomplete: make a new object and fold again from what is stored.
    """

    def __init__(self, load: Loader, limit: int = 1_000_000) -> None:
        """`limit`: buckets in memory above which `is_full` asks for a flush; each takes about 200 bytes."""
        self._levels = [_Level(name, load) for name in WIDTHS]
        self._limit = limit
        self._order = 0

    def __len__(self) -> int:
        return sum(map(len, self._levels))

    @property
    def is_full(self) -> bool:
        """Whether the buckets should be stored now; one block may exceed the limit, more need not."""
        return len(self) >= self._limit

    def known(self, table: str, series: NDArray[np.int32], newest: NDArray[np.int64]) -> None:
        """Say up to which bucket (µs) a table may hold rows of some series: later ones are not looked for."""
        for level in self._levels:
            if level.name == table:
                level.known(series, newest)

    def fold(self, block: SampleBlock) -> None:
        """Fold samples, which come in the order of TAGS and never twice.

        Raises: ValueError for a series number that is no `series.series`.
        """
        if len(block) and not 0 <= block.series.min() <= block.series.max() < 1 << _SERIES_BITS:
            raise ValueError(f"series numbers go from 0 to {(1 << _SERIES_BITS) - 1}")
        # A sum may leave the range of doubles: it is infinite then, and stays so.
        with np.errstate(over="ignore", invalid="ignore"):
            for piece in _pieces(block, self._order):
                for level in self._levels:
                    level.fold(piece)
        self._order += len(block)

    def changed(self) -> Iterator[tuple[str, Found]]:
        """What is to be stored: per table the buckets touched since the last `settle`, whole."""
        for level in self._levels:
            yield level.name, level.changed()

    def settle(self) -> None:
        """What `changed` gave is stored; what was not used for long leaves the memory."""
        for level in self._levels:
            level.settle()
        for level in self._levels:
            if 2 * len(self) > self._limit:
                level.forget()
