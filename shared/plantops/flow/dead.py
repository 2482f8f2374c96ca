"""Where messages go that a process cannot use, so that none stops it and none is forgotten."""

from __future__ import annotations

import base64
from typing import Final

import structlog

from plantops.events import subjects
from plantops.events.operations import MessageBuried
from plantops.flow.bus import Bus, Stored
from plantops.flow.signing import Signer
from plantops.runtime.errors import BrokerError

log = structlog.get_logger()

DEAD: Final = "DEAD"
_MAX_BYTES: Final = 24 * 1024  # 32 KiB in Base64
_MAX_REASON: Final = 500


class DeadLetters:
    """Buries messages under `dead.<process>`. `lost` counts those that could only be logged."""

    def __init__(self, bus: Bus, signer: Signer, process: str) -> None:
        self._bus, self._signer, self._process = bus, signer, process
        self.buried = 0
        self.lost = 0

    async def bury(self, stored: Stored, reason: str) -> None:
        """Never raises for the broker's sake: what cannot be stored is counted and logged."""
        place = f"{stored.stream}.{stored.sequence}"
        event = MessageBuried(
            process=self._process,
            stream=stored.stream,
            sequence=stored.sequence,
            subject=stored.subject,
            reason=reason[:_MAX_REASON],
            data=base64.b64encode(stored.data[:_MAX_BYTES]).decode(),
        )
        identity = f"{self._process}.{place}.buried"
        message = self._signer.message(
            subjects.dead(self._process), event, id=identity, time=stored.time_ns, causation=place
        )
        failure = ""
        try:
            await self._bus.publish(message, stream=DEAD, message_id=identity)
        except BrokerError as error:
            failure = error.message
        if failure:
            self.lost += 1
            log.error("message.lost", place=place, subject=stored.subject, reason=reason, error=failure)
        else:
            self.buried += 1
            log.warning("message.buried", place=place, subject=stored.subject, reason=reason)
