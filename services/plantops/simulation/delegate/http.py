"""As much of HTTP/1.1 (RFC 9112) as a delegate needs: one request to a connection, bodies with a length."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

MAX_HEAD_BYTES = 16 * 1024
MAX_BODY_BYTES = 64 * 1024


class BadRequest(Exception):
    """The bytes are no request that is taken here; the text is for the client."""


@dataclass(frozen=True)
class Request:
    """`target` as it stands in the request line; header names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]


@dataclass(frozen=True)
class Response:
    """What goes back; the length is added when it is written."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    def encode(self) -> bytes:
        """The bytes on the wire."""
        headers = {
            "Content-Type": "application/json",
            "Content-Length": str(len(self.body)),
            "Connection": "close",
            **self.headers,
        }
        lines = [f"HTTP/1.1 {self.status} ", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + self.body


async def read_request(reader: asyncio.StreamReader) -> Request:
    """The next request. Raises: BadRequest, OSError or EOFError when the client is gone."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError as error:
        raise BadRequest("the head is too long") from error
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or words[2] != "HTTP/1.1":
        raise BadRequest("that is no HTTP/1.1 request")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or name.lower() in headers:
            raise BadRequest(f"the header {name!r} is malformed or stands twice")
        headers[name.lower()] = value.strip(" \t")
    length = headers.get("content-length", "0")
    if (
        not (length.isascii() and length.isdigit())
        or int(length) > MAX_BODY_BYTES
        or "transfer-encoding" in headers
    ):
        raise BadRequest(f"a body has a length, at most {MAX_BODY_BYTES}")
    return Request(words[0], words[1], headers, await reader.readexactly(int(length)))
