"""Who asks the plant from outside: questions to its services and doors, and signed words handed in.

What it says and for whom is its user's; here is only how it is asked, and what it means when no answer comes,
or another one than agreed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from plantops.events import subjects
from plantops.events.base import CommandId, PrincipalName, Record, SiteName, encode_json
from plantops.events.command_parts import Approval, Intent
from plantops.events.commands import ApprovalRequested
from plantops.events.queries import (
    ApprovalsListed,
    ApprovalTaken,
    CommandAsked,
    CommandStatus,
    IntentTaken,
    ProblemDetail,
    read_answer,
)
from plantops.flow.bus import Bus
from plantops.flow.insisting import first_answer
from plantops.runtime.errors import NobodyAnswers, Refused

T = TypeVar("T", bound=Record)


def refusal(problem: ProblemDetail) -> Refused:
    """A service's refusal in its own words."""
    return Refused(problem.message, reason=problem.code)


@dataclass(frozen=True)
class Client:
    """A connection under the login of `name`.

    `seconds` is how long an answer is waited for where nothing else is said. `hint` is what else to do than
    to try again when nobody answers, as it goes on in the message. `refused` says what becomes of a refusal.
    """

    site: SiteName
    name: PrincipalName
    bus: Bus
    seconds: float
    hint: str = ""
    refused: Callable[[ProblemDetail], Refused] = refusal

    async def ask(
        self, area: str, verb: str, question: Record | None, kind: type[T], *, seconds: float | None = None
    ) -> T:
        """Ask a public service, such as `twin` `get` or `command` `list`.

        Raises: Refused with the service's reason (`unavailable` for an answer that cannot be read),
        NobodyAnswers, BrokerUnavailable.
        """
        data = encode_json(question) if question is not None else b"{}"
        return await self._request(subjects.service(area, self.site, verb), data, kind, seconds)

    async def ask_door(
        self, area: str, verb: str, question: Record, kind: type[T], *, seconds: float | None = None
    ) -> T:
        """Ask a door by the own name: `tool` (list, search, call), `chat` (ask, watch, list, reset).

        Raises: as `ask`.
        """
        subject = f"{subjects.service(area, self.site, self.name)}.{verb}"
        return await self._request(subject, encode_json(question), kind, seconds)

    async def command(self, command: str) -> CommandStatus:
        """Where a command stands, by identity or handle. Raises: Refused (`unknown_command`), as `ask`."""
        return await self.ask("command", "get", CommandAsked(command=command), CommandStatus)

    async def waiting(self, command: CommandId) -> ApprovalRequested | None:
        """The approval that a command waits for now; None when it waits for none. Raises: as `ask`."""
        told = await self.ask("command", "approvals", None, ApprovalsListed)
        return next((each for each in told.waiting if each.command == command), None)

    async def hand_in(self, intent: Intent, envelope: bytes, *, is_safe: bool) -> IntentTaken:
        """Hand in a signed intent at the door.

        A stop (`is_safe`) does not wait out a gate that died with it in hand: the same signed words, which
        are one command however often they come, are handed in again and again.

        Raises: Refused with the door's reason, or `malformed` for names that are none; as `ask`.
        """
        subject = _named(lambda: subjects.intent(intent.site, intent.actor, intent.asset, intent.operation))

        async def hand_in(seconds: float) -> IntentTaken:
            return await self._request(subject, envelope, IntentTaken, seconds)

        if is_safe:
            return await first_answer(hand_in, patience=self.seconds)
        return await hand_in(self.seconds)

    async def hand_in_approval(self, approval: Approval, envelope: bytes) -> ApprovalTaken:
        """Hand in a signed approval or rejection at the door. Raises: as `hand_in`."""
        subject = _named(lambda: subjects.approval(approval.site, approval.person, approval.command))
        return await self._request(subject, envelope, ApprovalTaken)

    async def _request(self, subject: str, data: bytes, kind: type[T], seconds: float | None = None) -> T:
        try:
            reply = await self.bus.request(
                subject, data, timeout=self.seconds if seconds is None else seconds
            )
        except NobodyAnswers as error:
            raise NobodyAnswers(
                f"nobody answers {subject}: its process may be starting, try again{self.hint}"
            ) from error
        try:
            answer = read_answer(reply.data, kind)
        except ValueError as error:
            raise Refused(f"the answer of {subject} is unreadable: {error}", reason="unavailable") from error
        if isinstance(answer, ProblemDetail):
            raise self.refused(answer)
        return answer


def _named(subject: Callable[[], str]) -> str:
    try:
        return subject()
    except subjects.SubjectInvalid as error:
        raise Refused(str(error), reason="malformed") from error
