"""How messages move: the contract of the in-memory bus and of JetStream.

One suite of tests runs on both. Only `flow.jetstream` imports the NATS client.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

from plantops.events.envelope import Message


@dataclass(frozen=True, slots=True)
class Stored:
    """A message as a stream holds it.

    `sequence` is the stream's; `delivery` counts what one consumer was given and rises by one (0 where
    the message was looked up, not delivered). `time_ns` is the broker's clock at storage.
    """

    stream: str
    sequence: int
    subject: str
    data: bytes
    time_ns: int
    headers: Mapping[str, str] = field(default_factory=dict)
    delivery: int = 0
    pending: int = 0
    ack_subject: str = ""


@dataclass(frozen=True, slots=True)
class StreamState:
    """Identity (`created`, changes when somebody deletes and re-creates it) and extent of a stream."""

    created: str
    first: int
    last: int


MOST: Final = 1000
"""How many messages a reader that asks ahead may have on their way."""

FEW: Final = 8
"""Up to so many messages are stored sooner one by one than as a batch, for which the broker makes a store
of its own on the disk: two take 1.5 ms instead of 6, eight take as long (measured, nats-server 2.15)."""

Handler: TypeAlias = Callable[[Message], Awaitable[bytes | None]]
"""Answers a request, or leaves that to another one (None). The request's headers carry `Nats-Request-Info`
where it came from CLIENTS."""


class Subscription(Protocol):
    """Something that ends when told so."""

    async def stop(self) -> None:
        """Returns when no further callback will start. What was delivered and not heard yet is lost."""
        ...

    async def drain(self) -> None:
        """As `stop`, but what the broker has given to this subscription is heard first: for who leaves in
        order. Without a connection it stops at once."""
        ...


class Reader(Protocol):
    """A durable consumer of one stream, made by the provisioner, read by pull.

    Messages come in stream order. The caller checks `Stored.delivery`: a jump means that something was
    delivered and lost, and it must `reset`.
    """

    async def fetch(self, limit: int, timeout: float) -> list[Stored]:
        """Up to `limit` messages; empty after `timeout` seconds without one. Raises: BrokerUnavailable."""
        ...

    async def reset(self, sequence: int) -> int:
        """Deliver from `sequence` on; the delivery count starts again at 1. Gives how many are there now."""
        ...

    async def ack(self, message: Stored) -> None:
        """Done up to and including `message` (fold consumers), or with this one (effect consumers).

        Nobody answers it: that the consumer is gone shows at the next fetch. Raises: BrokerUnavailable.
        """
        ...

    async def in_progress(self, message: Stored) -> None:
        """Still at work on it: do not deliver it again yet (effect consumers)."""
        ...


class Bus(Protocol):
    """A connection under one identity."""

    @property
    def identity(self) -> str:
        """The name under which this connection logged in."""
        ...

    async def publish(
        self,
        message: Message,
        *,
        stream: str,
        message_id: str = "",
        expected_last: int | None = None,
        expected_subject: str = "",
    ) -> int:
        """Store one message and return its sequence; repeated until the broker answers.

        `message_id` makes a repetition harmless within the stream's duplicate window. With
        `expected_last` it is stored only if that is the last sequence on `expected_subject` (a filter,
        default the message's own subject). The stream in the broker's answer must be `stream`.

        Raises: Conflict when `expected_last` is not the last one; BrokerUnavailable when no answer came
        in time (then it may or may not be stored); Misrouted when another stream took it.
        """
        ...

    async def publish_batch(
        self,
        messages: Sequence[Message],
        *,
        stream: str,
        expected_last: int | None = None,
        expected_subject: str = "",
    ) -> int:
        """Store 1 to 1,000 messages, all or none, with one sync; returns the last sequence.

        The sequences are consecutive. Never repeated by itself: after BrokerUnavailable the caller looks
        up what is stored. Where they carry message ids (`wire.MESSAGE_ID`), a repetition stores nothing: of
        one message it gives the sequence, of several it raises BrokerUnavailable. Raises: as `publish`.
        """
        ...

    async def last(self, stream: str, subject: str) -> Stored | None:
        """The last stored message on `subject` (wildcards allowed), read from the leader."""
        ...

    async def get(self, stream: str, sequence: int) -> Stored | None:
        """One stored message, read from the leader; None when it was never there or is gone."""
        ...

    async def history(self, stream: str, subject: str, start: int, limit: int) -> list[Stored]:
        """Up to `limit` messages on `subject` (wildcards allowed) from sequence `start` on, in order.

        Read from the leader; empty when nothing is stored there. For rebuilding, not for following.
        """
        ...

    async def state(self, stream: str) -> StreamState:
        """Raises: BrokerUnavailable, StreamMissing."""
        ...

    async def reader(self, stream: str, consumer: str, *, ahead: bool = False, most: int = MOST) -> Reader:
        """Bind to a consumer that the provisioner made. Raises: StreamMissing.

        `ahead`: messages are asked for before they are fetched, which is faster; for fold consumers whose
        reader keeps its own position, since what was delivered ahead is lost with the process. At most
        `most` are on their way; below the usual number they are asked for again twice a second, so that a
        process that hangs does not hold up the one that takes over.
        """
        ...

    async def request(self, subject: str, data: bytes, *, timeout: float) -> Message:
        """Ask a service. Raises: NobodyAnswers at once when nobody listens, BrokerUnavailable in time-out."""
        ...

    async def serve(self, subject: str, handler: Handler, *, group: str = "") -> Subscription:
        """Answer requests on `subject`, each in a task of its own; a request without reply is handled too.

        Each request is heard once by each group; the default group are all connections of this identity.
        """
        ...

    async def listen(self, subject: str, handler: Callable[[Message], Awaitable[None]]) -> Subscription:
        """Hear messages as they pass, in order, with no memory and no guarantee."""
        ...

    async def close(self) -> None:
        """Flush and disconnect."""
        ...
