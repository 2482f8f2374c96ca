"""One input through a core: the order that the shell, replay and audits share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from plantops.events import event_type
from plantops.flow.patterns import covers
from plantops.flow.processor import Output, Processor, Recorded

S = TypeVar("S")


def step(processor: Processor[S], state: S, recorded: Recorded) -> tuple[S, Sequence[Recorded]]:
    """Decide on the state before the fact, then evolve with it, then with each answer.

    Gives the new state and the answers as own events. Raises: ValueError for an answer that the
    processor does not declare: it would escape its fence and its rights.
    """
    if not processor.output_stream:
        return processor.evolve(state, recorded), ()
    outputs = processor.decide(state, recorded)
    state = processor.evolve(state, recorded)
    own = [_own(processor, recorded, index, output) for index, output in enumerate(outputs)]
    for event in own:
        state = processor.evolve(state, event)
    return state, own


def is_own(processor: Processor[S], stream: str, subject: str) -> bool:
    """Whether a stored message is one of the processor's own events."""
    return bool(processor.output_stream) and (
        stream == processor.output_stream and covers(processor.output_filter, subject)
    )


def _own(processor: Processor[S], cause: Recorded, index: int, output: Output) -> Recorded:
    if type(output.event) not in processor.emits:
        raise ValueError(f"{processor.name} emits {event_type(output.event)!r} without declaring it")
    if not covers(processor.output_filter, output.subject):
        raise ValueError(
            f"{processor.name} emits on {output.subject!r}, outside its {processor.output_filter!r}"
        )
    return Recorded(
        stream=processor.output_stream,
        sequence=0,
        subject=output.subject,
        time_ns=cause.time_ns,
        fact=output.event,
        signer=processor.name,
        id=f"{processor.name}.{cause.stream}.{cause.sequence}.{index}",
    )
