"""A clock that stands still until a test moves it, and wakes who sleeps in the order of their times."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from itertools import count

BOUND_SECONDS = 20.0
START_NS = 1_767_225_600_000_000_000  # 2026-01-01 UTC


class ManualClock:
    """See `adapters.host.clock.Clock`."""

    def __init__(self) -> None:
        self._now = 0.0
        self._serial = count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def monotonic(self) -> float:
        return self._now

    def now_ns(self) -> int:
        return START_NS + round(self._now * 1e9)

    async def sleep(self, seconds: float) -> None:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._serial), woken))
        await woken

    async def advance(self, seconds: float) -> None:
        """Let time pass; whoever wakes runs as far as he can before the next one does."""
        end = self._now + seconds
        await calm()
        while self._sleepers and self._sleepers[0][0] <= end:
            due, _serial, woken = heapq.heappop(self._sleepers)
            if woken.done():
                continue
            self._now = max(self._now, due)
            woken.set_result(None)
            await calm()
        self._now = end
        await calm()

    async def advance_until(self, condition: Callable[[], bool], *, step: float = 0.1) -> None:
        """Let time pass until the condition holds. Raises: TimeoutError after ten minutes of it."""
        for _step in range(round(600 / step)):
            await calm()
            if condition():
                return
            await self.advance(step)
        raise TimeoutError("the condition did not come true")


async def calm() -> None:
    """Let everything run that can run now."""
    for _round in range(60):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition in real time. Raises: TimeoutError beyond the bound."""
    async with asyncio.timeout(BOUND_SECONDS):
        while not condition():  # noqa: ASYNC110 - any condition of a test
            await asyncio.sleep(0.002)
