"""A core over a recorded history, without a bus: for tests and audits, in the order of the shell."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeVar

from plantops.events import Event
from plantops.flow.processor import Fact, Output, Processor, Recorded
from plantops.flow.step import is_own, step

S = TypeVar("S")

START_NS: Final = 1_767_225_600_000_000_000
"""Broker time of the first bare fact in a history: 2026-01-01 UTC; each further one comes a second later."""


def replay(processor: Processor[S], history: Iterable[Fact | Recorded]) -> tuple[S, list[Output]]:
    """Decide on every input as if live; gives the last state and all answers in order.

    A bare fact is recorded on the first stream that the processor consumes. Own events that the history
    holds are skipped: they come from `decide` again. Raises: ValueError for an undeclared answer.
    """
    state = processor.initial()
    outputs: list[Output] = []
    for recorded in record(processor, history):
        if is_own(processor, recorded.stream, recorded.subject):
            continue
        state, own = step(processor, state, recorded)
        outputs += [Output(event.subject, _event(event)) for event in own]
    return state, outputs


def rebuild(processor: Processor[S], history: Iterable[Fact | Recorded]) -> S:
    """The state after a history that holds the own events too: nothing is decided."""
    state = processor.initial()
    for recorded in record(processor, history):
        state = processor.evolve(state, recorded)
    return state


def record(processor: Processor[S], history: Iterable[Fact | Recorded]) -> Iterable[Recorded]:
    """Give bare facts a place and a time; times never fall within a stream."""
    stream = processor.consumes[0].stream
    times: dict[str, int] = {}
    for number, item in enumerate(history, 1):
        if isinstance(item, Recorded):
            recorded = item
        else:
            time_ns = START_NS + (number - 1) * 1_000_000_000
            recorded = Recorded(stream, number, "", time_ns, item, id=f"{stream}.{number}")
        last = times.get(recorded.stream, 0)
        if recorded.time_ns < last:
            recorded = Recorded(
                recorded.stream,
                recorded.sequence,
                recorded.subject,
                last,
                recorded.fact,
                recorded.signer,
                recorded.id,
            )
        times[recorded.stream] = recorded.time_ns
        yield recorded


def _event(recorded: Recorded) -> Event:
    assert isinstance(recorded.fact, Event)
    return recorded.fact
