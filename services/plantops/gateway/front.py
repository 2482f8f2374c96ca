"""What stands before every route: who asks, how much, and one way to answer, whatever happens behind it.

Plain ASGI around the application, so that also what the framework refuses by itself (404, 405, 413, a body
that is no JSON) leaves with a request id, the security headers and our error envelope.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

import structlog
from litestar.types import ASGIApp, Receive, Scope, Send

from plantops.gateway.answers import Answer, send_problem
from plantops.gateway.app import CALLER, told
from plantops.gateway.caller import Caller
from plantops.gateway.connection import CERTIFICATE
from plantops.gateway.desk import Desk
from plantops.gateway.identity.authenticator import Authenticator
from plantops.gateway.identity.credentials import Credentials, Unproved, headers_of
from plantops.gateway.limits import Limits
from plantops.gateway.metrics import Metrics
from plantops.gateway.problems import HttpProblem, rate_limited
from plantops.gateway.requests import REQUEST_ID, Asked, check_body_size, check_host, check_origin, request_id
from plantops.gateway.streams import Held
from plantops.gateway.tracing import traced
from plantops.runtime.tracing import current

log = structlog.get_logger("plantops.gateway")

HttpScope: TypeAlias = Any

OPEN_PATHS: Final = frozenset(("/health", "/ready", "/openapi.json"))
"""What anybody may ask: it tells nothing of the plant."""

PROVING_PREFIXES: Final = ("/delegate/",)
"""What proves by itself who asks, for each request anew: operations that an AAS server delegates here."""

STOP_PATHS: Final = frozenset(("/v1/commands",))
"""Where a stop may come in, which no limit of the caller holds up: the desk tells it from the rest."""


@dataclass(frozen=True)
class Front:
    """The whole application as the server calls it. `open_prefixes` prove by themselves who asks."""

    app: ASGIApp
    desk: Desk
    authenticator: Authenticator
    limits: Limits
    metrics: Metrics
    open_prefixes: tuple[str, ...] = ()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI 3."""
        if scope["type"] in ("http", "websocket"):
            await self._serve(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _serve(self, scope: HttpScope, receive: Receive, send: Send) -> None:
        asked = Asked(scope, headers_of(scope["headers"]))
        name = request_id(asked.headers)
        scope.setdefault("state", {})[REQUEST_ID] = name
        answer = Answer(scope, send, name, self.desk.stopping)
        began = time.monotonic()
        bound = structlog.contextvars.bound_contextvars(request=name)
        held = Held(self.limits.streams, self.metrics.refused)
        held.put_into(scope["state"])
        with bound, held, self.metrics.in_flight(), traced(asked) as span:
            trace = current().split("-")[1]
            await self._run(asked, receive, answer)
            span.end(answer.route, answer.status, name)
        self.metrics.done(asked.method, answer.route, answer.status, time.monotonic() - began)
        caller = scope["state"].get(CALLER)
        log.info(
            "request.done",
            request=name,
            trace=trace,
            method=asked.method,
            route=answer.route,
            status=answer.status,
            caller=caller.name if isinstance(caller, Caller) else "",
            how=caller.how if isinstance(caller, Caller) else "",
            milliseconds=round((time.monotonic() - began) * 1000, 1),
        )

    async def _run(self, asked: Asked, receive: Receive, answer: Answer) -> None:
        try:
            await self._let_in(asked)
            limit = self.desk.settings.limits.body_bytes
            await self.app(asked.scope, check_body_size(asked, receive, limit), answer.send)
            await answer.finish()
        except asyncio.CancelledError:
            if not self.desk.stopping.is_set():
                raise
            # The server ends and waits no longer: whoever asked is told so, and the task ends as asked.
            await send_problem(answer, _shutting_down())
        except Exception as error:
            await send_problem(answer, told(error))

    async def _let_in(self, asked: Asked) -> None:
        """Put the caller into the scope. Raises: HttpProblem."""
        if self.desk.stopping.is_set():
            raise _shutting_down()
        credentials = Credentials(asked.peer, asked.headers, asked.scope["state"].get(CERTIFICATE))
        address = self.authenticator.address(credentials)
        if wait := self.limits.of_address(address):
            self.metrics.refused("address_limit")
            raise rate_limited(wait)
        check_host(asked)
        check_origin(asked)
        if self._is_open(asked.path):
            return
        caller = await self._caller(asked, credentials, address)
        if wait := self.limits.of_caller(caller.name):
            self.metrics.refused("caller_limit")
            if asked.path not in STOP_PATHS or asked.method != "POST":
                raise rate_limited(wait)
            caller = replace(caller, over_limit=wait)
        asked.scope["state"][CALLER] = caller

    def _is_open(self, path: str) -> bool:
        if path == "/metrics":
            return self.desk.settings.metrics == "anybody"
        return path in OPEN_PATHS or path.startswith(self.open_prefixes)

    async def _caller(self, asked: Asked, credentials: Credentials, address: str) -> Caller:
        name = asked.scope["state"][REQUEST_ID]
        try:
            return await self.authenticator.caller(credentials, self.desk.policy, self.desk.name, name)
        except Unproved as error:
            self.metrics.refused(error.kind)
            if error.kind != "none":
                if wait := self.limits.of_refused(address):
                    raise rate_limited(wait) from error  # and nothing in the log: that is bounded too
                log.warning("caller.unproved", kind=error.kind, address=address, reason=str(error))
            raise
        except HttpProblem as error:
            if error.status == 403:
                self.metrics.refused("unknown_principal")
                log.warning("caller.unknown", address=address, reason=str(error))
            raise


def _shutting_down() -> HttpProblem:
    return HttpProblem(
        503, "server_shutting_down", "the gateway is stopping: ask again", headers={"Retry-After": "1"}
    )
