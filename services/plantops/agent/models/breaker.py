"""A circuit breaker: after enough failures in a row a provider is left alone for a while, then probed.

Whoever calls enters, and says once how it went; who leaves without a word (cancelled) counts as neither. What
comes back late, from before the state changed, changes nothing any more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from plantops.agent.models.settings import BreakerSettings
from plantops.runtime.errors import PlantOpsError

State: TypeAlias = Literal["closed", "open", "half_open"]


class BreakerOpen(PlantOpsError):
    """The provider is left alone; another one has to answer."""

    retryable = True


class Breaker:
    """One per provider and process. Not for several threads."""

    def __init__(self, settings: BreakerSettings, clock: Callable[[], float]) -> None:
        self._settings, self._clock = settings, clock
        self._state: State = "closed"
        self._failures = 0
        self._successes = 0
        self._probing = 0
        self._opened_at = 0.0
        self._generation = 0

    @property
    def state(self) -> State:
        """`half_open` as soon as the time is over, also when nobody has called yet."""
        if self._state == "open" and self._clock() >= self._opened_at + self._settings.open_seconds:
            self._change("half_open")
        return self._state

    def enter(self) -> Permission:
        """Raises: BreakerOpen when it is open, or as many probes as may be are under way."""
        state = self.state
        if state == "open":
            raise BreakerOpen(f"left alone after {self._settings.failures} failures in a row")
        if state == "half_open":
            if self._probing >= self._settings.probes:
                raise BreakerOpen("left alone: it is being probed at the moment")
            self._probing += 1
        return Permission(self, self._generation)

    def settle(self, generation: int, went: Literal["well", "badly", "away"]) -> None:
        """For `Permission`."""
        if generation != self._generation:
            return
        if self._state == "half_open":
            self._probing -= 1
        match went, self._state:
            case "badly", "half_open":
                self._open()
            case "badly", _:
                self._failures += 1
                if self._failures >= self._settings.failures:
                    self._open()
            case "well", "half_open":
                self._successes += 1
                if self._successes >= self._settings.successes:
                    self._change("closed")
            case "well", _:
                self._failures = 0
            case _:
                pass

    def _open(self) -> None:
        self._opened_at = self._clock()
        self._change("open")

    def _change(self, state: State) -> None:
        self._state = state
        self._failures = self._successes = self._probing = 0
        self._generation += 1


@dataclass(slots=True)
class Permission:
    """To call once. The first word counts."""

    breaker: Breaker
    generation: int
    is_settled: bool = False

    def settle(self, went: Literal["well", "badly", "away"]) -> None:
        """How it went; `away`: nobody knows, it was cancelled."""
        if not self.is_settled:
            self.is_settled = True
            self.breaker.settle(self.generation, went)
