"""Reading a durable consumer ahead of need: for whoever takes in everything, in order, as fast as it comes.

More is asked for before what came is used up, and no task is made for a single message. What was delivered
ahead is lost when the process dies, so this is for fold consumers only, which `reset` when they start.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as NatsSubscription

from plantops.flow.bus import MOST, Stored
from plantops.flow.jetstream_pull import PullReader, stored_of

# What may wait in memory: the client drops what is beyond, and the missing deliveries show as a jump.
_PENDING_BYTES: Final = 512 * 1024 * 1024
# A request that nobody fulfils ends on the server by itself.
_EXPIRES_NS: Final = 30_000_000_000
_SOON_NS: Final = 500_000_000
_STATUS: Final = "Status"
_NOBODY: Final = "503"


class JetStreamAheadReader(PullReader):
    """See `Reader` and `PullReader`."""

    def __init__(
        self,
        client: Client,
        stream: str,
        consumer: str,
        *,
        check: Callable[[], None],
        reset: Callable[[str, str, int], Awaitable[None]],
        most: int = MOST,
    ) -> None:
        super().__init__(client, stream, consumer, check=check, reset=reset)
        self._most = most
        self._expires_ns = _EXPIRES_NS if most >= MOST else _SOON_NS
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._subscription: NatsSubscription | None = None
        self._inbox = ""
        self._arrived: deque[Msg] = deque()
        self._has_news = asyncio.Event()
        self._owed: dict[str, int] = {}  # messages that each request may still bring, oldest first
        self._requests = 0
        self._is_nobody = False

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
        await self._ask()
        if not self._arrived:
            await self._wait(timeout)
        if self._is_nobody and not self._arrived:
            raise self._nobody()
        if not self._arrived:
            self._check()
        return [stored_of(self._arrived.popleft()) for _ in range(min(limit, len(self._arrived)))]

    async def _ask(self) -> None:
        """Ask for more when at most half of it is on its way or here."""
        room = self._most - sum(self._owed.values()) - len(self._arrived)
        if room * 2 < self._most:
            return
        self._requests += 1
        reply = f"{self._inbox}.{self._requests}"
        self._owed[reply] = room
        self._is_nobody = False
        request = msgspec.json.encode({"batch": room, "expires": self._expires_ns})
        try:
            await self._client.publish(self._next, request, reply)
        except nats.errors.Error as error:
            raise self._unavailable(error) from error

    async def _wait(self, timeout: float) -> None:
        self._has_news.clear()
        try:
            async with asyncio.timeout(timeout):
                while not self._arrived and not self._is_nobody:
                    await self._has_news.wait()
                    self._has_news.clear()
                    if not self._arrived and not self._is_nobody:
                        await (
                            self._ask()
                        )  # what was asked for has ended without a message: nothing would come
        except TimeoutError:
            return

    def _hear(self, message: Msg) -> None:
        if message.reply:
            self._arrived.append(message)
            self._nobody_since = 0.0
            self._settle(1)
        else:
            self._end(message)
        self._has_news.set()

    def _settle(self, count: int) -> None:
        """Messages fulfil the oldest request first."""
        for reply in list(self._owed):
            taken = min(count, self._owed[reply])
            self._owed[reply] -= taken
            count -= taken
            if not self._owed[reply]:
                del self._owed[reply]
            if not count:
                return

    def _end(self, status: Msg) -> None:
        """The server tells that a request brings no more (ADR-13: expired, refused, or nobody there)."""
        headers = status.headers or {}
        self._is_nobody = headers.get(_STATUS) == _NOBODY
        if status.subject in self._owed:
            del self._owed[status.subject]
