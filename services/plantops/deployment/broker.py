"""How everybody finds the site's broker and logs in."""

from __future__ import annotations

from collections.abc import Callable

from plantops.deployment.place import Place
from plantops.deployment.runtime_file import read_running
from plantops.flow.jetstream import JetStreamBus
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


async def connect(
    site: Place,
    name: str,
    key: NKey,
    *,
    on_fatal: Callable[[BrokerError], None] | None = None,
    wait: float = CONNECT_SECONDS,
) -> JetStreamBus:
    """Log in within `wait` seconds. Raises: BrokerUnavailable, SettingsError."""
    return await JetStreamBus.connect(broker_url(site), name, seed=key.seed, wait=wait, on_fatal=on_fatal)
