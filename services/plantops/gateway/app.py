"""The HTTP application: routes behind the front, with one way to say what went wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import structlog
from litestar import Litestar, Request, Response, get
from litestar.config.app import AppConfig
from litestar.di import Provide
from litestar.exceptions import (
    HTTPException,
    MethodNotAllowedException,
    NotFoundException,
    SerializationException,
    ValidationException,
)
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import Components, Reference, SecurityScheme
from litestar.types import ControllerRouterHandler

from plantops.gateway.caller import Caller
from plantops.gateway.desk import Desk
from plantops.gateway.openapi import rendered
from plantops.gateway.problems import ErrorBody, HttpProblem, problem_of
from plantops.runtime.errors import PlantOpsError

log = structlog.get_logger("plantops.gateway")

CALLER: Final = "caller"
"""Where the front leaves the `Caller` in the ASGI scope's `state`."""

_MISSING: Final = "missing required field `"


def create_app(desk: Desk, routes: Sequence[ControllerRouterHandler], version: str = "1") -> Litestar:
    """The application without its front (`front.Front`), which says who asks.

    A route takes `desk: Desk` and `caller: Caller` as arguments; the latter answers 401 where nobody is told.
    It raises `HttpProblem`, or lets errors of ours pass.
    """
    return Litestar(
        route_handlers=[openapi_json, *routes],
        on_app_init=[_quiet],
        dependencies={
            "desk": Provide(lambda: desk, sync_to_thread=False, use_cache=True),
            "caller": Provide(caller_of, sync_to_thread=False),
        },
        exception_handlers={
            HttpProblem: _answer,
            PlantOpsError: _answer,
            HTTPException: _answer,
            500: _answer,
        },
        openapi_config=OpenAPIConfig(
            title="PlantOps",
            version=version,
            path="/openapi",
            components=Components(security_schemes=_SCHEMES),
            use_handler_docstrings=True,
        ),
        request_max_body_size=desk.settings.limits.body_bytes,
        signature_types=[Caller, Desk],
        debug=False,
    )


_SCHEMES: Final[dict[str, SecurityScheme | Reference]] = {
    "bearer": SecurityScheme(type="http", scheme="bearer", bearer_format="JWT"),
    "apiKey": SecurityScheme(type="apiKey", name="X-API-Key", security_scheme_in="header"),
    "mutualTLS": SecurityScheme(type="mutualTLS"),
    "demoRoles": SecurityScheme(
        type="apiKey", name="X-Roles", security_scheme_in="header", description="In a demo only."
    ),
}


@get("/openapi.json", include_in_schema=False, sync_to_thread=False)
def openapi_json(request: Request[Any, Any, Any]) -> Response[bytes]:
    """What this gateway answers, as OpenAPI 3.1, made from the routes themselves."""
    return Response(rendered(request.app), media_type="application/json")


def caller_of(request: Request[Any, Any, Any]) -> Caller:
    """Who asks. Raises: HttpProblem (401)."""
    found = request.scope["state"].get(CALLER)
    if not isinstance(found, Caller):
        raise unauthorized("no credentials: send a bearer token, an API key or a client certificate")
    return found


def unauthorized(message: str) -> HttpProblem:
    """401, with the challenge that RFC 9110 (11.6.1) wants there."""
    return HttpProblem(401, "unauthorized", message, headers={"WWW-Authenticate": 'Bearer realm="plantops"'})


def _quiet(config: AppConfig) -> AppConfig:
    config.logging_config = None  # structured logs are the front's
    return config


def _answer(_request: Request[Any, Any, Any], error: Exception) -> Response[ErrorBody]:
    problem = told(error)
    return Response(
        ErrorBody(problem.detail),
        status_code=problem.status,
        headers=problem.headers,
        media_type="application/json",
    )


def told(error: Exception) -> HttpProblem:
    """Any error as an answer; what nobody foresaw is logged, and told without what is inside."""
    match error:
        case HttpProblem():
            return error
        case PlantOpsError():
            return problem_of(error)
        case NotFoundException():
            return HttpProblem(404, "not_found", "there is nothing at this address")
        case MethodNotAllowedException():
            headers = {str(name): str(value) for name, value in (error.headers or {}).items()}
            return HttpProblem(405, "method_not_allowed", "this address takes other methods", headers=headers)
        case ValidationException():
            return _invalid(error)
        case HTTPException() if error.status_code < 500:
            return _client_error(error)
        case _:
            log.error("request.failed", exc_info=error)
            return HttpProblem(500, "operation_failed", "an error of the gateway; its log says more")


def _invalid(error: ValidationException) -> HttpProblem:
    extra = [each for each in error.extra if isinstance(each, dict)] if isinstance(error.extra, list) else []
    cause = error.__cause__
    if isinstance(cause, SerializationException) and not extra:
        return HttpProblem(400, "invalid_json", "the body is no JSON")
    for each in extra:
        message = str(each.get("message", ""))
        if _MISSING in message:
            field = message.split("`")[1]
            return HttpProblem(
                400, "missing_field", f"the field {field!r} is missing", details={"field": field}
            )
    return HttpProblem(400, "bad_request", error.detail, details={"problems": extra} if extra else None)


def _client_error(error: HTTPException) -> HttpProblem:
    if isinstance(error.__cause__, SerializationException):
        return HttpProblem(400, "invalid_json", "the body is no JSON")
    codes = {401: "unauthorized", 403: "forbidden", 404: "not_found", 413: "payload_too_large"}
    code = codes.get(error.status_code, "bad_request")
    return HttpProblem(error.status_code, code, error.detail)


__all__ = ["CALLER", "caller_of", "create_app", "told", "unauthorized"]
