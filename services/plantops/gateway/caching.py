"""Answers that a client may keep until they change (RFC 9110, 13)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from litestar import Response

from plantops.gateway.bodies import AnyRequest

JSON: Final = "application/json"


def conditional(
    request: AnyRequest, told: msgspec.Struct, headers: Mapping[str, str] | None = None
) -> Response[Any]:
    """200 with an `ETag` over the exact bytes, or 304 when the client has just these."""
    data = msgspec.json.encode(told)
    return conditional_bytes(request, data, JSON, {"Cache-Control": "no-cache", **(headers or {})})


def conditional_bytes(
    request: AnyRequest, data: bytes, media_type: str, headers: Mapping[str, str]
) -> Response[Any]:
    """As `conditional`, for bytes as they are."""
    tag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    complete = {**headers, "ETag": tag}
    wanted = {each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")}
    if tag in wanted or "*" in wanted:
        return Response(None, status_code=304, headers=complete)
    return Response(data, media_type=media_type, headers=complete)
