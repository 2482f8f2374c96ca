"""Whether the gateway lives, and whether it can do its work; and what it has counted."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Final

import msgspec
from litestar import Response, get
from litestar.types import ControllerRouterHandler

from plantops.events.queries import CommandsAsked, CommandsListed
from plantops.gateway.desk import Desk
from plantops.gateway.metrics import CONTENT_TYPE, Metrics
from plantops.runtime.errors import BrokerError, Refused

LOOK_SECONDS: Final = 1.0
ASK_SECONDS: Final = 1.5


class Health(msgspec.Struct, frozen=True):
    """The process answers. `uptime` in seconds."""

    status: str
    uptime: float
    shutting_down: bool


class Checks(msgspec.Struct, frozen=True):
    """What the gateway needs: the broker, a policy in force, and a gate that answers."""

    bus_connected: bool
    policy_in_force: bool
    gate_answers: bool


class Readiness(msgspec.Struct, frozen=True):
    """`status` is `ready` only when every check holds."""

    status: str
    checks: Checks
    active_requests: int


@dataclass
class Probe:
    """Asks the gate at most once a second, however often it is asked itself."""

    desk: Desk
    metrics: Metrics
    began: float = field(default_factory=time.monotonic)
    _looked_at: float = float("-inf")
    _answers: bool = False
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def health(self) -> Health:
        """Liveness."""
        uptime = round(time.monotonic() - self.began, 3)
        is_stopping = self.desk.stopping.is_set()
        return Health("shutting_down" if is_stopping else "healthy", uptime, is_stopping)

    async def readiness(self) -> Readiness:
        """Readiness, as of at most a second ago."""
        checks = Checks(
            bus_connected=self.desk.is_connected,
            policy_in_force=self.desk.in_force.verified is not None,
            gate_answers=self.desk.is_connected and await self._gate_answers(),
        )
        is_ready = all(msgspec.structs.astuple(checks)) and not self.desk.stopping.is_set()
        return Readiness("ready" if is_ready else "not_ready", checks, self.metrics.active)

    async def _gate_answers(self) -> bool:
        async with self._lock:
            if time.monotonic() - self._looked_at < LOOK_SECONDS:
                return self._answers
            try:
                async with asyncio.timeout(ASK_SECONDS):
                    await self.desk.ask("command", "list", CommandsAsked(limit=1), CommandsListed)
                self._answers = True
            except (BrokerError, Refused, TimeoutError):
                self._answers = False
            self._looked_at = time.monotonic()
            return self._answers


def health_routes(desk: Desk, metrics: Metrics) -> list[ControllerRouterHandler]:
    """`/health`, `/ready` and `/metrics`."""
    probe = Probe(desk, metrics)

    @get("/health", sync_to_thread=False, security=[])
    def health() -> Health:
        """Whether the process lives. It says nothing of the plant."""
        return probe.health()

    @get("/ready", security=[])
    async def ready() -> Response[Readiness]:
        """Whether requests can be answered; 503 while they cannot."""
        told = await probe.readiness()
        return Response(told, status_code=200 if told.status == "ready" else 503)

    @get("/metrics", sync_to_thread=False, media_type="text/plain")
    def exposition() -> Response[bytes]:
        """What was counted, in the text format of Prometheus, over all workers of this machine."""
        return Response(metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    return [health, ready, exposition]
