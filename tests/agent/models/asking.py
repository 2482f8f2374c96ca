"""A turn with a provider, without the agent: what it is shown, and answers of tools written out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from agent.models.catalogue_demo import DEMO, READS
from plantops.agent.models.rules.provider import reply_to
from plantops.agent.port import Facts, ModelReply, ModelRequest, ModelSaid, Part, PersonSaid, ToolGave
from plantops.events.base import CommandId, PrincipalName, SiteName, encode_json
from plantops.events.conversation import ToolCall, ToolOutcome
from plantops.events.tooling import ToolListed

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ALICE = (PrincipalName("gateway"), PrincipalName("alice"))


def request(
    *parts: Part,
    tools: Sequence[ToolListed] = (*READS, *DEMO),
    step: int = 1,
    turn: int = 1,
    last: str = "",
    waiting: str = "",
    is_last: bool = False,
) -> ModelRequest:
    """What a provider is asked."""
    return ModelRequest(
        site=SiteName("demo"),
        conversation="talk",
        turn=turn,
        step=step,
        parts=parts,
        tools=() if is_last else tuple(tools),
        chain=ALICE,
        facts=Facts(
            asked_at=NOON,
            known=tuple(tools),
            last_command=CommandId(last),
            last_handle=last,
            waiting_for=CommandId(waiting),
            waiting_handle=waiting,
        ),
        is_last=is_last,
    )


def person(text: str, turn: int = 1) -> PersonSaid:
    """A person's words."""
    return PersonSaid(turn=turn, text=text)


def gave(call: ToolCall, result: Any, *, step: int = 1, turn: int = 1) -> ToolGave:
    """What a read gave."""
    outcome = ToolOutcome(tool=call.tool, status="read", success=True)
    content = encode_json({"result": result}).decode()
    return ToolGave(turn=turn, step=step, call=call.id, tool=call.tool, content=content, outcome=outcome)


def came(call: ToolCall, outcome: ToolOutcome, *, step: int = 1, turn: int = 1) -> ToolGave:
    """What became of an operation."""
    content = encode_json({"status": outcome.status, "reason": outcome.error}).decode()
    return ToolGave(turn=turn, step=step, call=call.id, tool=call.tool, content=content, outcome=outcome)


Answering = Mapping[str, Any]


def converse(
    text: str,
    answers: Answering,
    *,
    tools: Sequence[ToolListed] = (*READS, *DEMO),
    last: str = "",
    before: Sequence[Part] = (),
    turn: int = 1,
    steps: int = 6,
) -> tuple[list[ModelReply], list[ToolCall]]:
    """All replies of one turn and all calls that were made. `answers` are by tool: a result of a read, an
    outcome of an operation, or a function of the arguments that gives one of these."""
    parts: list[Part] = [*before, person(text, turn)]
    replies: list[ModelReply] = []
    made: list[ToolCall] = []
    for step in range(1, steps + 1):
        is_last = step == steps
        reply = reply_to(request(*parts, tools=tools, step=step, turn=turn, last=last, is_last=is_last))
        replies.append(reply)
        if not reply.calls:
            break
        calls = tuple(
            ToolCall(id=f"t{turn}s{step}c{number}", tool=call.tool, arguments=call.arguments)
            for number, call in enumerate(reply.calls, start=1)
        )
        made += calls
        parts.append(ModelSaid(turn=turn, step=step, text=reply.text, calls=calls))
        for call in calls:
            answer = answers[call.tool]
            answer = answer(call.arguments) if callable(answer) else answer
            if isinstance(answer, ToolOutcome):
                parts.append(came(call, answer, step=step, turn=turn))
            else:
                parts.append(gave(call, answer, step=step, turn=turn))
    return replies, made
