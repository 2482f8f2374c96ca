"""What became of a command whose outcome nobody knows: the device itself is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import structlog

from plantops.adapters.host.away import UNAUDITED
from plantops.adapters.host.bounding import bounded_reconciled
from plantops.adapters.host.claims import Claims
from plantops.adapters.host.clock import Clock
from plantops.adapters.host.execution import is_reached
from plantops.adapters.host.hands import Hands
from plantops.adapters.host.lanes import Lane
from plantops.adapters.host.orders import order_of
from plantops.adapters.host.ports import Auditor
from plantops.events import EventUnreadable, decode, event_type, subjects
from plantops.events.base import CommandId, SiteName, TagName, from_nanoseconds
from plantops.events.command_parts import ObservedInput, Permit, StepResult, Write
from plantops.events.commands import OutcomeUnknown
from plantops.events.envelope import Message
from plantops.events.governance import CommandProgressed, CommandReconciled, ReconcileOrdered
from plantops.events.quality import is_good
from plantops.events.subjects import SubjectInvalid
from plantops.flow.bus import Bus, Stored
from plantops.flow.signing import Signer
from plantops.flow.trust import Trust
from plantops.runtime.errors import Conflict, TrustError

log = structlog.get_logger()

_MAX_STEPS = 1000


@dataclass(frozen=True, slots=True)
class Tried:
    """What a command may have written: `steps` in their order, with the value before where it is known."""

    steps: tuple[StepResult, ...]
    text: str = ""


class Reconciler:
    """Closes commands of one executor whose own last word is `outcome_unknown`, each once."""

    def __init__(
        self,
        *,
        site: SiteName,
        name: str,
        bus: Bus,
        signer: Signer,
        trust: Trust,
        auditor: Auditor,
        hands: Hands,
        claims: Claims,
        clock: Clock,
    ) -> None:
        self._site, self._name = site, name
        self._bus, self._signer, self._trust, self._auditor = bus, signer, trust, auditor
        self._hands, self._claims, self._clock = hands, claims, clock

    async def carry_out(self, order: ReconcileOrdered) -> str:
        """Read, compare, say; returns why nothing was to be said, which is no news where it was said before.

        Raises: DeviceError, BrokerUnavailable (then it may be tried again).
        """
        last = await self._bus.last("COMMANDS", self._claims.own(order.target))
        word = None if last is None else self._believed(last)
        if isinstance(word, CommandReconciled):
            return ""
        if last is None or not isinstance(word, OutcomeUnknown):
            return f"the outcome of {order.target} is not unknown to this executor"
        if not order.decision.allowed or order.decision.command != order.command:
            return "the decision beside the order does not allow it"
        tried = await self._tried(word)
        names = [*order.tags, *(step.write.tag for step in tried.steps)]
        # Other sources' tags are not asked: what this command wrote is here or nowhere.
        inputs = await self._hands.look(
            [name for name in names if self._hands.has(name)], Lane.COMMAND, self._now
        )
        found = {one.tag: one for one in inputs}
        event = bounded_reconciled(
            CommandReconciled(
                site=self._site,
                command=order.target,
                by=order.command,
                found=inputs,
                conclusion=conclusion(tried.steps, found),
                text=tried.text,
            )
        )
        await self._say(event, last.sequence)
        return ""

    async def _say(self, event: CommandReconciled, expected: int) -> None:
        message = self._signer.message(
            subjects.command(self._site, "reconciled", self._name, event.command),
            event,
            id=f"{self._name}.{event.command}.reconciled",
            time=self._clock.now_ns(),
            causation=event.by,
        )
        try:
            await self._bus.publish(
                message,
                stream="COMMANDS",
                expected_last=expected,
                expected_subject=self._claims.own(event.command),
            )
        except Conflict:
            return  # said by another run of ours meanwhile
        log.info("command.reconciled", command=event.command, conclusion=event.conclusion)
        try:
            await self._auditor.append(event_type(event), event, command=event.command)
        except UNAUDITED as error:
            log.warning("audit.late", command=event.command, cause=str(error))

    async def _tried(self, word: OutcomeUnknown) -> Tried:
        """From our own last word; after a crash, which told no step, from the permit and what was told on
        the way."""
        if word.steps:
            return Tried(word.steps)
        permit = await self._permit(word.command)
        if permit is None:
            return Tried((), "its permit is not on the stream any more")
        if permit.invocation is not None:
            return Tried(
                (), f"{permit.source} carried it out itself, and nothing can be read back: look there"
            )
        known = await self._told(word.command)
        return Tried(
            tuple(
                known.get(number) or StepResult(write=write, before=None, before_quality=0)
                for number, write in enumerate(permit.writes, 1)
            )
        )

    async def _permit(self, command: CommandId) -> Permit | None:
        for verb in ("permitted", "safe_permitted"):
            last = await self._bus.last("COMMANDS", f"cmd.{self._site}.{verb}.*.{command}")
            if last is None:
                continue
            try:
                order = order_of(last, self._trust)
            except (EventUnreadable, SubjectInvalid, TrustError):
                continue
            if not isinstance(order, ReconcileOrdered):
                return order.permit
        return None

    async def _told(self, command: CommandId) -> Mapping[int, StepResult]:
        subject = subjects.command(self._site, "progressed", self._name, command)
        told: dict[int, StepResult] = {}
        for stored in await self._bus.history("COMMANDS", subject, 1, _MAX_STEPS):
            event = self._believed(stored)
            if isinstance(event, CommandProgressed) and event.result is not None:
                told[event.step] = event.result
        return told

    def _believed(self, stored: Stored) -> object:
        try:
            event = decode(stored.data)
            message = Message(stored.subject, stored.data, stored.headers)
            self._trust.at(stored.time_ns).believe(event_type(event), event.version, message)
        except (EventUnreadable, TrustError):
            return None
        return event

    def _now(self) -> datetime:
        return from_nanoseconds(self._clock.now_ns())


def conclusion(
    steps: Sequence[StepResult], found: Mapping[TagName, ObservedInput]
) -> Literal["written", "not_written", "other"]:
    """`written` when each tag reads as it was written last, `not_written` when each reads as it stood
    before the first write. A tag that reads badly, or whose before-value is not known, says neither."""
    wanted: dict[TagName, Write] = {step.write.tag: step.write for step in steps}
    first: dict[TagName, StepResult] = {step.write.tag: step for step in reversed(steps)}
    if not wanted or not wanted.keys() <= found.keys():
        return "other"
    if all(is_reached(write.value, found[tag], write.tolerance) for tag, write in wanted.items()):
        return "written"
    if all(_is_as_before(step, found[tag]) for tag, step in first.items()):
        return "not_written"
    return "other"


def _is_as_before(step: StepResult, found: ObservedInput) -> bool:
    if step.before is None or not is_good(step.before_quality):
        return False
    return is_reached(step.before, found, step.write.tolerance)
