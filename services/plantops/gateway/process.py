"""The gateway as a process: one worker, its connection, its listening socket, and its end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from litestar.types import ControllerRouterHandler

from plantops.gateway.app import create_app
from plantops.gateway.desk import Desk
from plantops.gateway.front import PROVING_PREFIXES, Front
from plantops.gateway.health import health_routes
from plantops.gateway.identity.authenticator import Authenticator
from plantops.gateway.limits import Limits
from plantops.gateway.metrics import Metrics
from plantops.gateway.server import Listener, addresses, listening_socket, tls_context
from plantops.runtime.errors import SettingsError
from plantops.runtime.http_signing import SigningKey as HmacKey
from plantops.runtime.secrets import Secret

log = structlog.get_logger("plantops.gateway")


def no_secrets(reference: str) -> Secret:
    """Where there is no store. Raises: SettingsError."""
    raise SettingsError(f"{reference!r} refers to a secret, and there is no store here", setting=reference)


@dataclass(frozen=True)
class Place:
    """Where a worker finds its files and its fellows.

    `folder` is the site's: paths in the settings are relative to it. `shared` belongs to all workers of this
    machine (rate limits, metrics). `worker` counts from 1; no two at the same time have the same number.
    `resolve` gives the secret that a setting refers to.
    """

    folder: Path
    shared: Path
    worker: int = 1
    resolve: Callable[[str], Secret] = no_secrets


@dataclass
class Served:
    """Told once a worker takes connections."""

    host: str = ""
    port: int = 0
    ready: Callable[[], None] = field(default=lambda: None)


def all_routes(desk: Desk, place: Place) -> Sequence[ControllerRouterHandler]:
    """Everything that the gateway offers, but for what tells of itself. Raises: SettingsError."""
    # What tests the frame does not need them.
    from plantops.gateway.routes import routes  # noqa: PLC0415
    from plantops.gateway.routes.delegate import Delegates  # noqa: PLC0415

    keys = {
        name: (HmacKey(name, place.resolve(each.secret)), each.principal)
        for name, each in desk.settings.delegates.items()
    }
    return routes(desk, delegates=Delegates.of(keys))


async def run_gateway(
    desk: Desk,
    place: Place,
    served: Served | None = None,
    handlers: Callable[[Desk, Place], Sequence[ControllerRouterHandler]] = all_routes,
) -> None:
    """Serve until `desk.stopping` is set, or this is cancelled; then end within 4 seconds, in good order.

    Requests under way may take `stop_seconds` to finish and are answered 503 then; streams of events are told
    good-bye. The desk's connection stays open. Raises: SettingsError for settings that cannot be used.
    """
    settings, told = desk.settings, served or Served()
    authenticator = Authenticator.read(settings, desk.site, place.folder)
    tls = tls_context(settings.tls, place.folder) if settings.tls else None
    limits = Limits.open(settings.limits, place.shared)
    listening = listening_socket(settings)
    try:
        metrics = Metrics(place.shared / "metrics" if settings.workers > 1 else None, place.worker)
        app = create_app(desk, (*health_routes(desk, metrics), *handlers(desk, place)))
        front = Front(app, desk, authenticator, limits, metrics, open_prefixes=PROVING_PREFIXES)
        told.host, told.port = addresses([listening])
        await _serve(Listener(front, settings, tls), desk, listening, told)
    finally:
        listening.close()
        limits.close()


async def _serve(listener: Listener, desk: Desk, listening: socket.socket, told: Served) -> None:
    serving = asyncio.create_task(listener.run_until(desk.stopping, listening))
    started = asyncio.create_task(listener.is_listening.wait())
    try:
        await asyncio.wait([serving, started], return_when=asyncio.FIRST_COMPLETED)
        if started.done():
            scheme = "https" if desk.settings.tls else "http"
            log.info("gateway.listening", address=f"{scheme}://{told.host}:{told.port}")
            told.ready()
        await asyncio.shield(serving)
    finally:
        started.cancel()
        desk.stopping.set()
        await serving
    log.info("gateway.stopped")
