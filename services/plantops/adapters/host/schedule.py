"""When each group is due, and how long to wait before the next try. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor

BACKOFF_CAP_SECONDS = 30.0
_BACKOFF_FIRST_SECONDS = 0.5


class Schedule:
    """Due times on a fixed grid from `start`: no drift, and what was missed is skipped, not made up for."""

    def __init__(self, periods_seconds: Sequence[float], start: float) -> None:
        self._periods = tuple(periods_seconds)
        self._start = start
        self._due = [start] * len(self._periods)

    def take(self, now: float) -> tuple[int, ...]:
        """The groups due at `now`, each moved on to its first time after `now`."""
        groups = tuple(group for group, due in enumerate(self._due) if due <= now)
        for group in groups:
            period = self._periods[group]
            ticks = floor((now - self._start) / period) + 1
            due = self._start + ticks * period
            # The grid point may round to `now` itself.
            self._due[group] = due if due > now else due + period
        return groups

    @property
    def next(self) -> float:
        """When the next group is due."""
        return min(self._due)


def backoff_seconds(attempt: int, random: float) -> float:
    """How long to wait after the failed `attempt` (0 is the first); `random` in [0, 1) spreads hosts apart.

    Doubles from half a second up to 30 s; between half of that and all of it is waited.
    """
    full = min(BACKOFF_CAP_SECONDS, _BACKOFF_FIRST_SECONDS * 2.0 ** min(attempt, 10))
    return full * (0.5 + 0.5 * random)
