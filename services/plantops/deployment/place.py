"""What can be said of a site without its sources, its model and the libraries that those need."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from plantops.deployment.folder import SiteFolder
from plantops.deployment.settings import SiteSettings
from plantops.events.base import is_token
from plantops.runtime.errors import SettingsError
from plantops.runtime.settings import line_in, load_toml

SCHEMES = ("nats://", "tls://", "ws://", "wss://")
BROKER_URL = "PLANTOPS_BROKER_URL"
"""Where a container reaches the broker that the site file knows by its address on the host."""


@dataclass(frozen=True)
class Place:
    """A site's folder and its settings file."""

    folder: SiteFolder
    settings: SiteSettings

    @property
    def name(self) -> str:
        return self.settings.site


def load_place(root: Path, environment: Mapping[str, str] = os.environ) -> Place:
    """Read and check plantops.toml alone. Raises: SettingsError naming file, key and line."""
    folder = SiteFolder(root)
    if not folder.settings.exists():
        raise SettingsError(
            f"{folder.settings} does not exist: make a site with `plantops init {root}`", setting="folder"
        )
    settings = load_toml(folder.settings, SiteSettings)
    place = Place(folder, settings)
    if not is_token(settings.site):
        raise wrong(place, "site", f"is {settings.site!r}: use letters, digits, '-' and '_'")
    if not settings.sources:
        raise wrong(place, "sources", "names no source: add at least one, such as plc1 = 'sources/plc1.toml'")
    broker = settings.broker
    if broker.url and not broker.url.startswith(SCHEMES):
        raise wrong(place, "broker.url", f"is {broker.url!r}: write nats://host:port, or '' for our own")
    for key, port in (("broker.port", broker.port), ("broker.monitor_port", broker.monitor_port)):
        if not 0 <= port <= 65_535:
            raise wrong(place, key, f"is {port}: a port is 1 to 65535, or 0 for a free one")
    return _with_url_of(place, environment)


def _with_url_of(place: Place, environment: Mapping[str, str]) -> Place:
    url = environment.get(BROKER_URL, "")
    if not url:
        return place
    if not url.startswith(SCHEMES):
        raise SettingsError(f"{BROKER_URL} is {url!r}: write nats://host:port", setting=BROKER_URL)
    broker = msgspec.structs.replace(place.settings.broker, url=url)
    return Place(place.folder, msgspec.structs.replace(place.settings, broker=broker))


def wrong(place: Place, key: str, problem: str) -> SettingsError:
    """A mistake in plantops.toml, with its line."""
    line = line_in(place.folder.settings, tuple(key.split(".")))
    return SettingsError(f"{place.folder.settings}:{line}: {key} {problem}", setting=key)
