"""One HTTP connection: uvicorn's, with the peer's certificate told to the application and slow peers ended.

uvicorn 0.54 bounds neither the time nor the size of a request's head, and does not put the certificate into
the scope. Each connection has an `app_state` that becomes the scope's `state`, for HTTP and WebSocket alike:
there the certificate of this very connection stands, out of reach of any header.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any, Final

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from plantops.gateway.identity.credentials import PeerCertificate
from plantops.gateway.problems import HttpProblem
from plantops.gateway.settings import LimitSettings

CERTIFICATE: Final = "peer_certificate"
"""Where the `PeerCertificate` stands in the ASGI scope's `state`."""

MAX_HEADERS: Final = 100
LINGER_SECONDS: Final = 0.5

_TOO_SLOW: Final = HttpProblem(408, "bad_request", "the request did not arrive in time")
_TOO_LARGE: Final = HttpProblem(431, "bad_request", "the head of the request is too large")
_TOO_MANY: Final = HttpProblem(
    503, "server_not_ready", "too many connections: try again", headers={"Retry-After": "1"}
)
_MALFORMED: Final = HttpProblem(400, "bad_request", "this is no HTTP request")


def connection_class(limits: LimitSettings) -> type[HttpToolsProtocol]:
    """The class of connections with these limits: uvicorn makes them itself and passes nothing of ours on."""
    return type("LimitedConnection", (Connection,), {"limits": limits})


class Connection(HttpToolsProtocol):
    """See the module. A request that is too slow or too large is answered, and the connection ends."""

    limits: LimitSettings = LimitSettings()

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._timer: asyncio.TimerHandle | None = None
        self._stuck: asyncio.TimerHandle | None = None
        self._in_head = True
        self._head_bytes = 0
        self._is_over = False

    # What the transport says

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Also the end, where there are too many already."""
        super().connection_made(transport)
        found = transport.get_extra_info("ssl_object")
        if isinstance(found, ssl.SSLObject) and (der := found.getpeercert(binary_form=True)):
            self.app_state = {**self.app_state, CERTIFICATE: PeerCertificate(der)}
        if len(self.connections) > self.limits.connections:
            self._refuse(_TOO_MANY)
            return
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing of it stays."""
        self._is_over = True
        self._clear()
        self._unstick()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes after the end are not looked at."""
        if self._is_over:
            return
        if self._in_head:
            if self._head_bytes == 0 and self._timer is None:
                self._expect_head()
            self._head_bytes += len(data)
        super().data_received(data)
        # What came with the head may be body; only a head that is not complete yet is measured by it.
        if self._in_head and self._head_bytes > self.limits.header_bytes:
            self._refuse(_TOO_LARGE)

    def pause_writing(self) -> None:
        """Who does not read what he asked for is not waited for."""
        super().pause_writing()
        self._unstick()
        self._stuck = self.loop.call_later(self.limits.body_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """He reads again."""
        self._unstick()
        super().resume_writing()

    # What the parser says

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True

    def on_headers_complete(self) -> None:
        if self._is_over:
            return
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        self._in_head, self._head_bytes = False, 0
        if size > self.limits.header_bytes or len(self.headers) > MAX_HEADERS:
            self._refuse(_TOO_LARGE)
            return
        self._clear()
        self._timer = self.loop.call_later(self.limits.body_seconds, self._is_late)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self._is_over:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._clear()
        self._in_head = True
        if not self._is_over:
            super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """From here on the connection belongs to the WebSocket's own protocol."""
        self._clear()
        self._unstick()
        if not self._is_over:
            super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        """In our envelope, unless it was refused for another reason already."""
        if not self._is_over:
            self._refuse(_MALFORMED)

    def _expect_head(self) -> None:
        self._clear()
        self._timer = self.loop.call_later(self.limits.header_seconds, self._is_late)

    def _is_late(self) -> None:
        is_answered = self.cycle is not None and self.cycle.response_complete
        if self._head_bytes or not (self._in_head or is_answered):
            self._refuse(_TOO_SLOW)
        else:
            self.transport.close()  # it never began, or nobody waits for what still comes

    def _refuse(self, problem: HttpProblem) -> None:
        """Answer, unless an answer is under way on this connection, and end it."""
        self._is_over = True
        self._clear()
        if self.cycle is not None and not self.cycle.response_complete:
            if self.cycle.response_started or self.pipeline:
                self.transport.abort()
                return
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.write(response_bytes(problem))
        # To close with bytes unread resets the connection, and the answer may be lost (RFC 9112, 9.6).
        self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def _clear(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _unstick(self) -> None:
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None


def response_bytes(problem: HttpProblem) -> bytes:
    """A whole answer for where no application is asked."""
    body = problem.body()
    head = [STATUS_LINE[problem.status], b"content-type: application/json\r\n"]
    head.append(b"content-length: %d\r\nconnection: close\r\nx-content-type-options: nosniff\r\n" % len(body))
    head += [f"{name}: {value}\r\n".encode() for name, value in problem.headers.items()]
    return b"".join([*head, b"\r\n", body])
