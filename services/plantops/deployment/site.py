"""A site as its folder describes it: settings, sources, model and trust root, read and checked once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from plantops.adapters.contract import AdapterSpec, SourceSettings
from plantops.adapters.definition import definition_of
from plantops.adapters.registry import adapter
from plantops.deployment.folder import SiteFolder
from plantops.deployment.settings import SiteSettings
from plantops.events.base import is_token
from plantops.events.tags import SourceDefined
from plantops.model.load import Plant, load_model
from plantops.runtime.errors import SettingsError
from plantops.runtime.settings import load_toml


@dataclass(frozen=True, slots=True)
class Source:
    """One source file, checked: settings, adapter, the adapter's own settings, definition."""

    name: str
    settings: SourceSettings
    adapter: AdapterSpec
    connection: Mapping[str, Any]
    definition: SourceDefined


@dataclass(frozen=True, slots=True)
class Site:
    """Everything that the site folder says, without any key."""

    folder: SiteFolder
    settings: SiteSettings
    sources: Mapping[str, Source]
    plant: Plant

    @property
    def name(self) -> str:
        return self.settings.site


def load_site(root: Path) -> Site:
    """Read and check a site folder. Raises: SettingsError naming file, key and line of the first mistake."""
    folder = SiteFolder(root)
    if not folder.settings.exists():
        raise SettingsError(
            f"{folder.settings} does not exist: make a site with `plantops init {root}`", setting="folder"
        )
    settings = load_toml(folder.settings, SiteSettings)
    if not is_token(settings.site):
        raise SettingsError(
            f"{folder.settings}: site {settings.site!r}: use letters, digits, '-' and '_'", setting="site"
        )
    sources = {name: _source(settings.site, name, root / path) for name, path in settings.sources.items()}
    if not sources:
        raise SettingsError(f"{folder.settings}: no [sources]: name at least one source file")
    model = load_model(root / settings.model)
    plant = _plant(root / settings.model, model, sources)
    return Site(folder, settings, sources, plant)


def _source(site: str, name: str, path: Path) -> Source:
    settings = load_toml(path, SourceSettings)
    try:
        spec = adapter(settings.adapter)
        definition = definition_of(site, name, settings, spec)
        _own_settings(spec, settings.connection)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}", setting=error.setting) from error
    return Source(name, settings, spec, settings.connection, definition)


def _own_settings(spec: AdapterSpec, connection: Mapping[str, Any]) -> msgspec.Struct:
    try:
        converted: msgspec.Struct = msgspec.convert(dict(connection), spec.settings)
    except msgspec.ValidationError as error:
        raise SettingsError(
            f"[connection] of adapter {spec.name!r}: {error}", setting="connection"
        ) from error
    return converted


def own_settings(source: Source, overrides: Mapping[str, Any]) -> msgspec.Struct:
    """The adapter's settings struct, with what only the running site knows put in."""
    return _own_settings(source.adapter, {**source.connection, **overrides})


def _plant(path: Path, model: Any, sources: Mapping[str, Source]) -> Plant:
    try:
        return Plant.of(model, [source.definition for source in sources.values()])
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}", setting=error.setting) from error
