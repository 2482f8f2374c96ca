"""How everybody finds the site's broker and logs in."""

from __future__ import annotations

from collections.abc import Callable
from ssl import SSLContext

from plantops.deployment.place import Place
from plantops.deployment.runtime_file import read_running
from plantops.flow.jetstream import JetStreamBus
from plantops.flow.tls import client_context
from plantops.runtime.errors import BrokerError, SettingsError
from plantops.runtime.nkey import NKey

CONNECT_SECONDS = 30.0


def broker_url(site: Place) -> str:
    """Where the site's broker is. Raises: SettingsError when none is known."""
    if site.settings.broker.url:
        return site.settings.broker.url
    running = read_running(site.folder)
    if running is None:
        raise SettingsError(
            f"nothing runs in {site.folder.root}: start it with `plantops up --folder {site.folder.root}`"
        )
    return running.url


def broker_tls(site: Place, url: str) -> SSLContext | None:
    """Whom to trust as the broker at `url`. Raises: SettingsError when `broker.ca` cannot be used."""
    ca = site.settings.broker.ca
    return client_context(url, site.folder.root / ca if ca else None)


async def connect(
    site: Place,
    name: str,
    key: NKey,
    *,
    on_fatal: Callable[[BrokerError], None] | None = None,
    wait: float = CONNECT_SECONDS,
    url: str = "",
) -> JetStreamBus:
    """Log in within `wait` seconds at `url`, or where the site says.

    Raises: BrokerUnavailable, SettingsError.
    """
    url = url or broker_url(site)
    return await JetStreamBus.connect(
        url, name, seed=key.seed, wait=wait, on_fatal=on_fatal, tls=broker_tls(site, url)
    )
