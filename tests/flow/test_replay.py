"""Replay judges in the order of the shell."""

from __future__ import annotations

import pytest

from plantops.events.base import SourceName
from plantops.events.sources import SourceLost
from plantops.flow.processor import Output, Recorded
from plantops.flow.replay import rebuild, record, replay
from support.counter import Counter, Tally, came_up


def test_gives_the_answers_in_order() -> None:
    state, outputs = replay(Counter(), [came_up("a", n) for n in range(15)])
    events = [output.event for output in outputs]
    assert [event.epoch for event in events if isinstance(event, SourceLost)] == [7, 14]
    assert state.seen["SOURCES/a"][0] == 15


def test_decides_before_the_fact_and_evolves_with_each_answer() -> None:
    calls: list[str] = []

    class Watched(Counter):
        def decide(self, state: Tally, recorded: Recorded) -> tuple[Output, ...]:
            calls.append(f"decide {recorded.sequence}")
            return tuple(super().decide(state, recorded))

        def evolve(self, state: Tally, recorded: Recorded) -> Tally:
            calls.append(f"evolve {recorded.stream} {recorded.sequence} {recorded.id}")
            return super().evolve(state, recorded)

    replay(Watched(burst=2), [came_up("a", n) for n in range(7)])
    assert calls[-4:] == [
        "decide 7",
        "evolve SOURCES 7 SOURCES.7",
        "evolve FINDINGS 0 counter.SOURCES.7.0",
        "evolve FINDINGS 0 counter.SOURCES.7.1",
    ]


def test_does_not_take_own_events_of_the_history_for_inputs() -> None:
    said = SourceLost(source=SourceName("a"), epoch=1, cause="")
    own = Recorded("FINDINGS", 3, "finding.demo.counter", 1, said)
    state, _outputs = replay(Counter(), [own])
    assert state.said == {}
    assert rebuild(Counter(), [own]).said == {"a": 1}


def test_time_never_falls_within_a_stream() -> None:
    history = [
        Recorded("SOURCES", 1, "", 5, came_up("a", 1)),
        Recorded("EXTRA", 1, "", 2, came_up("a", 1)),
        Recorded("SOURCES", 2, "", 3, came_up("a", 1)),
    ]
    assert [recorded.time_ns for recorded in record(Counter(), history)] == [5, 2, 5]


def test_refuses_an_answer_outside_the_processor_s_own_subjects() -> None:
    class Stray(Counter):
        output_filter = "finding.demo.other"

        def decide(self, state: Tally, recorded: Recorded) -> tuple[Output, ...]:
            return (Output("finding.demo.counter", SourceLost(source=SourceName("a"), epoch=1, cause="")),)

    with pytest.raises(ValueError, match="outside"):
        replay(Stray(), [came_up("a", 1)])
