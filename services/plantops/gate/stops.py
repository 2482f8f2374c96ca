"""The way of stops: a connection of their own, which no other request can fill.

A subject names asset and operation, so the broker itself can tell a stop from the rest before anybody has
looked at it. The common door hears stops as well: what both take is one command, and the first answer counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from plantops.events.base import SiteName
from plantops.events.envelope import Message
from plantops.flow.bus import Bus, Subscription
from plantops.model.load import Plant
from plantops.policy.document import Policy
from plantops.policy.judge import rule_for
from plantops.runtime.errors import BrokerUnavailable

LOOK_SECONDS = 0.5

log = structlog.get_logger("plantops.gate.stops")

Hear = Callable[[Message], Awaitable[bytes | None]]


def safe_operations(plant: Plant, policy: Policy) -> frozenset[tuple[str, str]]:
    """(asset, operation) of everything in the safe direction under this policy."""
    return frozenset(
        (asset, operation)
        for asset, known in plant.model.assets.items()
        for operation in known.operations
        if rule_for(policy, asset, operation).safe_direction
    )


@dataclass
class StopLane:
    """Serves `door.intent.<site>.*.<asset>.<operation>` for each operation in the safe direction.

    `safe` tells them, by the policy that the gate has folded; `group` is the run's own.
    """

    site: SiteName
    bus: Bus
    hear: Hear
    safe: Callable[[], frozenset[tuple[str, str]]]
    group: str
    _served: dict[tuple[str, str], Subscription] = field(default_factory=dict, repr=False)

    def serves(self, asset: str, operation: str) -> bool:
        """Whether stops of this kind have their own way at this moment."""
        return (asset, operation) in self._served

    async def open(self) -> None:
        """Serve what is safe now, and no more. Raises: BrokerUnavailable."""
        wanted = self.safe()
        for each in [old for old in self._served if old not in wanted]:
            await self._served.pop(each).stop()
        for asset, operation in sorted(wanted - self._served.keys()):
            subject = f"door.intent.{self.site}.*.{asset}.{operation}"
            self._served[asset, operation] = await self.bus.serve(subject, self.hear, group=self.group)

    async def follow(self) -> None:
        """Follow the policy until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            with suppress(BrokerUnavailable):  # the connection mends itself, with all that it serves
                await self.open()

    async def close(self) -> None:
        """Returns when nothing more is heard here."""
        while self._served:
            await self._served.popitem()[1].stop()
