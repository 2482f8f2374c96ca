"""Time as the host sees it, injected so that nothing in it waits for a wall clock in a test."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Spans come from `monotonic`, statements about the world from `now_ns`."""

    def monotonic(self) -> float:
        """Seconds, never going back."""
        ...

    def now_ns(self) -> int:
        """Nanoseconds since 1970, UTC; may jump."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Returns after `seconds` of monotonic time."""
        ...


class SystemClock:
    """The clocks of this machine."""

    def monotonic(self) -> float:
        return time.monotonic()

    def now_ns(self) -> int:
        return time.time_ns()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
