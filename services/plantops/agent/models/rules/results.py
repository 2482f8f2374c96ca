"""What the tools gave in this turn, by the call that was made: data to be worded, never a wish."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from plantops.agent.port import ModelRequest, ModelSaid, ToolGave
from plantops.events.base import encode_json
from plantops.events.conversation import ToolCall


@dataclass(frozen=True, slots=True)
class Read:
    """A reading call that a topic needs."""

    tool: str
    arguments: Mapping[str, Any]

    @property
    def key(self) -> bytes:
        """The same for the same call."""
        return encode_json([self.tool, self.arguments])


@dataclass(frozen=True, slots=True)
class Answer:
    """What one call gave: `result` as the tool has it, or why there is none."""

    result: Any
    problem: str = ""
    is_cut: bool = False


class Results:
    """All answers of the present turn."""

    def __init__(self, request: ModelRequest) -> None:
        calls: dict[str, ToolCall] = {}
        self._read: dict[bytes, Answer] = {}
        self.operations: list[tuple[ToolCall, ToolGave]] = []
        for part in request.parts:
            if isinstance(part, ModelSaid) and part.turn == request.turn:
                calls |= {call.id: call for call in part.calls}
            elif isinstance(part, ToolGave) and part.turn == request.turn and part.call in calls:
                call = calls[part.call]
                self._read[Read(call.tool, call.arguments).key] = _answer(part)
                self.operations.append((call, part))

    def of(self, read: Read) -> Answer | None:
        """What a call gave; None when it was not made."""
        return self._read.get(read.key)

    def missing(self, reads: Sequence[Read]) -> tuple[Read, ...]:
        """Those that were not made yet."""
        return tuple(read for read in reads if read.key not in self._read)


def _answer(part: ToolGave) -> Answer:
    try:
        content: Any = msgspec.json.decode(part.content)
    except msgspec.DecodeError:
        return Answer(None, "the answer cannot be read")
    if not part.outcome.success or not isinstance(content, dict) or "result" not in content:
        return Answer(None, _problem(part, content))
    return Answer(content["result"], is_cut=bool(content.get("next")))


def _problem(part: ToolGave, content: Any) -> str:
    if part.outcome.error:
        return part.outcome.error
    return "the answer is too large" if isinstance(content, dict) and "beginning" in content else "no answer"


_LISTED: Final = 40


def rows(result: Any, name: str) -> list[Mapping[str, Any]]:
    """The items under `name`, as far as they have the form of items."""
    found = result.get(name) if isinstance(result, dict) else None
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def plainly(result: Any) -> str:
    """Any result in lines: for tools whose form is not known here."""
    lines: list[str] = []
    if isinstance(result, dict):
        lists = [value for value in result.values() if isinstance(value, list)]
        if lists and not any(lists):
            return "There are none."
    items = (
        result.items() if isinstance(result, dict) else enumerate(result) if isinstance(result, list) else ()
    )
    for name, value in items:
        if isinstance(value, list):
            lines += [f"{name}: {len(value)}", *(f"- {_short(one)}" for one in value[:_LISTED])]
        elif value not in ("", None):
            lines.append(f"{name}: {_short(value)}")
    return "\n".join(lines) or _short(result)


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(
            f"{name} {_short(one)}" for name, one in value.items() if one not in ("", None, [], {})
        )
    return value if isinstance(value, str) else encode_json(value).decode()
