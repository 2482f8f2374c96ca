"""The obeyer behind a server of chat completions, for an agent that runs as a process of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from agent.models.wire import DONE, SSE, Answer, Asked, Wire, chunk, wire
from plantops.agent.port import Facts, ModelReply, ModelRequest, ModelSaid, Part, PersonSaid, ToolGave
from plantops.events.base import PrincipalName, SiteName
from plantops.events.conversation import ToolCall, ToolOutcome
from plantops.events.tooling import ToolListed
from support.obeyer import Obeyer
from support.plant_samples import NOW

_NOTHING = ToolOutcome(tool="", status="read", success=True)


class _Obeying(list[Answer]):
    """A script that is made up as the requests come."""

    def __init__(self, served: Wire) -> None:
        super().__init__((Answer(),))
        self._served, self._obeyer = served, Obeyer()

    def __getitem__(self, _place: Any) -> Any:
        reply = self._obeyer.reply_to(request_of(self._served.asked[-1]))
        return Answer(body=list(_streamed(reply, len(self._served.asked))), headers=SSE)


@asynccontextmanager
async def obeying_server() -> AsyncIterator[Wire]:
    """Loopback, on a free port."""
    async with wire(Answer()) as served:
        served.script = _Obeying(served)
        yield served


def request_of(asked: Asked) -> ModelRequest:
    """What the provider was sent, as the port has it."""
    parts, turn, step = list[Part](), 0, 1
    for message in asked.body["messages"]:
        match message["role"]:
            case "user":
                turn, step = turn + 1, 1
                parts.append(PersonSaid(turn=turn, text=str(message["content"])))
            case "assistant":
                calls = tuple(
                    ToolCall(
                        id=call["id"],
                        tool=call["function"]["name"],
                        arguments=msgspec.json.decode(call["function"]["arguments"] or "{}"),
                    )
                    for call in message.get("tool_calls") or ()
                )
                parts.append(ModelSaid(turn=turn, step=step, text=message.get("content") or "", calls=calls))
                step += 1
            case "tool":
                parts.append(
                    ToolGave(
                        turn=turn,
                        step=step - 1,
                        call=message["tool_call_id"],
                        tool="",
                        content=str(message["content"]),
                        outcome=_NOTHING,
                    )
                )
    return ModelRequest(
        site=SiteName("demo"),
        conversation="",
        turn=turn,
        step=step,
        parts=tuple(parts),
        tools=tuple(_tool(one["function"]) for one in asked.body.get("tools") or ()),
        chain=(PrincipalName("alice"),),
        facts=Facts(asked_at=NOW),
        is_last=not asked.body.get("tools"),
    )


def _tool(function: dict[str, Any]) -> ToolListed:
    asset, mark, operation = function["name"].partition("__")
    return ToolListed(
        name=function["name"],
        kind="operation" if mark else "read",
        description=function.get("description", ""),
        risk="low",
        arguments=function.get("parameters") or {},
        asset=asset if mark else "",
        operation=operation,
        safe_direction=operation in ("StopPump", "EmergencyStop", "CloseValve"),
    )


def _streamed(reply: ModelReply, number: int) -> Sequence[bytes]:
    calls = [
        {
            "index": place,
            "id": f"call_{number}_{place}",
            "type": "function",
            "function": {"name": call.tool, "arguments": msgspec.json.encode(call.arguments).decode()},
        }
        for place, call in enumerate(reply.calls)
    ]
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    if calls:
        said = [chunk({"role": "assistant", "tool_calls": calls}), chunk({}, "tool_calls")]
    else:
        said = [chunk({"role": "assistant", "content": "All is well."}), chunk({}, "stop")]
    return [*said, chunk(usage=usage), DONE]
