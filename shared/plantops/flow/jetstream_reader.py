"""Reading a durable consumer by pull, and ending a subscription: the receiving half of `flow.jetstream`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import nats.errors
from nats.aio.subscription import Subscription as NatsSubscription

from plantops.flow.jetstream_pull import PullReader, pending_behind

# Where the broker has more, but another reader may get it.
_TOGETHER_SECONDS: Final = 0.005
# An answer to a request may be lost; then it counts no more this long after it ended on the server.
_LOST_SECONDS: Final = 1.0
_REFUSED_SECONDS: Final = 0.05
# None at all would mean a request that never ends.
_LEAST_NS: Final = 1_000_000


class JetStreamReader(PullReader):
    """See `Reader` and `PullReader`. Asks for as many as it is asked for, and for no more until they are here
    or their time is over: what comes of them between two calls is given to the next one."""

    _asked_until = 0.0

    async def _fill(self, limit: int, timeout: float) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        self._is_nobody = False
        while not self._arrived and not self._is_nobody and loop.time() < deadline:
            self._has_news.clear()
            await self._ask(limit, deadline - loop.time())
            await self._news(min(deadline, self._asked_until) - loop.time())
            if self._is_refused:
                await asyncio.sleep(min(_REFUSED_SECONDS, max(0.0, deadline - loop.time())))
        while 0 < len(self._arrived) < limit and self._owed and pending_behind(self._arrived[-1]):
            self._has_news.clear()
            if not await self._news(_TOGETHER_SECONDS):
                return

    async def _ask(self, limit: int, seconds: float) -> None:
        now = asyncio.get_running_loop().time()
        if self._owed and now < self._asked_until:
            return
        self._owed.clear()
        self._asked_until = now + seconds + _LOST_SECONDS
        await self._request(limit, max(_LEAST_NS, round(seconds * 1e9)))

    async def _news(self, seconds: float) -> bool:
        """Whether anything came within `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self._has_news.wait()
        except TimeoutError:
            return False
        return True


class JetStreamSubscription:
    """See `Subscription`."""

    def __init__(self, subscription: NatsSubscription, flush: Callable[[], Awaitable[None]]) -> None:
        self._subscription = subscription
        self._flush = flush

    async def stop(self) -> None:
        try:
            await self._subscription.unsubscribe()
            # Else the broker may still give us a request, which nobody here answers any more.
            await self._flush()
        except (nats.errors.Error, TimeoutError):
            return  # stopped already, or the connection is gone and with it the subscription

    async def drain(self) -> None:
        try:
            await self._subscription.drain()  # type: ignore[no-untyped-call]  # nats-py gives it no types
        except (nats.errors.Error, TimeoutError):
            await self.stop()
