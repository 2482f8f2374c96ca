"""What can be said of a site without its sources, its model and the libraries that those need."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from plantops.deployment.folder import SiteFolder
from plantops.deployment.settings import SiteSettings
from plantops.deployment.variables import BROKER_URL, VARIABLES
from plantops.events.base import is_token
from plantops.runtime.errors import SettingsError
from plantops.runtime.settings import load_toml, where
from plantops.runtime.variables import Given

__all__ = ["BROKER_URL", "SCHEMES", "Place", "load_place", "wrong"]
SCHEMES = ("nats://", "tls://", "ws://", "wss://")


@dataclass(frozen=True)
class Place:
    """A site's folder and its settings; `given` is what the environment said of them."""

    folder: SiteFolder
    settings: SiteSettings
    given: tuple[Given, ...] = field(default=(), kw_only=True)

    @property
    def name(self) -> str:
        return self.settings.site


def load_place(root: Path, environment: Mapping[str, str] = os.environ) -> Place:
    """Read and check plantops.toml alone, with what the environment says instead.

    Raises: SettingsError naming file and line, or the variable, and key.
    """
    folder = SiteFolder(root)
    if not folder.settings.exists():
        raise SettingsError(
            f"{folder.settings} does not exist: make a site with `plantops init {root}`", setting="folder"
        )
    given = VARIABLES.given(environment)
    settings = load_toml(folder.settings, SiteSettings, given)
    place = Place(folder, settings, given=given)
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
    return place


def wrong(place: Place, key: str, problem: str) -> SettingsError:
    """A mistake in plantops.toml, with its line, or in the variable that says it instead."""
    said = where(place.folder.settings, tuple(key.split(".")), place.given)
    return SettingsError(f"{said}: {key} {problem}", setting=key)
