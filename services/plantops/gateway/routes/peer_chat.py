"""`POST /chat` and `POST /reset`, as TwinOps has them."""

from __future__ import annotations

from typing import Any, Final

from litestar import post
from litestar.di import NamedDependency

from plantops.events.chatting import ResetAsked, ResetDone
from plantops.gateway import turns
from plantops.gateway.bodies import AnyRequest, read_body, read_optional, taking
from plantops.gateway.caller import Caller
from plantops.gateway.desk import Desk
from plantops.gateway.naming import Names
from plantops.gateway.preferences import KeyHeader, key_of
from plantops.gateway.problems import HttpProblem
from plantops.gateway.shapes.chatting import ChatBody, ChatReply, ResetBody, ResetReply

_EMPTY: Final = "Expected `str` of length >= 1 - at `$.message`"


@post("/chat", status_code=200, tags=["twinops"], operation_class=taking(ChatBody))
async def chat(
    *,
    request: AnyRequest,
    desk: NamedDependency[Desk],
    caller: NamedDependency[Caller],
    plain_names: NamedDependency[Names],
    idempotency: KeyHeader = "",
) -> ChatReply:
    """Say something to the agent and wait for its answer. What the gate denied is an answer, and 200.

    `task_id` is what waits for a person. The same key again is the same turn, and asks for nothing twice.
    """
    body = await _said(request)
    key = key_of(idempotency, body.key)
    taken = await turns.ask(desk, caller, body.message, body.conversation or "", key)
    return turns.reply_of(await turns.answer(desk, caller, taken), plain_names)


async def _said(request: AnyRequest) -> ChatBody:
    """An empty message is a missing one, as in TwinOps."""
    try:
        return await read_body(request, ChatBody)
    except HttpProblem as problem:
        if str(problem) != _EMPTY:
            raise
        raise HttpProblem(
            400, "missing_field", "Missing 'message' field", details={"field": "message"}
        ) from problem


@post("/reset", status_code=200, tags=["twinops"], operation_class=taking(ResetBody, required=False))
async def reset(
    request: AnyRequest, desk: NamedDependency[Desk], caller: NamedDependency[Caller]
) -> ResetReply:
    """Let the agent forget a conversation. Without one there is nothing to forget."""
    body = await read_optional(request, ResetBody)
    if body.conversation:
        asked = ResetAsked(conversation=body.conversation, on_behalf_of=caller.chain)
        await desk.ask_door("chat", "reset", asked, ResetDone)
    return ResetReply()


HANDLERS: Final[tuple[Any, ...]] = (chat, reset)
