"""An answer on its way out: request id, security headers, and our envelope around every error."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from litestar.types import Message, Send

from plantops.gateway.problems import HttpProblem

_SECURITY: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_NO_STORE: Final = (b"cache-control", b"no-store")
_STRICT: Final = (b"strict-transport-security", b"max-age=31536000")
_CODES: Final = {404: "not_found", 405: "method_not_allowed", 413: "payload_too_large", 429: "rate_limited"}
UNMATCHED: Final = "unmatched"
"""The route of a request that none takes: what was asked for is never a metric's label."""


class Answer:
    """One answer. `status` is 0 until it begins; a WebSocket's is 101 once it is accepted."""

    def __init__(self, scope: Any, send: Send, request: str, stopping: asyncio.Event) -> None:
        self.scope = scope
        self.status = 0
        self.is_done = False
        self._send = send
        self._request = request.encode()
        self._stopping = stopping
        self._replaced: HttpProblem | None = None

    @property
    def route(self) -> str:
        """The template of the route that answers, never the path."""
        return str(self.scope.get("path_template") or UNMATCHED)

    async def send(self, message: Message) -> None:
        """Pass on what the application says."""
        kind = message["type"]
        if kind == "http.response.start":
            await self._start(message)
        elif kind == "http.response.body":
            await self._body(message)
        elif kind == "websocket.http.response.start":
            start: Any = message
            self.status, self.is_done = start["status"], True
            started: Any = {**start, "headers": self._with_ours(list(start["headers"]))}
            await self._send(started)
        else:
            if kind == "websocket.accept":
                self.status = 101
            elif kind == "websocket.close":
                self.status = self.status or 403
                self.is_done = True
            await self._send(message)

    async def _start(self, message: Any) -> None:
        self.status = message["status"]
        headers = list(message.get("headers", ()))
        kind = next((value for name, value in headers if name.lower() == b"content-type"), b"")
        if self.status >= 400 and not kind.startswith(b"application/json"):
            # Some answer of the framework's own: the same in our words.
            code = _CODES.get(self.status, "bad_request" if self.status < 500 else "operation_failed")
            self._replaced = HttpProblem(self.status, code, "the request cannot be answered")
            return
        start: Any = {**message, "headers": self._with_ours(headers)}
        await self._send(start)

    async def _body(self, message: Any) -> None:
        more = message.get("more_body", False)
        if self._replaced is not None:
            if not more:
                problem, self._replaced = self._replaced, None
                await self.send_whole(problem)
            return
        self.is_done = not more
        await self._send(message)

    def _with_ours(self, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        there = {name.lower() for name, _value in headers}
        ours = [(b"x-request-id", self._request), *_SECURITY, _NO_STORE]
        if self.scope.get("scheme") in ("https", "wss"):
            ours.append(_STRICT)
        if self._stopping.is_set():
            ours.append((b"connection", b"close"))
        return [*headers, *(each for each in ours if each[0] not in there)]

    async def send_whole(self, problem: HttpProblem) -> None:
        """A problem as the whole answer, where none has begun."""
        for message in _whole(problem, "websocket.http" if self.scope["type"] == "websocket" else "http"):
            await self.send(message)

    async def finish(self) -> None:
        """The application has returned."""
        if self._replaced is not None:
            problem, self._replaced = self._replaced, None
            await self.send_whole(problem)

    async def end_short(self) -> None:
        """End an answer that has begun, as far as that can be said."""
        self.is_done = True
        if self.scope["type"] == "websocket":
            await self._send({"type": "websocket.close", "code": 1012, "reason": ""})


async def refuse_handshake(send: Send, problem: HttpProblem) -> None:
    """Answer a WebSocket that is not accepted, as any request: what a route raises there would be lost."""
    for message in _whole(problem, "websocket.http"):
        await send(message)


def _whole(problem: HttpProblem, prefix: str) -> tuple[Any, Any]:
    """The two messages of an answer. For a WebSocket they are an extension of ASGI: "Denial Response"."""
    body = problem.body()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    headers += [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
    return (
        {"type": f"{prefix}.response.start", "status": problem.status, "headers": headers},
        {"type": f"{prefix}.response.body", "body": body, "more_body": False},
    )


async def send_problem(answer: Answer, problem: HttpProblem) -> None:
    """Answer with it, if nothing was answered yet; else the connection can only be cut."""
    if answer.status == 0:
        await answer.send_whole(problem)
    elif not answer.is_done:
        await answer.end_short()
