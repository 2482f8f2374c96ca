"""A broker in this process, with the semantics of JetStream and hooks for what goes wrong.

For tests and for a single process without a server. The same suite runs on it and on the real one.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog

from plantops.events.envelope import Message
from plantops.flow.bus import Handler, Stored, StreamState
from plantops.flow.memory_reader import MemoryReader
from plantops.flow.memory_streams import MemoryConsumer, MemoryStream
from plantops.flow.patterns import covers
from plantops.flow.results import SEQUENCE, STREAM
from plantops.flow.wire import MAX_BATCH, MESSAGE_ID
from plantops.runtime.errors import BrokerUnavailable, Conflict, Misrouted, NobodyAnswers, StreamMissing

log = structlog.get_logger()

EPOCH_NS: Final = 1_767_225_600_000_000_000
"""Where the built-in clock starts: 2026-01-01 UTC."""

_ATTEMPTS: Final = 3


@dataclass(eq=False)
class _Ear:
    """A listener or a service on a subject."""

    subject: str
    owner: MemoryBus
    hear: Callable[[Message], Awaitable[object]]
    group: str  # of a service; empty for a listener
    queue: asyncio.Queue[Message]


class MemoryBroker:
    """Streams, consumers and subscriptions that several `MemoryBus` share.

    Without `clock` (nanoseconds since 1970) time stands still until `advance`.
    """

    def __init__(self, *, clock: Callable[[], int] | None = None) -> None:
        self._clock = clock
        self._time_ns = EPOCH_NS
        self._ears: list[_Ear] = []
        self._lost_acks = 0
        self.streams: dict[str, MemoryStream] = {}
        self.changed = asyncio.Event()

    @property
    def now_ns(self) -> int:
        """The broker's time."""
        return self._time_ns if self._clock is None else self._clock()

    def advance(self, seconds: float) -> None:
        """Let the built-in clock run; what is due for redelivery is delivered again."""
        self._time_ns += round(seconds * 1e9)
        self.wake()

    def wake(self) -> None:
        """Readers that wait look again."""
        self.changed.set()
        self.changed = asyncio.Event()

    def add_stream(
        self,
        name: str,
        subjects: Sequence[str],
        *,
        max_per_subject: int = 0,
        duplicate_window_seconds: float = 120.0,
    ) -> MemoryStream:
        """Make a stream, or make it anew: then it is empty and its `created` differs."""
        old = self.streams.get(name)
        created = f"created-{0 if old is None else int(old.created.rpartition('-')[2]) + 1}"
        stream = MemoryStream(name, tuple(subjects), created, max_per_subject, duplicate_window_seconds)
        self.streams[name] = stream
        return stream

    def add_consumer(
        self,
        stream: str,
        name: str,
        subjects: Sequence[str] = (">",),
        *,
        kind: str = "fold",
        ack_wait_seconds: float = 30.0,
    ) -> None:
        """Make a durable consumer of kind "fold" (ack all) or "effect" (explicit ack, redelivered)."""
        self.stream(stream).consumers[name] = MemoryConsumer(name, tuple(subjects), kind, ack_wait_seconds)

    def stream(self, name: str) -> MemoryStream:
        """Raises: StreamMissing."""
        found = self.streams.get(name)
        if found is None:
            raise StreamMissing(f"stream {name!r} does not exist: run the provisioner", stream=name)
        return found

    def bus(self, identity: str) -> MemoryBus:
        """A connection under `identity`."""
        return MemoryBus(self, identity)

    def lose_acks(self, count: int) -> None:
        """The next `count` publish requests are stored, but their answer never arrives."""
        self._lost_acks = count

    def take_lost_ack(self) -> bool:
        """Whether this answer gets lost."""
        self._lost_acks -= 1 if (lost := self._lost_acks > 0) else 0
        return lost

    def store(
        self, messages: Sequence[Message], stream: str, expected_last: int | None, expected_subject: str
    ) -> int:
        """All or none. Raises: Conflict, Misrouted, StreamMissing."""
        target = self._target(messages, stream)
        if expected_last is not None:
            subject = expected_subject or messages[0].subject
            last = target.last_sequence(subject)
            if last != expected_last:
                raise Conflict(
                    f"{stream} has moved on: last on {subject!r} is {last}, expected {expected_last}",
                    stream=stream,
                    last=last,
                )
        for message in messages:
            target.append(message, self.now_ns)
            # As nats-server repeats it to clients.
            mark = {STREAM: stream, SEQUENCE: str(target.last)}
            self.deliver(Message(message.subject, message.data, {**message.headers, **mark}))
        self.wake()
        return target.last

    def known(self, messages: Sequence[Message], stream: str) -> int:
        """Where one of them is stored already under its message id, 0 for none. Raises: StreamMissing."""
        target = self.stream(stream)
        found = (target.duplicate_of(each.header(MESSAGE_ID), self.now_ns) for each in messages)
        return next(filter(None, found), 0)

    def _target(self, messages: Sequence[Message], stream: str) -> MemoryStream:
        for message in messages:
            takers = [s for s in self.streams.values() if s.takes(message.subject)]
            if not takers:
                raise StreamMissing(
                    f"no stream takes {message.subject!r}: run the provisioner", stream=stream
                )
            if takers[0].name != stream:
                raise Misrouted(
                    f"stream {takers[0].name!r} takes what is meant for {stream!r}: look who made it",
                    stream=stream,
                )
        return self.stream(stream)

    def deliver(self, message: Message) -> None:
        """Hand a passing message to listeners."""
        for ear in self._ears:
            if not ear.group and covers(ear.subject, message.subject):
                ear.queue.put_nowait(message)

    def services(self, subject: str) -> Sequence[_Ear]:
        """Who hears a request on `subject`: one of each group."""
        found = [ear for ear in self._ears if ear.group and covers(ear.subject, subject)]
        return tuple({ear.group: ear for ear in reversed(found)}.values())

    def attach(self, ear: _Ear) -> None:
        """Begin to deliver to it."""
        self._ears.append(ear)

    def detach(self, ear: _Ear) -> None:
        """Deliver nothing more to it."""
        if ear in self._ears:
            self._ears.remove(ear)


class MemorySubscription:
    """See `Subscription`."""

    def __init__(self, broker: MemoryBroker, ear: _Ear, task: asyncio.Task[None] | None) -> None:
        self._broker, self._ear, self._task = broker, ear, task

    async def drain(self) -> None:
        self._broker.detach(self._ear)
        if self._task is not None:
            heard = asyncio.ensure_future(self._ear.queue.join())
            await asyncio.wait({heard, self._task}, return_when=asyncio.FIRST_COMPLETED)
            heard.cancel()
        await self.stop()

    async def stop(self) -> None:
        self._broker.detach(self._ear)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])


class MemoryBus:
    """See `Bus`; faults are per connection: `disconnect`, `reconnect`, `pause`, `resume`."""

    def __init__(self, broker: MemoryBroker, identity: str) -> None:
        self.broker = broker
        self._identity = identity
        self._connected = True
        self._running = asyncio.Event()
        self._running.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._subscriptions: list[MemorySubscription] = []

    @property
    def identity(self) -> str:
        return self._identity

    def disconnect(self) -> None:
        """Every call fails with BrokerUnavailable until `reconnect`."""
        self._connected = False
        self.broker.wake()

    def reconnect(self) -> None:
        """Calls work again."""
        self._connected = True

    def pause(self) -> None:
        """Every call hangs until `resume`, as in a process that was stopped."""
        self._running.clear()

    def resume(self) -> None:
        """Hanging calls go on."""
        self._running.set()

    async def ready(self) -> None:
        """Returns when this connection may work. Raises: BrokerUnavailable."""
        await self._running.wait()
        if not self._connected:
            raise BrokerUnavailable(f"{self._identity!r} is not connected to the broker")

    async def publish(
        self,
        message: Message,
        *,
        stream: str,
        message_id: str = "",
        expected_last: int | None = None,
        expected_subject: str = "",
    ) -> int:
        token = message_id or secrets.token_hex(12)
        marked = Message(message.subject, message.data, {**message.headers, MESSAGE_ID: token})
        for _attempt in range(_ATTEMPTS):
            await self.ready()
            known = self.broker.known([marked], stream)
            sequence = known or self.broker.store([marked], stream, expected_last, expected_subject)
            if not self.broker.take_lost_ack():
                return sequence
        raise BrokerUnavailable(f"no acknowledgement from {stream!r} in time", stream=stream)

    async def publish_batch(
        self,
        messages: Sequence[Message],
        *,
        stream: str,
        expected_last: int | None = None,
        expected_subject: str = "",
    ) -> int:
        if not 1 <= len(messages) <= MAX_BATCH:
            raise ValueError(f"a batch holds 1 to {MAX_BATCH} messages, not {len(messages)}")
        await self.ready()
        known = self.broker.known(messages, stream)
        if known and len(messages) > 1:
            raise BrokerUnavailable(f"{stream!r} holds one of these messages already", stream=stream)
        sequence = known or self.broker.store(messages, stream, expected_last, expected_subject)
        if self.broker.take_lost_ack():
            raise BrokerUnavailable(f"no acknowledgement from {stream!r} in time", stream=stream)
        return sequence

    async def last(self, stream: str, subject: str) -> Stored | None:
        await self.ready()
        return self.broker.stream(stream).last_on(subject)

    async def get(self, stream: str, sequence: int) -> Stored | None:
        await self.ready()
        return self.broker.stream(stream).messages.get(sequence)

    async def history(self, stream: str, subject: str, start: int, limit: int) -> list[Stored]:
        await self.ready()
        return self.broker.stream(stream).following(subject, start, limit)

    async def state(self, stream: str) -> StreamState:
        await self.ready()
        return self.broker.stream(stream).state()

    async def reader(self, stream: str, consumer: str, *, ahead: bool = False, most: int = 0) -> MemoryReader:
        await self.ready()
        self.broker.stream(stream)
        return MemoryReader(self, stream, consumer)

    async def request(self, subject: str, data: bytes, *, timeout: float) -> Message:
        await self.ready()
        ears = self.broker.services(subject)
        if not ears:
            raise NobodyAnswers(f"nobody answers {subject!r}: is its process running?")
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        # Headers as an account border would give them: who asked, told by the server.
        info = {"Nats-Request-Info": f'{{"kind":"Client","user":"{self._identity}"}}'}
        request = Message(subject, data, info, f"_INBOX.{self._identity}.{secrets.token_hex(8)}")
        for ear in ears:
            ear.owner.spawn(_answer(ear, request, answer))
        try:
            async with asyncio.timeout(timeout):
                return Message(subject, await answer)
        except TimeoutError as error:
            raise BrokerUnavailable(f"no answer on {subject!r} within {timeout} s") from error

    async def serve(self, subject: str, handler: Handler, *, group: str = "") -> MemorySubscription:
        return await self._subscribe(subject, handler, group or self._identity)

    async def listen(self, subject: str, handler: Callable[[Message], Awaitable[None]]) -> MemorySubscription:
        return await self._subscribe(subject, handler, "")

    async def _subscribe(
        self, subject: str, hear: Callable[[Message], Awaitable[object]], group: str
    ) -> MemorySubscription:
        await self.ready()
        ear = _Ear(subject, self, hear, group, asyncio.Queue())
        self.broker.attach(ear)
        task = None if group else asyncio.create_task(_listen(ear))
        subscription = MemorySubscription(self.broker, ear, task)
        self._subscriptions.append(subscription)
        return subscription

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run it in a task that lives as long as this connection."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("service.failed", identity=self._identity, exc_info=error)

    async def close(self) -> None:
        for subscription in self._subscriptions:
            await subscription.stop()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._connected = False


async def _listen(ear: _Ear) -> None:
    while True:
        message = await ear.queue.get()
        try:
            await ear.hear(message)
        finally:
            ear.queue.task_done()


async def _answer(ear: _Ear, message: Message, answer: asyncio.Future[bytes]) -> None:
    try:
        result = await ear.hear(message)
        if not isinstance(result, bytes | None):
            raise TypeError(f"the service on {ear.subject!r} answered {type(result).__name__}, not bytes")
    finally:
        # A handler that broke: the asker must not wait in vain.
        if not answer.done() and sys.exc_info()[0] is not None:
            answer.set_exception(BrokerUnavailable(f"the service on {ear.subject!r} failed: see its log"))
    if result is not None and not answer.done():
        answer.set_result(result)
