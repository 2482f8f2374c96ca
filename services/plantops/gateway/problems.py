"""What went wrong, as HTTP tells it: one envelope, `{"error": {"code", "message", "details"?}}`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from plantops.runtime.errors import (
    BrokerError,
    PlantOpsError,
    Refused,
    StorageError,
    TrustError,
)


class ErrorDetail(msgspec.Struct, frozen=True, omit_defaults=True):
    """`code` is stable for programs, `message` says what happened and what to do next."""

    code: str
    message: str
    details: dict[str, Any] = {}


class ErrorBody(msgspec.Struct, frozen=True):
    """The body of every answer that is no success."""

    error: ErrorDetail


class HttpProblem(Exception):
    """Raise it in a route: it becomes the answer."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.detail = ErrorDetail(code, message, dict(details or {}))
        self.headers = dict(headers or {})

    def body(self) -> bytes:
        """The envelope's bytes."""
        return msgspec.json.encode(ErrorBody(self.detail))


RETRY_SECONDS: Final = "1"

# Reasons of `Refused` that are no plain 400: the door's, the services' and the tools'.
_STATUS: Final[Mapping[str, tuple[int, str]]] = {
    "not_authorised": (403, "forbidden"),
    "not_the_login": (403, "forbidden"),
    "not_trusted": (403, "forbidden"),
    "unknown_login": (403, "forbidden"),
    "forbidden": (403, "forbidden"),
    "unknown_command": (404, "not_found"),
    "unknown_tool": (404, "not_found"),
    "unknown_conversation": (404, "not_found"),
    "unknown_turn": (404, "not_found"),
    "not_found": (404, "not_found"),
    "not_waiting": (404, "not_found"),
    "key_conflict": (409, "conflict"),
    "conflict": (409, "conflict"),
    "catalogue_changed": (409, "conflict"),
    "too_large": (413, "payload_too_large"),
    "over_budget": (429, "rate_limited"),
    "busy": (429, "rate_limited"),
    "overrun": (429, "rate_limited"),
    "unavailable": (503, "server_not_ready"),
    "no_policy": (503, "server_not_ready"),
    "late": (504, "operation_failed"),
}


def problem_of(error: PlantOpsError) -> HttpProblem:
    """The answer to an error of ours; `details.reason` keeps the door's own word."""
    match error:
        case Refused():
            status, code = _STATUS.get(error.reason, (400, "bad_request"))
            headers = {"Retry-After": RETRY_SECONDS} if status in (429, 503) else {}
            return HttpProblem(status, code, error.message, details={"reason": error.reason}, headers=headers)
        case BrokerError():
            message = f"{error.message}; whether it was done is not known where it was asked for"
            return HttpProblem(503, "server_not_ready", message, headers={"Retry-After": RETRY_SECONDS})
        case TrustError() | StorageError():
            return HttpProblem(503, "server_not_ready", error.message, headers={"Retry-After": RETRY_SECONDS})
        case _:
            return HttpProblem(500, "operation_failed", error.message)


def not_found(what: str, name: str) -> HttpProblem:
    """404 for something that has a name."""
    return HttpProblem(404, "not_found", f"there is no {what} {name!r}")


def rate_limited(seconds: float) -> HttpProblem:
    """429, with when to come again (RFC 6585, 4)."""
    wait = max(1, math.ceil(seconds))
    return HttpProblem(
        429,
        "rate_limited",
        f"too many requests: try again in {wait} s",
        details={"retry_after": wait},
        headers={"Retry-After": str(wait)},
    )
