"""A response that never ends by itself: headers, then whatever comes, until one side has enough."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any, Final

import structlog
from litestar.response import Response
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send

from plantops.runtime.errors import PlantOpsError

EVENT_STREAM: Final = "text/event-stream"

log = structlog.get_logger("plantops.gateway.streaming")


class EventStream(Response[None]):
    """Server-sent events: `first`, then `parts`, already encoded. The client's going ends it; one that does
    not read is ended by its connection (`connection.Connection`)."""

    def __init__(self, parts: AsyncGenerator[bytes, None], first: bytes = b"") -> None:
        super().__init__(None, media_type=EVENT_STREAM)
        self._parts, self._first = parts, first

    def to_asgi_response(
        self, *_told: Any, headers: dict[str, str] | None = None, is_head_response: bool = False, **_more: Any
    ) -> ASGIResponse:
        """Called by the framework."""
        return _Endless(self._parts, self._first, headers or {}, is_head_response=is_head_response)


class _Endless(ASGIResponse):
    __slots__ = ("_first", "_parts")

    _should_set_content_length = False

    def __init__(
        self,
        parts: AsyncGenerator[bytes, None],
        first: bytes,
        headers: dict[str, str],
        *,
        is_head_response: bool,
    ) -> None:
        super().__init__(
            # A proxy that gathers what it is sent would hold the events back.
            headers={"cache-control": "no-store", "x-accel-buffering": "no", **headers},
            media_type=EVENT_STREAM,
            is_head_response=is_head_response,
        )
        self._parts, self._first = parts, first

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.start_response(send)
        if self.is_head_response:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        sending = asyncio.create_task(self._send(send))
        leaving = asyncio.create_task(_until_gone(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, leaving):
                task.cancel()
            with suppress(asyncio.CancelledError):
                await leaving
            with suppress(asyncio.CancelledError):
                await sending

    async def _send(self, send: Send) -> None:
        try:
            if self._first:
                await send({"type": "http.response.body", "body": self._first, "more_body": True})
            async for part in self._parts:
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except PlantOpsError as error:
            # The status is sent; the connection closes without the end of the body, which tells the client.
            log.warning("stream.broken", reason=error.message)
        finally:
            await self._parts.aclose()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
