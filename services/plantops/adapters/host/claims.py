"""One executor for each command, and what this one has said of a command already."""

from __future__ import annotations

from dataclasses import dataclass

from plantops.adapters.host.away import AWAY
from plantops.adapters.host.clock import Clock
from plantops.events import EventUnreadable, decode, subjects
from plantops.events.base import CommandId, SiteName
from plantops.events.command_parts import Permit
from plantops.events.commands import CommandClaimed, CommandExecuted, CommandFailed, OutcomeUnknown
from plantops.events.governance import CommandProgressed, CommandReconciled
from plantops.flow.bus import Bus, Stored
from plantops.flow.signing import Signer
from plantops.runtime.errors import BrokerUnavailable, Conflict

FINALS = (CommandExecuted, CommandFailed, OutcomeUnknown, CommandReconciled)
_RETRY_SECONDS = 0.2
_RETRIES = 10


@dataclass(frozen=True, slots=True)
class Said:
    """Our last word on a command: its COMMANDS sequence (0: none), whether it is under way, and whether it
    has ended."""

    sequence: int = 0
    is_claim: bool = False
    is_final: bool = False


@dataclass(frozen=True, slots=True)
class Claimed:
    """A claim as it is stored; `sequence` is that of COMMANDS."""

    event: CommandClaimed
    sequence: int


class Claims:
    """Claims of one executor under one lease. A claim is stored once for ever and never taken back."""

    def __init__(
        self, bus: Bus, signer: Signer, clock: Clock, *, site: SiteName, executor: str, epoch: int
    ) -> None:
        self._bus, self._signer, self._clock = bus, signer, clock
        self._site, self._me, self._epoch = site, executor, epoch
        self._unanswered: set[CommandId] = set()

    async def said(self, command: CommandId) -> Said:
        """Our last word. Raises: BrokerUnavailable."""
        last = await self._bus.last("COMMANDS", self.own(command))
        if last is None:
            return Said()
        event = _event(last)
        is_claim = isinstance(event, (CommandClaimed, CommandProgressed))
        return Said(last.sequence, is_claim, isinstance(event, FINALS))

    async def standing(self, command: CommandId) -> Claimed | None:
        """Our claim that stands on the stream, of whichever run of ours. Raises: BrokerUnavailable."""
        last = await self._bus.last("COMMANDS", subjects.command(self._site, "claimed", self._me, command))
        event = None if last is None else _event(last)
        if last is None or not isinstance(event, CommandClaimed):
            return None
        return Claimed(event, last.sequence)

    def own(self, command: CommandId) -> str:
        """The filter under which stands all that we say of a command."""
        return _filter(subjects.command(self._site, "any", self._me, command), 2)

    def _rivals(self, command: CommandId) -> str:
        return _filter(subjects.command(self._site, "claimed", self._me, command), 3)

    async def is_taken(self, command: CommandId) -> bool:
        """Whether any executor has a claim on it. Raises: BrokerUnavailable."""
        return await self._bus.last("COMMANDS", self._rivals(command)) is not None

    def is_unanswered(self, command: CommandId) -> bool:
        """Whether this run tried to claim it, never heard the answer, and so did nothing on it."""
        return command in self._unanswered

    async def take(self, permit: Permit) -> Claimed | None:
        """Our claim, or None when somebody has claimed it before.

        In the safe direction only our own earlier claim counts: the permit names one source, and nobody
        else may hold up a stop. Raises: BrokerUnavailable when it stays unknown whether it was stored.
        """
        claim = CommandClaimed(
            site=self._site,
            command=permit.command,
            executor=self._me,
            epoch=self._epoch,
            decision=permit.decision,
        )
        subject = subjects.command(self._site, "claimed", self._me, permit.command)
        rivals = subject if permit.safe_direction else self._rivals(permit.command)
        message = self._signer.message(
            subject,
            claim,
            id=f"{self._me}.{permit.command}.claimed",
            time=self._clock.now_ns(),
            causation=permit.command,
        )
        for _attempt in range(_RETRIES):
            try:
                # No message id of ours: a claim of an earlier run must not pass for this one.
                sequence = await self._bus.publish(
                    message, stream="COMMANDS", expected_last=0, expected_subject=rivals
                )
            except Conflict:
                return await self._late_answer(permit, claim, message.data)
            except AWAY:
                self._unanswered.add(permit.command)
                await self._clock.sleep(_RETRY_SECONDS)
                continue
            self._unanswered.discard(permit.command)
            return Claimed(claim, sequence)
        raise BrokerUnavailable(f"nobody answered the claim of command {permit.command!r}", stream="COMMANDS")

    async def _late_answer(self, permit: Permit, claim: CommandClaimed, data: bytes) -> Claimed | None:
        """The claim that stands, if it is the one of this run whose answer got lost."""
        if permit.command not in self._unanswered:
            return None
        last = await self._bus.last("COMMANDS", self._rivals(permit.command))
        self._unanswered.discard(permit.command)
        return Claimed(claim, last.sequence) if last is not None and last.data == data else None


def _filter(subject: str, place: int) -> str:
    """A checked subject with one of its tokens free."""
    tokens = subject.split(".")
    tokens[place] = "*"
    return ".".join(tokens)


def _event(stored: Stored) -> object:
    try:
        return decode(stored.data)
    except EventUnreadable:
        return None
