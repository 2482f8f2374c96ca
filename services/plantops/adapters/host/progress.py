"""How far a command has come, told while it runs."""

from __future__ import annotations

import structlog

from plantops.adapters.host.away import AWAY
from plantops.adapters.host.claims import Claims
from plantops.adapters.host.clock import Clock
from plantops.events import subjects
from plantops.events.command_parts import Permit, StepResult
from plantops.events.governance import CommandProgressed
from plantops.flow.bus import Bus
from plantops.flow.signing import Signer
from plantops.runtime.errors import Conflict

log = structlog.get_logger()


class Progress:
    """The steps of one claimed command; `claimed` is the COMMANDS sequence of the claim.

    For people: no decision hangs on it, and the last word tells every step again. So a step that cannot be
    told is not told, and the command goes on. It is stored only behind our own last word as we know it: a
    process that lost its lease in its sleep tells nothing after the word of the one that came after it.
    """

    def __init__(
        self,
        permit: Permit,
        claimed: int,
        *,
        bus: Bus,
        signer: Signer,
        claims: Claims,
        clock: Clock,
        name: str,
    ) -> None:
        self._permit, self._last = permit, claimed
        self._bus, self._signer, self._claims, self._clock = bus, signer, claims, clock
        self._name = name

    async def tell(self, step: int, steps: int, result: StepResult | None = None, text: str = "") -> None:
        """Returns after one attempt, whatever came of it."""
        permit = self._permit
        event = CommandProgressed(
            site=permit.site, command=permit.command, step=step, steps=steps, result=result, text=text
        )
        message = self._signer.message(
            subjects.command(permit.site, "progressed", self._name, permit.command),
            event,
            id=f"{self._name}.{permit.command}.progressed.{step}",
            time=self._clock.now_ns(),
            causation=permit.command,
        )
        try:
            if not self._last:
                said = await self._claims.said(permit.command)
                if said.is_final:
                    return
                self._last = said.sequence
            self._last = await self._bus.publish(
                message,
                stream="COMMANDS",
                expected_last=self._last,
                expected_subject=self._claims.own(permit.command),
            )
        except (*AWAY, Conflict) as error:
            self._last = 0
            log.info("progress.untold", command=permit.command, step=step, cause=str(error))
