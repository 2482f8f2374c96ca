"""Reading a durable consumer ahead of need: for whoever takes in everything, in order, as fast as it comes.

More is asked for before what came is used up, and no task is made for a single message. What was delivered
ahead is lost when the process dies, so this is for fold consumers only, which `reset` when they start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from nats.aio.client import Client

from plantops.flow.bus import MOST
from plantops.flow.jetstream_pull import PullReader

# A request that nobody fulfils ends on the server by itself.
_EXPIRES_NS: Final = 30_000_000_000
_SOON_NS: Final = 500_000_000


class JetStreamAheadReader(PullReader):
    """See `Reader` and `PullReader`."""

    def __init__(
        self,
        client: Client,
        stream: str,
        consumer: str,
        *,
        check: Callable[[], None],
        reset: Callable[[str, str, int], Awaitable[int]],
        most: int = MOST,
    ) -> None:
        super().__init__(client, stream, consumer, check=check, reset=reset)
        self._most = most
        self._expires_ns = _EXPIRES_NS if most >= MOST else _SOON_NS

    async def _fill(self, limit: int, timeout: float) -> None:
        await self._ask()
        if self._arrived:
            return
        self._has_news.clear()
        try:
            async with asyncio.timeout(timeout):
                while not self._arrived and not self._is_nobody:
                    await self._has_news.wait()
                    self._has_news.clear()
                    if not self._arrived and not self._is_nobody:
                        # What was asked for has ended without a message: nothing would come.
                        await self._ask()
        except TimeoutError:
            return

    async def _ask(self) -> None:
        """Ask for more when at most half of it is on its way or here."""
        room = self._most - sum(self._owed.values()) - len(self._arrived)
        if room * 2 >= self._most:
            await self._request(room, self._expires_ns)
