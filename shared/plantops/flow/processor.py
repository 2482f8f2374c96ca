"""The contract of a processor: a pure core, and what it says about itself.

A core has no clock, network, randomness, logger or `await`. `evolve` takes facts in, may mutate the
state it owns and never raises; `decide` looks at the state before the fact and answers with events. For
each input the shell calls `decide`, then `evolve` with the input, then `evolve` with each answer, so
that the next input already sees them. For what the log holds already only `evolve` runs again.

State is a product of per-stream folds (the core's own output stream is one of them), and joins are
views computed when asked: the order between streams must not matter after a restart. An own event
therefore carries every time it needs in its payload, and its `Recorded.sequence` is 0 on both ways.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias, TypeVar, runtime_checkable

from plantops.events import Event
from plantops.events.base import from_nanoseconds
from plantops.events.frames import Frame

S = TypeVar("S")
S_contra = TypeVar("S_contra", contravariant=True)

Fact: TypeAlias = Event | Frame


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event with its place in the log.

    `time_ns` is the broker's clock, clamped so that it never falls within a stream; for an own event it
    is the time of the input that caused it. `signer` is the principal whose signature was verified,
    empty where the event needs none; for an own event it is the processor itself. `id` is the event's
    identity.
    """

    stream: str
    sequence: int
    subject: str
    time_ns: int
    fact: Fact
    signer: str = ""
    id: str = ""

    @property
    def at(self) -> datetime:
        """Broker time in UTC, truncated to microseconds."""
        return from_nanoseconds(self.time_ns)


@dataclass(frozen=True, slots=True)
class Output:
    """An event to store. Its id becomes `processor.stream.sequence.index` of the input that caused it."""

    subject: str
    event: Event


@dataclass(frozen=True, slots=True)
class Reads:
    """A durable consumer: which subjects of a stream a process is given.

    `kind` "fold": one owner, in order, acknowledged up to a snapshot. "effect": shared by workers, each
    message acknowledged when its effect is done. `name` tells several consumers of one process apart.
    `ack_seconds`: after how long without a word an effect goes to another worker (0: the usual 30 s).
    """

    stream: str
    subjects: tuple[str, ...]
    kind: str = "fold"
    name: str = ""
    ack_seconds: float = 0.0


class Processor(Protocol[S]):
    """A pure fold with decisions."""

    @property
    def name(self) -> str:
        """The identity it runs under; a subject token."""
        ...

    @property
    def version(self) -> int:
        """Rises when a snapshot of the state before can no longer be read: then it is rebuilt."""
        ...

    @property
    def consumes(self) -> tuple[Reads, ...]:
        """Its inputs, without its own output."""
        ...

    @property
    def output_stream(self) -> str:
        """The one stream that takes its events; empty for a core that emits none."""
        ...

    @property
    def output_filter(self) -> str:
        """Subject filter of its own events on that stream: what fences it and what it folds again."""
        ...

    @property
    def emits(self) -> tuple[type[Event], ...]:
        """The event types it may emit."""
        ...

    def initial(self) -> S:
        """The state before the first event."""
        ...

    def evolve(self, state: S, recorded: Recorded) -> S:
        """The state after a fact. Must not raise; may mutate `state` and return it."""
        ...

    def decide(self, state: S, recorded: Recorded) -> Sequence[Output]:
        """The events that follow from a fact; called live only, before `evolve` of the same fact."""
        ...

    def dump(self, state: S) -> bytes:
        """Snapshot bytes: equal states give equal bytes."""
        ...

    def load(self, data: bytes) -> S:
        """The state in snapshot bytes. Raises: ValueError when they are not of this version."""
        ...


@runtime_checkable
class Reigns(Protocol):
    """What a processor with an output stream has besides: the word with which each run of it begins."""

    def began(self, run: str) -> Output:
        """Stored before anything else of that run, always on the same subject, which the filter covers.

        As long as it is the last message there, the run is the youngest, and only then the broker stores
        what it says. `evolve` sees it as any own event.
        """
        ...


@runtime_checkable
class Awaits(Protocol):
    """What a processor has besides where the order between two of its inputs matters."""

    @property
    def awaiting(self) -> str:
        """The input stream whose facts wait for those of others."""
        ...

    def awaited(self, fact: Fact) -> Sequence[tuple[str, str]]:
        """Streams and filters: what stands there, as far as it is an input too, is folded before `fact`."""
        ...


@runtime_checkable
class InPieces(Protocol[S_contra]):
    """What a processor with a large state has besides: its snapshot in pieces, with other work between."""

    def dump_in_pieces(self, state: S_contra) -> Iterator[bytes]:
        """Together what `dump` gives at the moment of the call: facts folded later are not in it.

        Each piece costs a few milliseconds at most, an empty one too, and so does the call.
        """
        ...
