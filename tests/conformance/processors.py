"""What every processor promises, checked on a recorded history of its own.

Call `check_processor(processor, history)` from the processor's tests; each check can be called alone too.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

from plantops.events import encode
from plantops.flow.processor import InPieces, Output, Processor, Recorded
from plantops.flow.replay import rebuild, replay
from plantops.flow.step import is_own, step

S = TypeVar("S")


def check_processor(processor: Processor[S], history: Sequence[Recorded], *, shuffles: int = 20) -> None:
    """All checks. `history` holds inputs of every stream that the processor consumes."""
    check_same_bytes_twice(processor, history)
    check_snapshot_round_trip(processor, history)
    check_pieces_are_of_one_moment(processor, history)
    check_rebuilt_equals_live(processor, history)
    check_order_between_streams(processor, history, shuffles=shuffles)


def check_same_bytes_twice(processor: Processor[S], history: Sequence[Recorded]) -> None:
    """Two runs over the same history answer with the same bytes and end in the same state."""
    first, again = replay(processor, history), replay(processor, history)
    assert answers(first[1]) == answers(again[1])
    assert processor.dump(first[0]) == processor.dump(again[0])


def check_snapshot_round_trip(processor: Processor[S], history: Sequence[Recorded]) -> None:
    """Loading a snapshot anywhere changes neither the answers that follow nor the state at the end."""
    inputs = _inputs(processor, history)
    state, outputs = replay(processor, inputs)
    for at in sorted({0, 1, len(inputs) // 2, len(inputs)}):
        early, before = replay(processor, inputs[:at])
        data = processor.dump(early)
        assert processor.dump(processor.load(data)) == data
        loaded, after = processor.load(data), list(before)
        for recorded in inputs[at:]:
            loaded, own = step(processor, loaded, recorded)
            after += [Output(event.subject, event.fact) for event in own]  # type: ignore[arg-type] # no frames
        assert answers(after) == answers(outputs)
        assert processor.dump(loaded) == processor.dump(state)


def check_pieces_are_of_one_moment(processor: Processor[S], history: Sequence[Recorded]) -> None:
    """A snapshot begun anywhere is that of then, though all that follows is folded before it is written."""
    if not isinstance(processor, InPieces):
        return
    inputs = _inputs(processor, history)
    for begun in range(len(inputs) + 1):
        state, _before = replay(processor, inputs[:begun])
        wanted, pieces = processor.dump(state), processor.dump_in_pieces(state)
        for recorded in inputs[begun:]:
            state, _own = step(processor, state, recorded)
        assert b"".join(pieces) == wanted, f"the snapshot begun at {begun} holds what came later"


def check_rebuilt_equals_live(processor: Processor[S], history: Sequence[Recorded]) -> None:
    """`evolve` over all own events, then over all inputs, gives the state of the live run."""
    inputs = _inputs(processor, history)
    state, own = processor.initial(), list[Recorded]()
    for recorded in inputs:
        state, produced = step(processor, state, recorded)
        own += produced
    rebuilt = processor.initial()
    for recorded in [*own, *inputs]:
        rebuilt = processor.evolve(rebuilt, recorded)
    assert processor.dump(rebuilt) == processor.dump(state)


def check_order_between_streams(
    processor: Processor[S], history: Sequence[Recorded], *, shuffles: int = 20, seed: int = 1
) -> None:
    """`evolve` over any interleaving that keeps the order within each stream gives the same state.

    The own events, as one run gave them, are one of the streams.
    """
    inputs = _inputs(processor, history)
    own: list[Recorded] = []
    state = processor.initial()
    for recorded in inputs:
        state, produced = step(processor, state, recorded)
        own += produced
    wanted = processor.dump(state)
    for number in range(shuffles):
        mixed = interleaved([*inputs, *own], random.Random(seed + number))
        assert processor.dump(rebuild(processor, mixed)) == wanted, f"shuffle {seed + number} differs"


def interleaved(history: Sequence[Recorded], dice: random.Random) -> list[Recorded]:
    """A random order that keeps the order within each stream."""
    queues: dict[str, list[Recorded]] = {}
    for recorded in reversed(history):
        queues.setdefault(recorded.stream, []).append(recorded)
    turns = [stream for stream, queue in queues.items() for _recorded in queue]
    dice.shuffle(turns)
    return [queues[stream].pop() for stream in turns]


def answers(outputs: Sequence[Output]) -> list[tuple[str, bytes]]:
    """Outputs as they would be stored."""
    return [(output.subject, encode(output.event)) for output in outputs]


def _inputs(processor: Processor[S], history: Sequence[Recorded]) -> list[Recorded]:
    return [recorded for recorded in history if not is_own(processor, recorded.stream, recorded.subject)]
