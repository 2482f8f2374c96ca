"""Roll-ups are a function of the samples in order: cuts, flushes and restarts leave no trace in any bit."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from archive.sampling import T0, Sample, block, random_samples
from plantops.archive.rollups import WIDTHS, Buckets, Found, Rollups, ranked, unranked
from plantops.archive.slots import Slots

Key: TypeAlias = tuple[str, int, int]
Row: TypeAlias = tuple[Any, ...]


def bits(value: float) -> bytes:
    return b"nan" if math.isnan(value) else struct.pack("<d", value)


def order(value: float) -> tuple[float, bool]:
    return value, math.copysign(1, value) > 0


def plainly(samples: list[Sample]) -> dict[Key, Row]:
    """The roll-ups by the plainest loop that follows the words of the tables."""
    buckets: dict[Key, list[Sample]] = {}
    for one in samples:
        for table, width in WIDTHS.items():
            buckets.setdefault((table, one.series, one.at // width * width), []).append(one)
    return {key: one_bucket(held) for key, held in buckets.items()}


def one_bucket(held: list[Sample]) -> Row:
    good = [one for one in held if one.quality >= 192]
    numbers = [one.value for one in good if one.value is not None and math.isfinite(one.value)]
    total = 0.0
    for number in numbers:
        total += number
    last = held[0]
    for one in held:
        last = one if one.at >= last.at else last
    return (
        len(held),
        len(good),
        sum(64 <= one.quality < 128 for one in held),
        len(numbers),
        bits(min(numbers, key=order)) if numbers else None,
        bits(max(numbers, key=order)) if numbers else None,
        bits(total),
        None if last.value is None else bits(last.value),
        last.text,
        last.quality,
        last.at,
    )


@dataclass
class Shelf:
    """The tables, as a dictionary."""

    rows: dict[Key, tuple[Buckets, int]] = field(default_factory=dict)
    asked: int = 0

    def load(self, table: str, series: NDArray[np.int32], bucket: NDArray[np.int64]) -> Found:
        keys = list(zip(series.tolist(), bucket.tolist(), strict=True))
        self.asked += len(keys)
        there = [key for key in keys if (table, *key) in self.rows]
        held = Buckets.empty(len(there))
        for place, key in enumerate(there):
            row, index = self.rows[(table, *key)]
            held.put(np.array([place]), row.take(np.array([index])))
        return Found(
            np.array([k[0] for k in there], np.int32), np.array([k[1] for k in there], np.int64), held
        )

    def store(self, rollups: Rollups) -> None:
        for table, found in rollups.changed():
            found.held.stored[:] = True
            for place, key in enumerate(zip(found.series.tolist(), found.bucket.tolist(), strict=True)):
                self.rows[(table, *key)] = (found.held, place)
        rollups.settle()

    def restart(self, limit: int) -> Rollups:
        rollups = Rollups(self.load, limit)
        for table, series, bucket in self.rows:
            rollups.known(table, np.array([series], np.int32), np.array([bucket]))
        return rollups

    def read(self) -> dict[Key, Row]:
        return {key: read(held, place) for key, (held, place) in self.rows.items()}


def read(held: Buckets, place: int) -> Row:
    numbers = int(held.numbers[place])
    return (
        int(held.samples[place]),
        int(held.good[place]),
        int(held.uncertain[place]),
        numbers,
        bits(unranked(held.lowest)[place]) if numbers else None,
        bits(unranked(held.highest)[place]) if numbers else None,
        bits(held.total[place]),
        bits(held.last_value[place]) if held.last_has_value[place] else None,
        held.last_text[place],
        int(held.last_quality[place]),
        int(held.last_at[place]),
    )


def rolled(samples: list[Sample]) -> dict[Key, Row]:
    shelf = Shelf()
    rollups = shelf.restart(1_000_000)
    rollups.fold(block(samples))
    shelf.store(rollups)
    return shelf.read()


SAMPLES = st.lists(
    st.builds(
        Sample,
        series=st.integers(1, 4),
        at=st.sampled_from([-1, 0, 999_999, 1_000_000, 59_999_999, T0, T0 + 1, T0 + 3_600_000_000]),
        value=st.none() | st.floats(),
        quality=st.sampled_from([192, 219, 255, 64, 127, 128, 0]),
        text=st.sampled_from([None, None, "", "a"]),
    ),
    max_size=40,
)


def test_agrees_in_every_bit_with_the_plainest_loop() -> None:
    samples = random_samples(seed=1, count=3000)
    assert rolled(samples) == plainly(samples)


@given(SAMPLES)
@settings(deadline=None, max_examples=100)
def test_agrees_with_the_plainest_loop_on_odd_samples(samples: list[Sample]) -> None:
    assert rolled(samples) == plainly(samples)


@given(SAMPLES, st.lists(st.tuples(st.integers(1, 9), st.sampled_from(["", "flush", "restart"]))))
@settings(deadline=None, max_examples=150)
def test_cuts_flushes_and_restarts_change_no_bit(samples: list[Sample], cuts: list[tuple[int, str]]) -> None:
    shelf, start = Shelf(), 0
    rollups = shelf.restart(4)
    for size, then in [*cuts, (len(samples), "flush")]:
        rollups.fold(block(samples[start : start + size], start + 1))
        start += len(samples[start : start + size])
        if then:
            shelf.store(rollups)
        if then == "restart":
            rollups = shelf.restart(4)
    assert shelf.read() == plainly(samples)


def test_a_sum_is_the_one_of_adding_one_by_one_across_folds_of_any_size() -> None:
    values = [1e16, 1.0, -1e16, 1.0, 0.1] * 40_000
    samples = [Sample(1, T0, value) for value in values]
    total = 0.0
    for value in values:
        total += value
    assert total != math.fsum(values)
    assert rolled(samples)[("rollup_1h", 1, T0 - T0 % 3_600_000_000)][6] == bits(total)


def test_numpy_adds_repeated_indices_in_their_order_to_what_stands_there() -> None:
    # The sums rest on this; numpy's manual promises the accumulation but not its order.
    chance = np.random.default_rng(3)
    values, where = chance.normal(size=50_000) ** 9, chance.integers(0, 5, 50_000)
    sums = chance.normal(size=5) * 1e5
    plain = sums.tolist()
    for index, value in zip(where.tolist(), values.tolist(), strict=True):
        plain[index] += value
    np.add.at(sums, where, values)
    assert sums.tolist() == plain


def test_late_samples_go_to_their_own_bucket_even_when_it_left_the_memory() -> None:
    first = [Sample(1, T0 + second * 1_000_000, 1.0) for second in range(100)]
    late = [Sample(1, T0 + second * 1_000_000, 2.0) for second in range(50)]
    shelf = Shelf()
    rollups = shelf.restart(20)
    for start in range(0, 100, 10):
        rollups.fold(block(first[start : start + 10], start + 1))
        shelf.store(rollups)
    assert len(rollups) <= 10
    rollups.fold(block(late, 101))
    assert shelf.asked >= 50
    shelf.store(rollups)
    assert shelf.read() == plainly(first + late)


def test_a_stream_in_order_of_time_asks_the_table_for_nothing() -> None:
    shelf = Shelf()
    rollups = shelf.restart(1_000_000)
    for second in range(200):
        rollups.fold(block([Sample(s, T0 + second * 1_000_000, 1.0) for s in (1, 2)], 2 * second + 1))
        if second % 5 == 4:
            shelf.store(rollups)
    assert shelf.asked == 0


def test_one_source_with_a_clock_ahead_makes_no_other_ask_the_table() -> None:
    shelf = Shelf()
    rollups = shelf.restart(1_000_000)
    rollups.fold(block([Sample(9, T0 * 2, 1.0)]))
    rollups.fold(block([Sample(1, T0, 1.0), Sample(2, T0, 1.0)], 8))
    assert shelf.asked == 0


def test_memory_is_bounded_and_asks_for_a_flush() -> None:
    shelf = Shelf()
    rollups = shelf.restart(limit=1000)
    most = 0
    for second in range(5000):
        rollups.fold(block([Sample(1, T0 + second * 1_000_000, 1.0)], second + 1))
        most = max(most, len(rollups))
        if rollups.is_full:
            shelf.store(rollups)
            assert not rollups.is_full
    assert most <= 1010


def test_a_second_that_is_over_leaves_the_memory_though_there_is_room() -> None:
    shelf = Shelf()
    rollups = shelf.restart(1_000_000)
    for second in range(10):
        rollups.fold(block([Sample(1, T0 + second * 1_000_000, 1.0)], second + 1))
        shelf.store(rollups)
    assert len(rollups) == 3


def test_a_bucket_that_did_not_change_is_not_stored_again() -> None:
    shelf = Shelf()
    rollups = shelf.restart(1_000_000)
    rollups.fold(block([Sample(1, T0, 1.0), Sample(2, T0, 1.0)]))
    shelf.store(rollups)
    rollups.fold(block([Sample(2, T0 + 1, 1.0)], 8))
    assert [found.series.tolist() for _table, found in rollups.changed()] == [[2], [2], [2]]


def test_refuses_a_series_number_that_no_key_holds() -> None:
    with pytest.raises(ValueError, match="series numbers go from"):
        Rollups(Shelf().load).fold(block([Sample(1 << 28, T0, 1.0)]))


@given(st.lists(st.floats(allow_nan=False), min_size=2, max_size=2))
def test_ranks_order_as_doubles_do_and_come_back(values: list[float]) -> None:
    a, b = ranked(np.array(values)).tolist()
    assert (a < b) == (order(values[0]) < order(values[1]))
    assert [bits(one) for one in unranked(np.array([a, b]))] == [bits(one) for one in values]


@given(st.lists(st.lists(st.integers(-(2**62), 2**62) | st.integers(0, 20), max_size=60), max_size=6))
@settings(deadline=None)
def test_slots_are_dense_and_belong_to_one_key(rounds: list[list[int]]) -> None:
    slots = Slots()
    known: dict[int, int] = {}
    for keys in rounds:
        for key, slot in zip(keys, slots.place(np.array(keys, np.int64)).tolist(), strict=True):
            assert known.setdefault(key, slot) == slot
    assert sorted(known.values()) == list(range(len(slots)))
    assert slots.keys.tolist() == sorted(known, key=known.__getitem__)


def test_slots_keep_their_keys_when_the_table_grows() -> None:
    slots, keys = Slots(), np.random.default_rng(1).integers(0, 1 << 60, 30_000)
    placed = np.concatenate([slots.place(part) for part in np.split(keys, 30)])
    assert (slots.place(keys) == placed).all()
    assert (slots.keys[placed] == keys).all()
    assert (Slots(slots.keys).place(slots.keys) == np.arange(len(slots))).all()
