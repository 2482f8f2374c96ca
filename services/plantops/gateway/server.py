"""The listening server of one worker: started on a socket, ended within seconds, in good order.

Ended means: no new connection, requests under way go on for `stop_seconds`, then they are answered 503 and
whatever is still open is cut. uvicorn's own handling of signals is not used: the process has one for all.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import uvicorn

from plantops.gateway.connection import connection_class
from plantops.gateway.settings import GatewaySettings, TlsSettings
from plantops.gateway.websocket import socket_class
from plantops.runtime.errors import SettingsError

BACKLOG: Final = 1024
WEBSOCKET_BYTES: Final = 65_536
CUT_SECONDS: Final = 0.3


class Listener(uvicorn.Server):
    """One worker's server; `run_until` is its whole life."""

    def __init__(self, app: Any, settings: GatewaySettings, tls: ssl.SSLContext | None) -> None:
        self.settings = settings
        self.is_listening = asyncio.Event()
        self._tls = tls
        super().__init__(
            uvicorn.Config(
                app,
                http=connection_class(settings.limits),
                ws=socket_class(settings.limits),
                ws_max_size=WEBSOCKET_BYTES,
                lifespan="on",
                log_config=None,
                access_log=False,
                proxy_headers=False,  # `identity.proxies` believes named ones only
                server_header=False,
                timeout_keep_alive=max(1, round(settings.limits.keep_alive_seconds)),
                timeout_graceful_shutdown=max(1, round(settings.stop_seconds)),
                ws_per_message_deflate=False,
            )
        )

    async def run_until(self, stopping: asyncio.Event, listening: socket.socket) -> None:
        """Serve until `stopping`, then end as the module says. Raises: SettingsError."""
        serving = asyncio.create_task(self._serve([listening]))
        told = asyncio.create_task(stopping.wait())
        try:
            await asyncio.wait([serving, told], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.should_exit = True
            told.cancel()
            await serving

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, with bounds on the TLS handshake too."""
        assert sockets is not None
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            raise SettingsError("the gateway's application did not start: see the log", setting="gateway")
        loop = asyncio.get_running_loop()
        seconds = self.settings.limits.header_seconds if self._tls else None
        shutdown = CUT_SECONDS if self._tls else None
        self.servers = [
            await loop.create_server(
                self._connection,
                sock=each,
                ssl=self._tls,
                backlog=BACKLOG,
                ssl_handshake_timeout=seconds,
                ssl_shutdown_timeout=shutdown,
            )
            for each in sockets
        ]
        self.started = True
        self.is_listening.set()

    def _connection(self) -> asyncio.Protocol:
        made: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's; afterwards nothing is left open and no task runs."""
        for server in self.servers:
            server.close()
        for each in sockets or []:
            each.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await self._until_idle(self.settings.stop_seconds)
        for task in list(self.server_state.tasks):
            task.cancel()
        await self._until_idle(CUT_SECONDS)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await self.lifespan.shutdown()

    async def _until_idle(self, seconds: float) -> None:
        deadline = asyncio.get_running_loop().time() + seconds
        state = self.server_state
        # uvicorn tells nobody when a connection ends.
        while (state.connections or state.tasks) and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def listening_socket(settings: GatewaySettings) -> socket.socket:
    """Bound and not yet listening. With several workers each has one on the same port, and the kernel deals
    the connections out (SO_REUSEPORT). Raises: SettingsError.
    """
    if settings.workers > 1 and settings.port == 0:
        raise SettingsError("several workers need one port: set it", setting="gateway.port")
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # asyncio sets TCP_NODELAY only where the protocol is named: without it every answer waits 40 ms for an
    # acknowledgement that the other side delays.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if settings.workers > 1:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind((settings.host, settings.port))
    except OSError as error:
        made.close()
        raise SettingsError(
            f"cannot listen on {settings.host}:{settings.port} ({error.strerror}): is it taken already?",
            setting="gateway.port",
        ) from error
    made.setblocking(False)
    return made


def tls_context(settings: TlsSettings, folder: Path) -> ssl.SSLContext:
    """TLS 1.2 or newer; certificates of clients are asked for where their authorities are named.

    Raises: SettingsError for files that cannot be used.
    """
    if settings.required and not settings.clients:
        raise SettingsError("name the authorities of the client certificates", setting="gateway.tls.clients")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(folder / settings.certificate, folder / settings.key)
        if settings.clients:
            context.load_verify_locations(folder / settings.clients)
            context.verify_mode = ssl.CERT_REQUIRED if settings.required else ssl.CERT_OPTIONAL
            context.verify_flags |= ssl.VERIFY_X509_STRICT
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(
            f"TLS files {settings.certificate!r}, {settings.key!r}, {settings.clients!r}: {error}",
            setting="gateway.tls",
        ) from error
    return context


def addresses(sockets: Sequence[socket.socket]) -> tuple[str, int]:
    """Host and port of the first one, as they are bound."""
    name = sockets[0].getsockname()
    return str(name[0]), int(name[1])
