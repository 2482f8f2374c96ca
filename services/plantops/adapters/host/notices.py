"""What happens to the source itself, told in order, and kept while the broker is away."""

from __future__ import annotations

import asyncio
from collections import deque

import structlog

from plantops.adapters.host.away import AWAY
from plantops.adapters.host.clock import Clock
from plantops.events import subjects
from plantops.events.base import SiteName, SourceName
from plantops.events.sources import SourceLost, SourceUp
from plantops.events.tags import SourceDefined, layout_of
from plantops.flow.bus import Bus
from plantops.flow.signing import Signer

log = structlog.get_logger()

_MAX_KEPT = 256
_RETRY_SECONDS = 1.0


class Notices:
    """Publishes `SourceUp` and `SourceLost` of one epoch.

    Beyond 256 kept ones the oldest are dropped (and logged): a device that flaps while the broker is away
    is described well enough by its last states.
    """

    def __init__(
        self, bus: Bus, signer: Signer, clock: Clock, *, site: SiteName, source: SourceName, epoch: int
    ) -> None:
        self._bus, self._signer, self._clock = bus, signer, clock
        self._site, self._source, self._epoch = site, source, epoch
        self._kept: deque[tuple[int, SourceUp | SourceLost]] = deque()
        self._serial = 0
        self._wake = asyncio.Event()

    def up(self, detail: str = "") -> None:
        """The device answers."""
        self._keep(SourceUp(source=self._source, epoch=self._epoch, detail=detail))

    def lost(self, cause: str) -> None:
        """The device does not answer."""
        self._keep(SourceLost(source=self._source, epoch=self._epoch, cause=cause))

    def _keep(self, event: SourceUp | SourceLost) -> None:
        self._serial += 1
        self._kept.append((self._serial, event))
        if len(self._kept) > _MAX_KEPT:
            log.warning("notice.dropped", source=self._source, notice=str(self._kept.popleft()[1]))
        self._wake.set()

    async def run(self) -> None:
        """Publish for ever, in order, each once."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._kept:
                await self._publish(*self._kept[0])

    async def _publish(self, serial: int, event: SourceUp | SourceLost) -> None:
        verb = "up" if isinstance(event, SourceUp) else "lost"
        identity = f"{self._source}.state.{self._epoch}.{serial}"
        subject = subjects.source(self._site, self._source, verb)
        message = self._signer.message(subject, event, id=identity, time=self._clock.now_ns())
        try:
            await self._bus.publish(message, stream="SOURCES", message_id=identity)
        except AWAY:
            await self._clock.sleep(_RETRY_SECONDS)
            return
        # Dropped for want of room while it was on its way.
        if self._kept and self._kept[0][0] == serial:
            self._kept.popleft()


async def publish_definition(bus: Bus, signer: Signer, clock: Clock, definition: SourceDefined) -> None:
    """Store a source's definition under its own hash, unless it is there; returns when it is stored."""
    layout = layout_of(definition)
    subject = subjects.definition(definition.site, definition.source, layout)
    message = signer.message(subject, definition, id=f"{definition.source}.{layout}", time=clock.now_ns())
    while True:
        try:
            stored = await bus.last("DEFINITIONS", subject)
            if stored is not None and stored.data == message.data:
                return
            await bus.publish(message, stream="DEFINITIONS")
        except AWAY:
            await clock.sleep(_RETRY_SECONDS)
        else:
            return
