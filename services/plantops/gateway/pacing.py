"""How often something is told: by a schedule, so that a late telling does not make all that follow later."""

from __future__ import annotations

import time
from collections.abc import Callable


class Pace:
    """At most one telling in each interval, on average; a late one is followed by one that is on time.

    What was missed is not caught up with: who was late by a whole interval or more begins a new schedule.
    """

    def __init__(self, interval_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval, self._clock = interval_seconds, clock
        self._due = float("-inf")

    def told(self) -> float:
        """Something was told just now: the seconds to wait before the next, 0 when that is due."""
        now = self._clock()
        if now >= self._due + self._interval:
            self._due = now
        self._due += self._interval
        return max(self._due - now, 0.0)
