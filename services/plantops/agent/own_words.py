"""Whose word a proposed call is: the person's own, or one that rests on what a model was shown. Pure.

A model that has read may be steered by what it read. So what counts is not what it says of itself, but
whether the grammar of the rules draws the same call from the question of this turn without it. The grammar is
given the person's words and the catalogue, nothing that a tool gave and nothing that a model said.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from plantops.agent.conversation import Conversation, Turn
from plantops.agent.models.rules.known import Known
from plantops.agent.models.rules.plan import plan_with
from plantops.events.base import Scalar, encode_json
from plantops.events.conversation import ModelReplied, ToolCall
from plantops.events.tooling import ToolListed

SAY: Final = "say"
"""In the result of a call that was withheld: the words with which the person asks for it himself."""

# Beside its own arguments a call says these; whether it is the same call they do not tell.
_BESIDE: Final = ("simulate", "reason")
_QUOTED: Final = re.compile(
    r'"[^"]*"|\u201c[^\u201d]*\u201d|\u201e[^\u201c\u201d]*[\u201c\u201d]|\u00ab[^\u00bb]*\u00bb|```.*?```',
    re.DOTALL,
)
_CITED: Final = re.compile(r"^\s*>", re.MULTILINE)
_PASSAGE_WORDS: Final = 3


def is_own(
    state: Conversation,
    reply: ModelReplied,
    call: ToolCall,
    tool: ToolListed,
    arguments: Mapping[str, Scalar],
    *,
    simulates: bool,
    known: Known,
) -> bool:
    """Whether the question of the reply's turn asks for this call by itself, as often as it is made.

    Who asks to simulate has not asked for the real thing. What was named in the person's earlier questions
    may be meant by "it", and nothing else is taken from them.
    """
    turn = state.turns[reply.turn - 1]
    before = [one.asked.question for one in state.visible if one.asked.turn < reply.turn]
    plan = plan_with(turn.asked.question, known.matcher, before)
    if plan.simulate and not simulates:
        return False
    wanted = _plain(arguments)
    said = [
        one
        for one in plan.proposals
        if one.operation.tool.name == tool.name and _plain(one.arguments) == wanted
    ]
    return len(said) > _made_before(turn, reply, call, wanted)


def foreign_passages(turns: Sequence[Turn]) -> tuple[str, ...]:
    """Names of questions that pass on somebody else's words: a quotation of some length, or cited lines.

    They stand in a person's question and are not what he says himself.
    """
    return tuple(f"question:t{turn.asked.turn}" for turn in turns if _passes_on(turn.asked.question))


def how_to_say(tool: ToolListed, arguments: Mapping[str, Scalar]) -> str:
    """Words of a person that are this call, by the same grammar."""
    values = " ".join(f"{name}={_worded(value)}" for name, value in arguments.items())
    return f"execute {tool.asset}.{tool.operation}{f' {values}' if values else ''}"


def _made_before(turn: Turn, reply: ModelReplied, call: ToolCall, wanted: bytes) -> int:
    """How often the same call stands before this one in the turn, but for those that nothing came of."""
    count = 0
    for one in turn.replies[: reply.step]:
        for other in one.calls:
            if other.id == call.id:
                return count
            same = other.tool == call.tool and _plain(other.arguments, besides=_BESIDE) == wanted
            answered = turn.answers.get(other.id)
            is_void = answered is not None and not answered.outcome.command
            count += same and not is_void
    return count


def _plain(arguments: Mapping[str, Any], besides: Sequence[str] = ()) -> bytes:
    """Equal for equal arguments: 1200 and 1200.0 are one number, true is none."""
    return encode_json(
        sorted(
            (name, [type(value) is bool, float(value)] if isinstance(value, int | float) else value)
            for name, value in arguments.items()
            if name not in besides
        )
    )


def _worded(value: Scalar) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer():
            return str(int(value))
        case str():
            return value if re.fullmatch(r"\w+", value) else f'"{value}"'
        case _:
            return str(value)


def _passes_on(text: str) -> bool:
    if _CITED.search(text):
        return True
    return any(len(found.group().split()) >= _PASSAGE_WORDS for found in _QUOTED.finditer(text))
