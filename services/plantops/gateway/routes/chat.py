"""`/v1/chat`: conversations with the agent, asked now and answered when it is done."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import PathParameter, QueryParameter

from plantops.events.chatting import (
    ChatTaken,
    ConversationsAsked,
    ConversationTold,
    ResetAsked,
    ResetDone,
    TurnTold,
)
from plantops.gateway import turns
from plantops.gateway.bodies import AnyRequest, read_body, taking
from plantops.gateway.caller import Caller
from plantops.gateway.desk import Desk
from plantops.gateway.preferences import KeyHeader, Limit, Wait, key_of, wait_seconds
from plantops.gateway.shapes.chatting import ChatBody, ResetReply, TurnTaken
from plantops.gateway.streaming import EVENT_STREAM, EventStream
from plantops.gateway.streams import take_stream

Conversation: TypeAlias = Annotated[
    str, PathParameter(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$", max_length=64)
]
Turn: TypeAlias = Annotated[int, PathParameter(ge=1, le=2**31)]
After: TypeAlias = Annotated[
    int, QueryParameter(name="after", ge=0, le=2**53, description="`revision` that was heard last.")
]


@post("/v1/chat", status_code=202, tags=["chat"], operation_class=taking(ChatBody))
async def ask_turn(
    request: AnyRequest,
    desk: NamedDependency[Desk],
    caller: NamedDependency[Caller],
    idempotency: KeyHeader = "",
) -> Response[TurnTaken]:
    """Say something; 202 with `Location` as soon as it is stored. Without `conversation` a new one begins."""
    body = await read_body(request, ChatBody)
    key = key_of(idempotency, body.key)
    taken = await turns.ask(desk, caller, body.message, body.conversation or "", key)
    place = turns.turn_place(taken.conversation, taken.turn)
    told = TurnTaken(
        conversation=taken.conversation,
        turn=taken.turn,
        repeated=taken.repeated,
        links={"self": place, "stream": f"{place}/stream", "conversation": f"/v1/chat/{taken.conversation}"},
    )
    return Response(told, status_code=202, headers={"Location": place})


@get("/v1/chat/{conversation:str}", tags=["chat"])
async def show_conversation(
    desk: NamedDependency[Desk],
    caller: NamedDependency[Caller],
    conversation: Conversation,
    limit: Limit = 20,
) -> ConversationTold:
    """Its turns, the newest last. Nobody else's conversation is told."""
    asked = ConversationsAsked(conversation=conversation, limit=limit, on_behalf_of=caller.chain)
    return await desk.ask_door("chat", "list", asked, ConversationTold)


@post("/v1/chat/{conversation:str}/reset", status_code=200, tags=["chat"])
async def reset_conversation(
    desk: NamedDependency[Desk], caller: NamedDependency[Caller], conversation: Conversation
) -> ResetReply:
    """What was said before is not shown to the model any more. Nothing is deleted."""
    asked = ResetAsked(conversation=conversation, on_behalf_of=caller.chain)
    await desk.ask_door("chat", "reset", asked, ResetDone)
    return ResetReply()


@get("/v1/chat/{conversation:str}/turns/{turn:int}", tags=["chat"])
async def show_turn(
    *,
    request: AnyRequest,
    desk: NamedDependency[Desk],
    caller: NamedDependency[Caller],
    conversation: Conversation,
    turn: Turn,
    after: After = 0,
    wait: Wait = 0.0,
) -> TurnTold:
    """What a turn has come to. With `wait` as soon as something is newer than `after`, or then."""
    taken = ChatTaken(conversation=conversation, turn=turn)
    return await turns.watch(desk, caller, taken, after, wait_seconds(request, wait))


@get(
    "/v1/chat/{conversation:str}/turns/{turn:int}/stream",
    tags=["chat"],
    media_type=EVENT_STREAM,
    responses={200: ResponseSpec(str, media_type=EVENT_STREAM, description="Events of type `turn`.")},
)
async def stream_turn(
    *,
    request: AnyRequest,
    desk: NamedDependency[Desk],
    caller: NamedDependency[Caller],
    conversation: Conversation,
    turn: Turn,
    after: After = 0,
) -> Response[None]:
    """The answer as it comes: each state of the turn as a server-sent event, until it is answered."""
    take_stream(request.scope["state"], caller)
    taken = ChatTaken(conversation=conversation, turn=turn)
    first = await turns.watch(desk, caller, taken, after, 0)  # who may not hear it is told so by the status
    return EventStream(_states(desk, caller, taken, first, after))


async def _states(
    desk: Desk, caller: Caller, taken: ChatTaken, first: TurnTold, after: int
) -> AsyncGenerator[bytes, None]:
    if first.revision > after or first.status != "open":
        yield _event(first)
    if first.status != "open":
        return
    async for told in turns.follow(desk, caller, taken, turns.TURN_SECONDS, max(after, first.revision)):
        yield _event(told)


def _event(told: TurnTold) -> bytes:
    return b"id: %d\nevent: turn\ndata: %s\n\n" % (told.revision, msgspec.json.encode(told))


HANDLERS: Final[tuple[Any, ...]] = (
    ask_turn,
    show_conversation,
    reset_conversation,
    show_turn,
    stream_turn,
)
