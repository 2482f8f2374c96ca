"""Streams and durable consumers of the in-memory broker: plain data, no tasks."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice

from plantops.events.envelope import Message
from plantops.flow.bus import Stored, StreamState
from plantops.flow.patterns import covers
from plantops.flow.wire import MESSAGE_ID

FOREVER_SECONDS = 3600.0


@dataclass
class MemoryStream:
    """Messages by sequence. `max_per_subject` > 0 keeps the last ones only, as a key-value bucket does."""

    name: str
    subjects: tuple[str, ...]
    created: str
    max_per_subject: int
    duplicate_window_seconds: float
    messages: dict[int, Stored] = field(default_factory=dict)
    consumers: dict[str, MemoryConsumer] = field(default_factory=dict)
    last: int = 0
    _ids: dict[str, tuple[int, int]] = field(default_factory=dict)

    def takes(self, subject: str) -> bool:
        """Whether `subject` is captured."""
        return any(covers(mine, subject) for mine in self.subjects)

    def append(self, message: Message, time_ns: int) -> None:
        """Store without asking."""
        self.last += 1
        self.messages[self.last] = Stored(
            self.name, self.last, message.subject, message.data, time_ns, dict(message.headers)
        )
        if token := message.header(MESSAGE_ID):
            self._ids[token] = (self.last, time_ns)
        if self.max_per_subject:
            same = [s for s, m in self.messages.items() if m.subject == message.subject]
            self.drop(same[: -self.max_per_subject])

    def drop(self, sequences: list[int]) -> None:
        """Take messages away, as retention does."""
        for sequence in sequences:
            del self.messages[sequence]

    def duplicate_of(self, token: str, now_ns: int) -> int:
        """The sequence stored under this message id within the window, else 0."""
        sequence, stored_ns = self._ids.get(token, (0, 0))
        return sequence if now_ns - stored_ns <= self.duplicate_window_seconds * 1e9 else 0

    def last_on(self, subject: str) -> Stored | None:
        """The last message under a filter."""
        return next((m for m in reversed(self.messages.values()) if covers(subject, m.subject)), None)

    def last_sequence(self, subject: str) -> int:
        """Its sequence, 0 where there is none."""
        found = self.last_on(subject)
        return found.sequence if found else 0

    def following(self, subject: str, start: int, limit: int) -> list[Stored]:
        """Up to `limit` messages under a filter from `start` on."""
        found = (m for s, m in self.messages.items() if s >= start and covers(subject, m.subject))
        return list(islice(found, limit))

    def state(self) -> StreamState:
        """Identity and extent."""
        return StreamState(self.created, next(iter(self.messages), self.last + 1), self.last)


@dataclass
class MemoryConsumer:
    """A durable: what was delivered, what is not acknowledged yet and until when."""

    name: str
    subjects: tuple[str, ...]
    kind: str
    ack_wait_seconds: float
    next_sequence: int = 1
    delivered: int = 0
    ack_floor: int = 0
    waiting: dict[int, int] = field(default_factory=dict)
    """Delivered and not acknowledged: sequence -> deadline in broker time. Effect consumers only."""

    def take(self, stream: MemoryStream, limit: int, now_ns: int) -> list[Stored]:
        """What is due again first, then what is new."""
        due = sorted(s for s, deadline in self.waiting.items() if deadline <= now_ns)
        again = [stream.messages[s] for s in due if s in stream.messages][:limit]
        fresh = self._fresh(stream)
        new = fresh[: limit - len(again)]
        pending = len(fresh) - len(new)
        if new:
            self.next_sequence = new[-1].sequence + 1
        taken = again + new
        return [self._deliver(m, now_ns, pending + len(taken) - n - 1) for n, m in enumerate(taken)]

    def _fresh(self, stream: MemoryStream) -> list[Stored]:
        return [
            m
            for s, m in stream.messages.items()
            if s >= self.next_sequence and any(covers(f, m.subject) for f in self.subjects)
        ]

    def pending(self, stream: MemoryStream) -> int:
        """How many are still to be delivered for the first time."""
        return len(self._fresh(stream))

    def _deliver(self, message: Stored, now_ns: int, pending: int) -> Stored:
        self.delivered += 1
        if self.kind == "effect":
            self.waiting[message.sequence] = now_ns + round(self.ack_wait_seconds * 1e9)
        return Stored(
            message.stream,
            message.sequence,
            message.subject,
            message.data,
            message.time_ns,
            message.headers,
            self.delivered,
            pending,
            f"ack.{message.sequence}",
        )

    def due_in(self, now_ns: int) -> float:
        """Seconds of broker time until something is due again."""
        if not self.waiting:
            return FOREVER_SECONDS
        return max(0.001, (min(self.waiting.values()) - now_ns) / 1e9)

    def reset(self, sequence: int) -> None:
        """Deliver from `sequence` on, counting from 1."""
        self.next_sequence, self.delivered, self.ack_floor = sequence, 0, sequence - 1
        self.waiting.clear()

    def ack(self, sequence: int) -> None:
        """Up to it (fold) or it alone (effect)."""
        if self.kind == "effect":
            self.waiting.pop(sequence, None)
        else:
            self.ack_floor = max(self.ack_floor, sequence)

    def prolong(self, sequence: int, now_ns: int) -> None:
        """The worker is still at it."""
        if sequence in self.waiting:
            self.waiting[sequence] = now_ns + round(self.ack_wait_seconds * 1e9)
