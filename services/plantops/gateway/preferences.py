"""What a request says beside its body: how long to wait, by which key, from which page."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, TypeAlias

from litestar import Request
from litestar.params import HeaderParameter, PathParameter, QueryParameter

from plantops.gateway.problems import HttpProblem

AnyRequest: TypeAlias = Request[Any, Any, Any]

MAX_WAIT: Final = 30.0
_PREFER: Final = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,4})\"?")
_CURSOR: Final = re.compile(r"\d{1,9}")

Wait: TypeAlias = Annotated[
    float,
    QueryParameter(
        name="wait",
        ge=0,
        le=30,
        description="Seconds to hold the answer back until it rests; 0: as `Prefer: wait=N` says.",
    ),
]
Limit: TypeAlias = Annotated[
    int, QueryParameter(name="limit", ge=1, le=1000, description="How many at most.")
]
Cursor: TypeAlias = Annotated[
    str, QueryParameter(name="cursor", max_length=2000, description="`next` of the page before.")
]
Place: TypeAlias = Annotated[
    str,
    QueryParameter(
        name="cursor", pattern=r"^[0-9]{0,9}$", max_length=9, description="`next` of the page before."
    ),
]
KeyHeader: TypeAlias = Annotated[
    str,
    HeaderParameter(
        name="Idempotency-Key",
        pattern=r"^[!-~]{0,128}$",
        max_length=128,
        description="The same key with the same words is the same command, however often it is sent.",
    ),
]
CommandName: TypeAlias = Annotated[
    str,
    PathParameter(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$",
        max_length=64,
        description="Identity or handle (c12) of a command.",
    ),
]


def wait_seconds(request: AnyRequest, wait: float) -> float:
    """`?wait=`, else `Prefer: wait=N` (RFC 7240, 4.3), at most 30; 0 when neither is there."""
    if wait:
        return min(wait, MAX_WAIT)
    found = _PREFER.search(request.headers.get("prefer", ""))
    return min(float(found[1]), MAX_WAIT) if found else 0.0


def key_of(header: str, key: str | None) -> str:
    """The idempotency key of header or body; "" where there is none. Raises: HttpProblem when they differ."""
    if header and key and header != key:
        raise HttpProblem(409, "conflict", "the header Idempotency-Key and `key` differ: send one of them")
    return header or key or ""


def place_in_list(cursor: str) -> int:
    """A cursor of ours that counts. Raises: HttpProblem."""
    if not cursor:
        return 0
    if _CURSOR.fullmatch(cursor) is None:
        raise HttpProblem(400, "bad_request", "this is no cursor: take `next` of the page before")
    return int(cursor)
