"""What both ways of reading a durable consumer share: an inbox of their own, how they answer, start again,
and fail.

The client's own `fetch` is not used: it may keep a message that has come until as many are there as it
asked for, which is until the broker delivers it again. Here nothing waits for what follows it.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as NatsSubscription

from plantops.flow import wire
from plantops.flow.bus import Stored
from plantops.runtime.errors import BrokerError, BrokerUnavailable, StreamMissing

_ELECTION_SECONDS: Final = 5.0
# What may wait in memory: the client drops what is beyond, and the missing deliveries show as a jump.
_PENDING_BYTES: Final = 512 * 1024 * 1024
_STATUS: Final = "Status"
_NOBODY: Final = "503"
# ADR-13: nothing there, or the request's time is over. Anything else would be said again at once.
_ENDS: Final = ("404", "408")


class PullReader(ABC):
    """The part of `Reader` that does not depend on how many messages are asked for, and when.

    `check` raises when the connection cannot work, `reset` asks the broker to deliver from a sequence on.
    """

    def __init__(
        self,
        client: Client,
        stream: str,
        consumer: str,
        *,
        check: Callable[[], None],
        reset: Callable[[str, str, int], Awaitable[int]],
    ) -> None:
        self._client, self._stream, self._consumer = client, stream, consumer
        self._check, self._reset = check, reset
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._reconnects = client.stats["reconnects"]
        self._nobody_since = 0.0
        self._subscription: NatsSubscription | None = None
        self._inbox = ""
        self._arrived: deque[Msg] = deque()
        self._has_news = asyncio.Event()
        self._owed: dict[str, int] = {}  # messages that each request may still bring, oldest first
        self._requests = 0
        self._is_nobody = self._is_refused = False

    async def bind(self) -> None:
        """Take a fresh inbox: what is still under way to the old one is never seen again."""
        old, self._subscription = self._subscription, None
        self._arrived.clear()
        self._owed.clear()
        self._inbox = inbox = self._client.new_inbox()

        async def hear(message: Msg) -> None:
            if inbox == self._inbox:
                self._hear(message)

        try:
            if old is not None:
                await old.unsubscribe()
            self._subscription = await self._client.subscribe(
                f"{inbox}.*", cb=hear, pending_bytes_limit=_PENDING_BYTES
            )
        except nats.errors.Error as error:
            raise self._unavailable(error) from error

    async def fetch(self, limit: int, timeout: float) -> list[Stored]:
        self._check_unbroken()
        if self._subscription is None:
            await self.bind()
        await self._fill(limit, timeout)
        if not self._arrived:
            if self._is_nobody:
                raise self._nobody()
            self._check()
        return [stored_of(self._arrived.popleft()) for _ in range(min(limit, len(self._arrived)))]

    @abstractmethod
    async def _fill(self, limit: int, timeout: float) -> None:
        """Returns when something has arrived, nobody takes the requests, or `timeout` is over."""

    async def _request(self, count: int, expires_ns: int) -> None:
        """Have `count` messages sent as they come; a request that nobody fulfils ends on the server."""
        self._requests += 1
        reply = f"{self._inbox}.{self._requests}"
        self._owed[reply] = count
        self._is_nobody = self._is_refused = False
        request = msgspec.json.encode({"batch": count, "expires": expires_ns})
        try:
            await self._client.publish(self._next, request, reply)
        except nats.errors.Error as error:
            raise self._unavailable(error) from error

    def _hear(self, message: Msg) -> None:
        if message.reply:
            self._arrived.append(message)
            self._nobody_since = 0.0
            self._settle()
        else:
            self._end(message)
        self._has_news.set()

    def _settle(self) -> None:
        """A message belongs to the oldest request: it does not say to which."""
        for reply in self._owed:
            self._owed[reply] -= 1
            if not self._owed[reply]:
                del self._owed[reply]
            return

    def _end(self, status: Msg) -> None:
        """The server tells that a request brings no more (ADR-13: expired, refused, or nobody there)."""
        code = (status.headers or {}).get(_STATUS, "")
        self._is_nobody = code == _NOBODY
        self._is_refused = code not in _ENDS
        self._owed.pop(status.subject, None)

    async def reset(self, sequence: int) -> int:
        await self.bind()
        return await self._reset(self._stream, self._consumer, sequence)

    async def ack(self, message: Stored) -> None:
        await self._say(message, b"+ACK")

    async def in_progress(self, message: Stored) -> None:
        await self._say(message, b"+WPI")

    async def _say(self, message: Stored, word: bytes) -> None:
        self._check()
        try:
            await self._client.publish(message.ack_subject, word)
        except nats.errors.Error as error:
            raise self._unavailable(error) from error

    def _check_unbroken(self) -> None:
        """Raises: BrokerUnavailable once after each break, and whatever `check` raises."""
        self._check()
        if self._client.stats["reconnects"] != self._reconnects:
            # What was on its way when the connection broke is lost, and nothing later may ever show it.
            self._reconnects = self._client.stats["reconnects"]
            self._owed.clear()
            raise BrokerUnavailable(f"the connection broke while {self._consumer!r} was read")

    def _nobody(self) -> BrokerError:
        """Nobody takes the pull: the consumer is missing, unless this is a change of leader and passes."""
        now = asyncio.get_running_loop().time()
        self._nobody_since = self._nobody_since or now
        text = f"consumer {self._consumer!r} of {self._stream!r} does not answer"
        if now - self._nobody_since < _ELECTION_SECONDS:
            return BrokerUnavailable(text, stream=self._stream)
        return StreamMissing(f"{text}: run the provisioner", stream=self._stream)

    def _unavailable(self, error: Exception) -> BrokerUnavailable:
        return BrokerUnavailable(
            f"consumer {self._consumer!r} of {self._stream!r} cannot be read: {error!r}", stream=self._stream
        )


def pending_behind(message: Msg) -> int:
    """How many more the consumer had for somebody when it delivered this one."""
    return wire.parse_delivery(message.reply).pending


def stored_of(message: Msg) -> Stored:
    """A delivered message as the bus gives it."""
    mark = wire.parse_delivery(message.reply)
    return Stored(
        mark.stream,
        mark.sequence,
        message.subject,
        message.data,
        mark.time_ns,
        message.headers or {},
        mark.delivery,
        mark.pending,
        message.reply,
    )
