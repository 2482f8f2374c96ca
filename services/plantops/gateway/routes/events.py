"""`/v1/events`: what happens, as it happens; as server-sent events, and over a WebSocket.

Both go on behind the identity that was heard last, and end with a reason when they cannot be kept up.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Annotated, Any, Final, TypeAlias

import structlog
from litestar import Response, WebSocket, get, websocket
from litestar.di import NamedDependency
from litestar.exceptions import WebSocketDisconnect
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import QueryParameter

from plantops.gateway.answers import refuse_handshake
from plantops.gateway.app import CALLER
from plantops.gateway.bodies import AnyRequest
from plantops.gateway.caller import Caller
from plantops.gateway.catching_up import CatchingUp
from plantops.gateway.desk import Desk
from plantops.gateway.live import Live
from plantops.gateway.outlet import Chunk
from plantops.gateway.problems import HttpProblem
from plantops.gateway.streaming import EVENT_STREAM, EventStream
from plantops.gateway.streams import take_stream
from plantops.gateway.wanted import Form, Position, Wanted
from plantops.runtime.errors import PlantOpsError

Types: TypeAlias = Annotated[
    str,
    QueryParameter(
        name="types",
        max_length=2000,
        description="Types or families, with commas: `command.executed`, `command`, `tag`. None: all.",
    ),
]
Assets: TypeAlias = Annotated[
    str, QueryParameter(name="assets", max_length=2000, description="Only of these assets, with commas.")
]
Tags: TypeAlias = Annotated[
    str,
    QueryParameter(
        name="tags", max_length=8000, description="Only these tags, with commas; `pump.*` begins so."
    ),
]
AfterText: TypeAlias = Annotated[
    str,
    QueryParameter(name="after", max_length=40, description="The identity that was heard last: `c12-t345`."),
]

RETRY: Final = b"retry: 1000\n\n"
SEND_SECONDS: Final = 20.0
"""How long a WebSocket's client may leave unread what it was sent."""

_GONE: Final = (WebSocketDisconnect, OSError)
"""What is raised when the client is not there any more: on receiving, and on sending (ASGI 2.4)."""

log = structlog.get_logger("plantops.gateway.events")


@get(
    "/v1/events",
    tags=["events"],
    media_type=EVENT_STREAM,
    responses={200: ResponseSpec(str, media_type=EVENT_STREAM, description="Server-sent events.")},
)
async def stream_events(
    *,
    request: AnyRequest,
    desk: NamedDependency[Desk],
    caller: NamedDependency[Caller],
    live: NamedDependency[Live],
    types: Types = "",
    assets: Assets = "",
    tags: Tags = "",
    after: AfterText = "",
) -> Response[None]:
    """Commands and changed tags as they come, without end.

    With `Last-Event-ID` or `after` first what was missed. Tags are told at most every 80 ms on
    average. The event `cut` says why a stream ends; the answer is to come again with the last identity.
    """
    wanted = _wanted(types, assets, tags, "sse")
    since = _since(request.headers.get("last-event-id", "") or after)
    take_stream(request.scope["state"], caller)
    parts = _parts(desk, caller, live, wanted, since)
    first = await anext(parts)  # a twin or broker that is away is told by the status
    return EventStream(parts, first)


async def _parts(
    desk: Desk, caller: Caller, live: Live, wanted: Wanted, since: Position
) -> AsyncGenerator[bytes, None]:
    async with live.listening(wanted) as outlet:
        yield RETRY
        catching = CatchingUp(desk, caller, wanted, live.filter_of(wanted), since)
        try:
            async for data in catching.run():
                yield data
        except PlantOpsError as error:
            log.warning("events.not_caught_up", caller=caller.name, reason=error.message)
            outlet.cut("away")
        if catching.is_behind:
            outlet.cut("behind")
        while chunks := await outlet.take():
            if fresh := b"".join(chunk.data for chunk in chunks if _is_new(chunk, catching.position)):
                yield fresh
        # Without an identity of its own, so that the client goes on behind what it heard.
        yield b'event: cut\ndata: {"reason":"%s"}\n\n' % (outlet.cut_for or "stopping").encode()


@websocket("/v1/events/ws")
async def socket_events(
    *,
    socket: WebSocket[Any, Any, Any],
    desk: NamedDependency[Desk],
    live: NamedDependency[Live],
    types: Types = "",
    assets: Assets = "",
    tags: Tags = "",
    after: AfterText = "",
) -> None:
    """The same as `/v1/events`; each message is `{"id", "type", "data"}`. What a client sends is not read."""
    caller: Caller = socket.scope["state"][CALLER]  # the guard has looked
    try:
        wanted, since = _wanted(types, assets, tags, "ws"), _since(after)
        take_stream(socket.scope["state"], caller)
    except HttpProblem as problem:
        await refuse_handshake(socket.send, problem)
        return
    await socket.accept()
    sending = asyncio.create_task(_send(socket, desk, caller, live, wanted=wanted, since=since))
    leaving = asyncio.create_task(_until_gone(socket))
    try:
        await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (sending, leaving):
            task.cancel()
        results = await asyncio.gather(sending, leaving, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception) and not isinstance(result, _GONE):
            raise result


async def _send(
    socket: WebSocket[Any, Any, Any],
    desk: Desk,
    caller: Caller,
    live: Live,
    *,
    wanted: Wanted,
    since: Position,
) -> None:
    code, reason = 1012, "come again"
    try:
        async with live.listening(wanted) as outlet:
            catching = CatchingUp(desk, caller, wanted, live.filter_of(wanted), since)
            async for data in catching.run():
                async with asyncio.timeout(SEND_SECONDS):
                    await socket.send_text(data.decode())
            if catching.is_behind:
                outlet.cut("behind")
            while chunks := await outlet.take():
                async with asyncio.timeout(SEND_SECONDS):
                    for chunk in chunks:
                        if _is_new(chunk, catching.position):
                            await socket.send_text(chunk.data.decode())
            reason = outlet.cut_for or reason
    except TimeoutError:
        reason = "slow"
    except PlantOpsError as error:
        # A WebSocket has no status any more: its close says why (RFC 6455, 7.4.1), in at most 123 bytes.
        code, reason = 1013, error.message.encode()[:120].decode(errors="ignore")
    with suppress(*_GONE):
        await socket.close(code=code, reason=reason)


async def _until_gone(socket: WebSocket[Any, Any, Any]) -> None:
    with suppress(WebSocketDisconnect):
        while True:
            await socket.receive_data(mode="text")


def _is_new(chunk: Chunk, position: Position) -> bool:
    """False for what the client has caught up with already."""
    match chunk.log:
        case "commands":
            return not chunk.number or position.commands is None or chunk.number > position.commands
        case "tags":
            return position.tags is None or chunk.number > position.tags
        case _:
            return True


def _wanted(types: str, assets: str, tags: str, form: Form) -> Wanted:
    try:
        return Wanted.parse(types, assets, tags, form)
    except ValueError as error:
        raise HttpProblem(400, "bad_request", str(error)) from error


def _since(text: str) -> Position:
    try:
        return Position.parse(text)
    except ValueError as error:
        raise HttpProblem(400, "bad_request", str(error)) from error


HANDLERS: Final[tuple[Any, ...]] = (stream_events, socket_events)
