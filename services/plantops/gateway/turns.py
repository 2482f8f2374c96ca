"""A turn with the agent: asked once, waited for, and told in the words of TwinOps."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Final

from plantops.events.chatting import ChatAsked, ChatTaken, TurnAskedFor, TurnTold
from plantops.events.conversation import ToolOutcome
from plantops.gateway.caller import Caller
from plantops.gateway.desk import Desk
from plantops.gateway.naming import Names
from plantops.gateway.problems import HttpProblem
from plantops.gateway.shapes.chatting import ChatReply, ToolResult

TURN_SECONDS: Final = 120.0
"""How long `/chat` waits for a turn: a model may read much and think long."""

_WATCH_SECONDS: Final = 20.0


async def ask(desk: Desk, caller: Caller, message: str, conversation: str, key: str) -> ChatTaken:
    """Raises: Refused with the agent's reason, NobodyAnswers, BrokerUnavailable."""
    asked = ChatAsked(message=message, conversation=conversation, key=key, on_behalf_of=caller.chain)
    return await desk.ask_door("chat", "ask", asked, ChatTaken)


async def watch(desk: Desk, caller: Caller, taken: ChatTaken, after: int, seconds: float) -> TurnTold:
    """What the turn has come to, as soon as that is newer than `after`, or after `seconds` (at most 30)."""
    asked = TurnAskedFor(
        conversation=taken.conversation,
        turn=taken.turn,
        after=after,
        wait_seconds=seconds,
        on_behalf_of=caller.chain,
    )
    return await desk.ask_door("chat", "watch", asked, TurnTold, wait=seconds)


async def follow(
    desk: Desk, caller: Caller, taken: ChatTaken, seconds: float, after: int = 0
) -> AsyncIterator[TurnTold]:
    """Each newer state of a turn until it is answered, or `seconds` are over."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        told = await watch(desk, caller, taken, after, min(_WATCH_SECONDS, left))
        if told.revision > after or told.status != "open":
            yield told
        if told.status != "open":
            return
        after = max(after, told.revision)


async def answer(desk: Desk, caller: Caller, taken: ChatTaken) -> TurnTold:
    """The end of a turn. Raises: HttpProblem 504 when it takes too long; it goes on all the same."""
    async for told in follow(desk, caller, taken, TURN_SECONDS):
        if told.status != "open":
            return told
    place = turn_place(taken.conversation, taken.turn)
    raise HttpProblem(
        504,
        "operation_failed",
        f"the agent is still at it: look again at {place}",
        details={"conversation": taken.conversation, "turn": taken.turn},
        headers={"Location": place},
    )


def turn_place(conversation: str, turn: int) -> str:
    """Where a turn is told."""
    return f"/v1/chat/{conversation}/turns/{turn}"


def reply_of(told: TurnTold, names: Names) -> ChatReply:
    """As TwinOps answers."""
    return ChatReply(
        reply=told.text,
        tool_results=tuple(_result(each, names) for each in told.outcomes),
        pending_approval=told.pending_approval and any(_waits_for_approval(each) for each in told.outcomes),
        task_id=f"task-{told.handle}" if told.handle else None,
        conversation=told.conversation,
        turn=told.turn,
    )


def _waits_for_approval(outcome: ToolOutcome) -> bool:
    """What was simulated and waits to be confirmed is no approval in TwinOps, which knows no confirmation."""
    return outcome.status == "pending_approval" and not _waits_for_confirmation(outcome)


def _waits_for_confirmation(outcome: ToolOutcome) -> bool:
    told = outcome.result
    return outcome.simulated and isinstance(told, dict) and told.get("waiting_for") == "confirmation"


def _result(outcome: ToolOutcome, names: Names) -> ToolResult:
    status: str = outcome.status
    if status == "read":
        status = "completed"  # TwinOps knows no reading: a status report is a command there
    elif status == "pending_approval" and _waits_for_confirmation(outcome):
        status = "simulated_only"
    named = names.plain(outcome.tool)
    return ToolResult(
        tool=named.tool,
        asset=named.asset,
        success=outcome.success,
        result=outcome.result,
        error=outcome.error or None,
        simulated=outcome.simulated,
        status=status,
    )
