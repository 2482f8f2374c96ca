"""Tellings by a schedule: none the fewer for being late, and none the more after a stall."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plantops.gateway.pacing import Pace

INTERVAL = 0.1


@dataclass
class Clock:
    """Moves by hand."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def tellings(lates: list[float]) -> list[float]:
    """When each is told, if the n-th comes so much later than it may."""
    clock = Clock()
    pace, told = Pace(INTERVAL, clock), list[float]()
    for late in lates:
        clock.now += late
        told.append(clock.now)
        clock.now += pace.told()
    return told


@pytest.mark.parametrize("late", [0.0, 0.005, 0.03, 0.09])
def test_being_late_again_and_again_costs_no_telling(late: float) -> None:
    told = tellings([0.0] + [late] * 1000)
    assert told[-1] - told[0] == pytest.approx(1000 * INTERVAL, abs=INTERVAL)


def test_a_telling_that_was_late_is_followed_by_one_that_is_on_time() -> None:
    told = tellings([0.0, 0.04, 0.0, 0.0])
    assert [round(each - told[0], 6) for each in told] == [0.0, 0.14, 0.2, 0.3]


@pytest.mark.parametrize("stall", [INTERVAL, 0.25, 1.0, 3600.0])
def test_after_a_stall_nothing_is_caught_up_with(stall: float) -> None:
    told = tellings([0.0, 0.0, stall, 0.0, 0.0])
    gaps = [after - before for before, after in pairwise(told)]
    assert gaps == pytest.approx([INTERVAL, INTERVAL + stall, INTERVAL, INTERVAL])


@given(st.lists(st.floats(0, 0.5), min_size=2, max_size=60))
def test_no_stretch_of_time_has_more_tellings_than_intervals(lates: list[float]) -> None:
    told = tellings(lates)
    for first, begin in enumerate(told):
        for last in range(first + 1, len(told)):
            # The first may be late by all but an interval, the last on time.
            assert last - first <= (told[last] - begin) / INTERVAL + 1 + 1e-6
