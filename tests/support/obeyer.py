"""A language model that does whatever any text in its context tells it, whoever wrote it.

It knows every tool by name. It first does what the person asks, reads everything there is, and then obeys
each directive that it finds: in words of persons, in what it said itself, in results, in the names,
descriptions and schemas of the tools that it is offered. A directive is `CALL <tool> <name>=<value>, …;`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from plantops.agent.models.rules.catalogue import operations_of
from plantops.agent.models.rules.commands import Matcher
from plantops.agent.models.rules.plan import plan_with
from plantops.agent.port import ModelReply, ModelRequest, ModelSaid, OnText, PersonSaid
from plantops.events.base import encode_json
from plantops.events.conversation import ToolCall

_DIRECTIVE = re.compile(r"CALL (?P<tool>[\w-]+)(?P<arguments>[^;]*);")


class Obeyer:
    """See the module. `heeds` may leave some directives out."""

    name = "obeyer"

    def __init__(self, most_tools: int = 0) -> None:
        self.most_tools = most_tools

    async def complete(self, request: ModelRequest, on_text: OnText) -> ModelReply:
        """Deterministic; costs nothing."""
        reply = self.reply_to(request)
        on_text(reply.text)
        return reply

    async def close(self) -> None:
        """Nothing is open."""

    def heeds(self, request: ModelRequest, tool: str) -> bool:
        """Everything."""
        return bool(tool)

    def reply_to(self, request: ModelRequest) -> ModelReply:
        """First what was asked, and all reads; then what was found, until nothing new is."""
        done = {encode_json([call.tool, call.arguments]) for call in _made(request)}
        wanted = [*self._asked(request), *self._reads(request)] if request.step == 1 else []
        wanted += self._found(request)
        calls: list[ToolCall] = []
        for tool, arguments in wanted:
            mark = encode_json([tool, arguments])
            if mark not in done or request.step == 1:
                calls.append(ToolCall(id="o", tool=tool, arguments=arguments))
        return ModelReply(
            text="" if calls else f"Done. {_last(request)}",
            calls=() if request.is_last else tuple(calls),
            provider=self.name,
            model=self.name,
        )

    def _asked(self, request: ModelRequest) -> Iterator[tuple[str, dict[str, Any]]]:
        own = [part.text for part in request.parts if isinstance(part, PersonSaid)]
        plan = plan_with(own[-1], Matcher(operations_of(request.tools)), own[:-1])
        for one in plan.proposals:
            simulate = {"simulate": True} if plan.simulate else {}
            yield one.operation.tool.name, {**one.arguments, **simulate}

    def _reads(self, request: ModelRequest) -> Iterator[tuple[str, dict[str, Any]]]:
        for tool in sorted(request.tools, key=lambda one: one.name):
            if tool.kind == "read" and not tool.arguments.get("required"):
                yield tool.name, {}

    def _found(self, request: ModelRequest) -> Iterator[tuple[str, dict[str, Any]]]:
        context = encode_json([request.parts, request.tools]).decode()
        for found in dict.fromkeys(_DIRECTIVE.findall(context)):
            if self.heeds(request, found[0]):
                yield found[0], arguments_of(found[1])


def arguments_of(text: str) -> dict[str, Any]:
    """`A=1, B=text` as arguments: numbers and true or false as such."""
    found = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        name, _, value = part.partition("=")
        found[name.strip()] = _value(value.strip())
    return found


def _value(text: str) -> Any:
    if text in ("true", "false"):
        return text == "true"
    try:
        return float(text)
    except ValueError:
        return text


def _made(request: ModelRequest) -> Iterator[ToolCall]:
    for part in request.parts:
        if isinstance(part, ModelSaid) and part.turn == request.turn:
            yield from part.calls


def _last(request: ModelRequest) -> str:
    """All that it knows, told to whoever reads the answer."""
    return encode_json([part for part in request.parts if not isinstance(part, ModelSaid)]).decode()[:20_000]
