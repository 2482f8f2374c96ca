"""The checks for processors find what they are for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from conformance.processors import (
    check_order_between_streams,
    check_pieces_are_of_one_moment,
    check_processor,
    check_same_bytes_twice,
    check_snapshot_round_trip,
)
from plantops.flow.processor import Output, Recorded
from support.counter import Counter, Tally, came_up


def history(count: int = 200) -> list[Recorded]:
    return [
        Recorded(
            "EXTRA" if number % 5 == 0 else "SOURCES",
            number + 1,
            "source.demo.a.up",
            1_000_000_000 * number,
            came_up(f"s{number % 3}", number * 31 % 101),
        )
        for number in range(count)
    ]


def test_accepts_a_core_that_keeps_every_promise() -> None:
    check_processor(Counter(), history())


def test_finds_a_state_that_depends_on_the_order_between_streams() -> None:
    class Entangled(Counter):
        def evolve(self, state: Tally, recorded: Recorded) -> Tally:
            state = super().evolve(state, recorded)
            state.said["order"] = (state.said.get("order", 0) * 31 + recorded.sequence) % 1_000_003
            return state

    with pytest.raises(AssertionError, match="differs"):
        check_order_between_streams(Entangled(), history())


def test_finds_a_snapshot_that_forgets_something() -> None:
    class Forgetful(Counter):
        def load(self, data: bytes) -> Tally:
            state = super().load(data)
            state.said.clear()
            return state

    with pytest.raises(AssertionError):
        check_snapshot_round_trip(Forgetful(), history())


def test_finds_a_snapshot_in_pieces_that_mixes_two_moments() -> None:
    class Mixing(Counter):
        def dump_in_pieces(self, state: Tally) -> Iterator[bytes]:
            yield self.dump(state)  # as late as it is asked for

    with pytest.raises(AssertionError, match="what came later"):
        check_pieces_are_of_one_moment(Mixing(), history())


def test_finds_a_core_that_answers_differently_the_second_time() -> None:
    class Moody(Counter):
        calls = 0

        def decide(self, state: Tally, recorded: Recorded) -> tuple[Output, ...]:
            type(self).calls += 1
            return tuple(super().decide(state, recorded)) if self.calls % 2 else ()

    with pytest.raises(AssertionError):
        check_same_bytes_twice(Moody(), history(201))


def test_an_evolve_that_raises_is_not_forgiven() -> None:
    class Raising(Counter):
        def evolve(self, state: Tally, recorded: Recorded) -> Tally:
            raise KeyError(recorded.sequence)

    with pytest.raises(KeyError):
        check_processor(Raising(), history())
