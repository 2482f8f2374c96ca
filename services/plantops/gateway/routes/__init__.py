"""The routes, one module for each part of the surface."""

from __future__ import annotations

from typing import Any, Final

from litestar import Router
from litestar.connection import ASGIConnection
from litestar.di import Provide
from litestar.handlers import BaseRouteHandler

from plantops.gateway.app import CALLER, unauthorized
from plantops.gateway.caller import Caller
from plantops.gateway.desk import Desk
from plantops.gateway.live import Live
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
    proved = [each for module in _MODULES if module is not delegate for each in module.HANDLERS]
    provided = {
        "live": Provide(lambda: shared, sync_to_thread=False, use_cache=True),
        "delegates": Provide(lambda: keys, sync_to_thread=False, use_cache=True),
    }
    schemes = ["bearer", "apiKey", "mutualTLS", *(["demoRoles"] if desk.settings.demo.enabled else [])]
    return (
        Router(
            path="/",
            route_handlers=proved,
            dependencies=provided,
            guards=[_has_caller],
            security=[{each: []} for each in schemes],
        ),
        Router(path="/", route_handlers=delegate.HANDLERS, dependencies=provided),
    )


def _has_caller(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
    """Raises: HttpProblem 401. The front has asked before; no route is open because it forgot to ask."""
    if not isinstance(connection.scope["state"].get(CALLER), Caller):
        raise unauthorized("no credentials: send a bearer token, an API key or a client certificate")
