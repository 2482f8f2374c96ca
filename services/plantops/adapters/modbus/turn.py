"""Whose turn it is on a connection that takes one request at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import IntEnum


class Rank(IntEnum):
    """Lower goes first."""

    WRITE = 0
    READ = 1


class Turns:
    """A lock that is handed to waiting writes before waiting reads, and in order of arrival within each.

    A running poll takes a turn for each block, so a write waits for one request at most.
    """

    def __init__(self) -> None:
        self._taken = False
        self._waiting: tuple[deque[asyncio.Future[None]], ...] = tuple(deque() for _ in Rank)

    @asynccontextmanager
    async def turn(self, rank: Rank) -> AsyncIterator[None]:
        await self._take(rank)
        try:
            yield
        finally:
            self._pass_on()

    async def _take(self, rank: Rank) -> None:
        if not self._taken:
            self._taken = True
            return
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[rank].append(waiting)
        try:
            await waiting
        except asyncio.CancelledError:
            # The turn may have been handed over in the same moment: give it to the next.
            if not waiting.cancelled():
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        for queue in self._waiting:
            while queue:
                waiting = queue.popleft()
                if not waiting.done():
                    waiting.set_result(None)
                    return
        self._taken = False
