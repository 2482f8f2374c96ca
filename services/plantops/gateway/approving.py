"""Giving a person's word on a command, and hearing what the gate makes of it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import msgspec

from plantops.events.command_parts import Approval
from plantops.events.queries import CommandStatus
from plantops.gateway.desk import Desk
from plantops.gateway.live import Follower, Live
from plantops.gateway.problems import HttpProblem

ANSWER_SECONDS: Final = 5.0

Made: TypeAlias = Literal["counted", "rejected", "withdrawn", "taken"]


class _Word(msgspec.Struct):
    """What of the gate's answer is needed."""

    type: str
    person: str = ""
    reason: str = ""
    given: int = 0
    needed: int = 0


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of an approval. `taken`: it is stored, and the gate has not answered in time."""

    made: Made
    status: CommandStatus
    given: int = 0
    needed: int = 0


async def give(desk: Desk, live: Live, approval: Approval, envelope: bytes | None = None) -> Answered:
    """Hand in a word on a command that waits: signed by the gateway, or `envelope` as its person signed it.

    Raises: HttpProblem 403 when the gate does not count it; Refused, BrokerError.
    """
    async with live.following(approval.command) as follower:
        if envelope is None:
            await desk.send_approval(approval)
        else:
            await desk.relay_approval(envelope)
        answer = await _answer(follower, approval)
    status = await desk.command(approval.command)
    if answer is None:
        return Answered("taken", status)
    match answer.type:
        case "command.approval_refused":
            raise HttpProblem(
                403, "forbidden", f"{status.handle}: {answer.reason}", details={"reason": "approval_refused"}
            )
        case "command.approval_accepted":
            return Answered("counted", status, answer.given, answer.needed)
        case "command.approval_withdrawn":
            return Answered("withdrawn", status)
        case "command.denied" if approval.verdict == "reject":
            return Answered("rejected", status)
        case "command.permitted":
            return Answered("counted", status)
        case _:
            raise HttpProblem(409, "conflict", f"{status.handle} ended meanwhile: {status.reason}")


async def _answer(follower: Follower, approval: Approval) -> _Word | None:
    """The gate's first word that can be meant for this person."""
    deadline, read = time.monotonic() + ANSWER_SECONDS, 0
    while True:
        for kind, data in follower.events[read:]:
            read += 1
            word = _word(kind, data)
            if word is not None and word.person in ("", approval.person):
                return word
        left = deadline - time.monotonic()
        if left <= 0:
            return None
        await follower.news(left)


def _word(kind: str, data: bytes) -> _Word | None:
    if kind not in _MEANT:
        return None
    return msgspec.json.decode(data, type=_Word)


_MEANT: Final = frozenset(
    (
        "command.approval_accepted",
        "command.approval_refused",
        "command.approval_withdrawn",
        "command.denied",
        "command.cancelled",
        "command.permitted",
        "command.expired",
    )
)
