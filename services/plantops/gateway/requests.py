"""A request before it is let in: its identity, its size, and whether a page of somebody else sent it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from litestar.types import Receive

from plantops.gateway.problems import HttpProblem

REQUEST_ID: Final = "request_id"
"""Where the request's identity stands in the ASGI scope's `state`."""

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
_SAFE_METHODS: Final = frozenset(("GET", "HEAD", "OPTIONS"))


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as its head tells it; `headers` have lower-case names."""

    scope: Any
    headers: Mapping[str, Sequence[str]]

    @property
    def method(self) -> str:
        """`WEBSOCKET` for a WebSocket's handshake."""
        return str(self.scope.get("method", "WEBSOCKET"))

    @property
    def path(self) -> str:
        return str(self.scope["path"])

    @property
    def peer(self) -> str:
        """The address at the other end of the connection."""
        client = self.scope.get("client")
        return str(client[0]) if client else ""

    def header(self, name: str) -> str:
        """The first value, "" without one."""
        values = self.headers.get(name)
        return values[0].strip() if values else ""


def request_id(headers: Mapping[str, Sequence[str]]) -> str:
    """The one that was sent, if it can stand in logs and headers as it is; else a new one."""
    values = headers.get("x-request-id", ())
    if len(values) == 1 and _ID.fullmatch(values[0]):
        return values[0]
    return secrets.token_hex(12)


def check_body_size(asked: Asked, receive: Receive, limit: int) -> Receive:
    """`receive`, which raises HttpProblem (413) as soon as more than `limit` bytes have come.

    What the head announces is refused before a byte of it is read. Raises: HttpProblem.
    """
    announced = asked.header("content-length")
    if announced.isascii() and announced.isdigit() and int(announced) > limit:
        raise _too_large(limit)
    came = 0

    async def bounded() -> Any:
        nonlocal came
        message: Any = await receive()
        if message["type"] == "http.request":
            came += len(message.get("body", b""))
            if came > limit:
                raise _too_large(limit)
        return message

    return bounded


def _too_large(limit: int) -> HttpProblem:
    return HttpProblem(
        413,
        "payload_too_large",
        f"the body is larger than {limit} bytes",
        details={"limit": limit},
    )


def check_host(asked: Asked) -> None:
    """RFC 9112, 3.2: exactly one Host, or who is asked is not said. Raises: HttpProblem (400)."""
    if len(asked.headers.get("host", ())) != 1 and asked.scope.get("http_version") != "1.0":
        raise HttpProblem(400, "bad_request", "the request needs one Host header")


def check_origin(asked: Asked) -> None:
    """A browser shows a client certificate on behalf of any page; so a page of another origin may change
    nothing and open no WebSocket (CORS is off). Programs send no Origin. Raises: HttpProblem (403).
    """
    if asked.method in _SAFE_METHODS:
        return
    origin = asked.header("origin")
    if not origin and asked.header("sec-fetch-site") in ("", "same-origin", "none"):
        return
    if origin.partition("://")[2].lower() != asked.header("host").lower() or not origin:
        raise HttpProblem(403, "forbidden", "pages of another origin may not ask here")
