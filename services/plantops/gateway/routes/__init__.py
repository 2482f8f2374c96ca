"""The routes, one module for each part of the surface."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from litestar import Response, Router, route
from litestar.connection import ASGIConnection
from litestar.di import Provide
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler, WebsocketRouteHandler

from plantops.gateway.app import CALLER, unauthorized
from plantops.gateway.caller import Caller
from plantops.gateway.desk import Desk
from plantops.gateway.live import Live
from plantops.gateway.naming import Names
from plantops.gateway.routes import (
    approvals,
    audit,
    chat,
    commands,
    delegate,
    events,
    history,
    peer_chat,
    peer_tasks,
    tools,
    twin,
)
from plantops.gateway.routes.delegate import Delegates
from plantops.gateway.settings import GatewaySettings

_MODULES = (
    peer_chat,
    peer_tasks,
    commands,
    approvals,
    twin,
    history,
    tools,
    audit,
    chat,
    events,
    delegate,
)


OPEN_PREFIXES: Final = ("/delegate/",)
"""Paths that prove themselves who asks: the front lets them pass."""


def routes(desk: Desk, live: Live | None = None, delegates: Delegates | None = None) -> tuple[Router, ...]:
    """Every route but health, readiness and metrics, for one worker.

    `live` is shared by all its clients; `delegates` are the keys of those who delegate operations to us.
    """
    shared, keys = live or Live(desk), delegates or Delegates.of({})
    names = Names.of(desk.plant)
    proved = [each for module in _MODULES if module is not delegate for each in module.HANDLERS]
    provided = {
        "live": Provide(lambda: shared, sync_to_thread=False, use_cache=True),
        "plain_names": Provide(lambda: names, sync_to_thread=False, use_cache=True),
        "delegates": Provide(lambda: keys, sync_to_thread=False, use_cache=True),
    }
    return (
        Router(
            path="/",
            route_handlers=[*_options(proved), *proved],
            dependencies=provided,
            guards=[_has_caller],
            security=[{each: []} for each in _schemes(desk.settings)],
        ),
        Router(path="/", route_handlers=delegate.HANDLERS, dependencies=provided),
    )


def _options(handlers: Sequence[HTTPRouteHandler | WebsocketRouteHandler]) -> list[HTTPRouteHandler]:
    """An answer to OPTIONS for each address with several handlers: the framework's own knows the methods of
    the first of them only (RFC 9110, 9.3.7 and 10.2.1)."""
    methods: dict[str, set[str]] = {}
    for handler in handlers:
        if isinstance(handler, HTTPRouteHandler):
            for path in handler.paths:
                methods.setdefault(path, {"OPTIONS"}).update(map(str, handler.http_methods))
    return [_options_of(path, sorted(found)) for path, found in methods.items() if len(found) > 2]


def _options_of(path: str, methods: list[str]) -> HTTPRouteHandler:
    async def tell() -> Response[None]:
        return Response(None, status_code=204, headers={"Allow": ", ".join(methods)})

    return route(path, http_method=["OPTIONS"], status_code=204, include_in_schema=False)(tell)


def _schemes(settings: GatewaySettings) -> list[str]:
    """By what a caller can prove himself here, as the document names it."""
    is_by_certificate = settings.tls is not None and settings.tls.clients
    taken = {
        "bearer": settings.jwt is not None,
        "apiKey": settings.api_keys.enabled,
        "mutualTLS": is_by_certificate or settings.proxy is not None,
        "demoRoles": settings.demo.enabled,
    }
    return [name for name, is_taken in taken.items() if is_taken]


def _has_caller(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
    """Raises: HttpProblem 401. The front has asked before; no route is open because it forgot to ask."""
    if not isinstance(connection.scope["state"].get(CALLER), Caller):
        raise unauthorized("no credentials: send a bearer token, an API key or a client certificate")
