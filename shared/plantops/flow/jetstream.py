"""The bus on NATS JetStream: one connection, one identity.

Only this module, its two halves (`connection`, `jetstream_reader`) and the provisioner know the NATS client.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from ssl import SSLContext
from typing import Final

import msgspec
import structlog
from nats.aio.msg import Msg

from plantops.events.envelope import TRACE, Message
from plantops.flow import wire
from plantops.flow.bus import MOST, Handler, Stored, StreamState
from plantops.flow.connection import TRY_SECONDS, Connection, OnFatal
from plantops.flow.jetstream_ahead import JetStreamAheadReader
from plantops.flow.jetstream_reader import JetStreamReader, JetStreamSubscription
from plantops.runtime import tracing
from plantops.runtime.errors import BrokerUnavailable, Conflict
from plantops.runtime.tracing import SPANS, carried

log = structlog.get_logger()

_READ_AHEAD: Final = 32
# The server takes 50 batches in flight per stream (ADR-50); others write to the same stream.
_BATCHES_IN_FLIGHT: Final = 8


class JetStreamBus:
    """See `Bus`. Make it with `connect`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._batches = asyncio.Semaphore(_BATCHES_IN_FLIGHT)
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    async def connect(
        cls,
        servers: str | Sequence[str],
        identity: str,
        *,
        seed: str = "",
        timeout: float = 5.0,
        wait: float = 10.0,
        tls: SSLContext | None = None,
        on_fatal: OnFatal | None = None,
    ) -> JetStreamBus:
        """Log in as `identity` with its nkey `seed`; afterwards the connection mends itself for ever.

        `timeout` bounds each call, `wait` the first connection. `on_fatal` is called once when this
        connection can never work again (a right is missing, the login was taken away); every call then
        raises the same error. Raises: BrokerUnavailable when no broker lets us in within `wait` seconds.
        """
        connection = Connection(identity, timeout=timeout, on_fatal=on_fatal)
        await connection.open([servers] if isinstance(servers, str) else servers, seed, wait, tls)
        return cls(connection)

    @property
    def identity(self) -> str:
        return self._connection.identity

    @property
    def is_connected(self) -> bool:
        """Whether the broker is reached at this moment."""
        return self._connection.client.is_connected

    # Publishing

    async def publish(
        self,
        message: Message,
        *,
        stream: str,
        message_id: str = "",
        expected_last: int | None = None,
        expected_subject: str = "",
    ) -> int:
        # An id always, so that our own repetition is harmless and our own message is known again.
        token = message_id or secrets.token_hex(12)
        headers = wire.expectation(message.headers, stream, message.subject, expected_last, expected_subject)
        headers[wire.MESSAGE_ID] = token
        tries = itertools.count()

        async def attempt() -> int:
            number = next(tries)
            answer = await self._connection.ask(message.subject, message.data, TRY_SECONDS, headers, stream)
            try:
                sequence, is_known = wire.accept(answer.data, stream, expected_last)
            except Conflict:
                # After a lost answer the one who moved the stream on may be ourselves.
                found = await self._mine(stream, message, token) if number else None
                if found is None:
                    raise
                return found
            if is_known:
                await self._check_same(stream, sequence, message)
            return sequence

        return await self._connection.insist(attempt)

    async def _check_same(self, stream: str, sequence: int, message: Message) -> None:
        """Ids are stream-wide: what is stored under ours must be ours, else ours was suppressed."""
        stored = await self.get(stream, sequence)
        if stored is not None and (stored.subject, stored.data) != (message.subject, message.data):
            raise Conflict(
                f"{stream} {sequence} holds another message under our id: somebody guessed it",
                stream=stream,
                last=sequence,
            )

    async def _mine(self, stream: str, message: Message, token: str) -> int | None:
        stored = await self.last(stream, message.subject)
        if stored is None or stored.headers.get(wire.MESSAGE_ID) != token or stored.data != message.data:
            return None
        return stored.sequence

    async def publish_batch(
        self,
        messages: Sequence[Message],
        *,
        stream: str,
        expected_last: int | None = None,
        expected_subject: str = "",
    ) -> int:
        if not 1 <= len(messages) <= wire.MAX_BATCH:
            raise ValueError(f"a batch holds 1 to {wire.MAX_BATCH} messages, not {len(messages)}")
        first = messages[0]
        condition = wire.expectation(first.headers, stream, first.subject, expected_last, expected_subject)
        async with self._batches:
            if len(messages) == 1:
                answer = await self._connection.ask(
                    first.subject, first.data, self._connection.timeout, condition, stream
                )
            else:
                answer = await self._send_batch(messages, condition, stream)
        return wire.accept(answer.data, stream, expected_last)[0]

    async def _send_batch(
        self, messages: Sequence[Message], condition: Mapping[str, str], stream: str
    ) -> Msg:
        """Everything but the last goes out without an answer, then the commit is asked: one round trip."""
        batch = secrets.token_hex(12)
        for number, message in enumerate(messages[:-1], 1):
            headers = dict(condition if number == 1 else message.headers)
            headers[wire.BATCH_ID] = batch
            headers[wire.BATCH_SEQUENCE] = str(number)
            await self._connection.send(message.subject, message.data, headers)
        last = messages[-1]
        headers = {
            **last.headers,
            wire.BATCH_ID: batch,
            wire.BATCH_SEQUENCE: str(len(messages)),
            wire.BATCH_COMMIT: "1",
        }
        return await self._connection.ask(last.subject, last.data, self._connection.timeout, headers, stream)

    # Looking up

    async def last(self, stream: str, subject: str) -> Stored | None:
        return await self._message(stream, {"last_by_subj": subject})

    async def get(self, stream: str, sequence: int) -> Stored | None:
        return await self._message(stream, {"seq": sequence})

    async def history(self, stream: str, subject: str, start: int, limit: int) -> list[Stored]:
        found: dict[int, Stored] = {}
        while len(found) < limit:
            # Each asks for the first message at or after its own number: what lies up to the highest
            # answer is then complete, and the round trips overlap.
            asked = [
                self._message(stream, {"seq": start + ahead, "next_by_subj": subject})
                for ahead in range(min(_READ_AHEAD, limit - len(found)))
            ]
            answers = await asyncio.gather(*asked)
            found.update((stored.sequence, stored) for stored in answers if stored is not None)
            if None in answers or not found:
                break
            start = max(found) + 1
        return [found[sequence] for sequence in sorted(found)][:limit]

    async def _message(self, stream: str, query: Mapping[str, int | str]) -> Stored | None:
        answer = await self._api(f"STREAM.MSG.GET.{stream}", msgspec.json.encode(query), stream)
        return wire.stored_message(answer, stream)

    async def state(self, stream: str) -> StreamState:
        return wire.stream_state(await self._api(f"STREAM.INFO.{stream}", b"", stream), stream)

    async def reader(
        self, stream: str, consumer: str, *, ahead: bool = False, most: int = MOST
    ) -> JetStreamReader | JetStreamAheadReader:
        await self.state(stream)
        client, check, reset = self._connection.client, self._connection.check, self._reset_consumer
        reader: JetStreamReader | JetStreamAheadReader
        if ahead:
            reader = JetStreamAheadReader(client, stream, consumer, check=check, reset=reset, most=most)
        else:
            reader = JetStreamReader(client, stream, consumer, check=check, reset=reset)
        await reader.bind()
        return reader

    async def _api(self, name: str, data: bytes, stream: str) -> bytes:
        """One call of the JetStream API that may be repeated without harm."""

        async def attempt() -> bytes:
            return (await self._connection.ask(f"$JS.API.{name}", data, TRY_SECONDS, None, stream)).data

        return await self._connection.insist(attempt)

    async def _reset_consumer(self, stream: str, consumer: str, sequence: int) -> int:
        data = msgspec.json.encode({"seq": sequence})
        try:
            answer = await self._api(f"CONSUMER.RESET.{stream}.{consumer}", data, stream)
        except BrokerUnavailable:
            # The server leaves a reset of a missing consumer unanswered, a pull it refuses at once.
            probe = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
            await self._connection.ask(probe, b'{"batch":1,"no_wait":true}', TRY_SECONDS, None, stream)
            raise
        return wire.pending_after_reset(answer, stream)

    # Services

    async def request(self, subject: str, data: bytes, *, timeout: float) -> Message:
        carrying = {TRACE: trace} if (trace := tracing.current()) else None
        answer = await self._connection.ask(subject, data, timeout, carrying)
        headers = dict(answer.headers or {})
        if wire.SERVICE_ERROR in headers:
            raise BrokerUnavailable(f"the service on {subject!r} failed: {headers[wire.SERVICE_ERROR]}")
        return Message(subject, answer.data, headers)

    async def serve(self, subject: str, handler: Handler, *, group: str = "") -> JetStreamSubscription:
        async def hear(message: Msg) -> None:
            task = asyncio.create_task(self._answer(message, handler))
            self._tasks.add(task)
            task.add_done_callback(self._forget)

        queue = group or self.identity
        subscription = await self._connection.subscribe(subject, hear, queue=queue)
        return JetStreamSubscription(subscription, self._connection.flush)

    async def listen(
        self, subject: str, handler: Callable[[Message], Awaitable[None]]
    ) -> JetStreamSubscription:
        async def hear(message: Msg) -> None:
            await handler(Message(message.subject, message.data, dict(message.headers or {})))

        subscription = await self._connection.subscribe(subject, hear)
        return JetStreamSubscription(subscription, self._connection.flush)

    async def _answer(self, message: Msg, handler: Handler) -> None:
        request = Message(message.subject, message.data, dict(message.headers or {}), message.reply)
        # The asker must not wait in vain when the handler breaks; the error itself is logged.
        answer: bytes | None = b""
        headers: dict[str, str] | None = {wire.SERVICE_ERROR: "internal error, see its log"}
        try:
            with carried(request.header(TRACE)), SPANS.span(f"{_area(request.subject)} answered", "server"):
                answer, headers = await handler(request), None
        finally:
            if message.reply and answer is not None:
                await self._connection.send(message.reply, answer, headers)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("service.failed", identity=self.identity, exc_info=error)

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._connection.close()


def _area(subject: str) -> str:
    """What kind of request it is, whoever asks for what: `door.intent`, `twin`."""
    first, _, rest = subject.partition(".")
    return f"{first}.{rest.partition('.')[0]}" if first == "door" else first
