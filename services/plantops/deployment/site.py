"""A site as its folder describes it: settings, sources, model and trust root, read and checked once."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from plantops.adapters.contract import AdapterSpec, SourceSettings
from plantops.adapters.definition import definition_of
from plantops.adapters.registry import adapter
from plantops.deployment.place import Place, load_place, wrong
from plantops.events.tags import SourceDefined
from plantops.model.assets import Model
from plantops.model.check import tag_index
from plantops.model.load import Plant, load_model
from plantops.runtime.errors import SettingsError
from plantops.runtime.settings import line_in, load_toml

_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")


@dataclass(frozen=True, slots=True)
class Source:
    """One source file, checked: settings, adapter, the adapter's own settings, definition."""

    name: str
    path: Path
    settings: SourceSettings
    adapter: AdapterSpec
    connection: Mapping[str, Any]
    definition: SourceDefined


@dataclass(frozen=True)
class Site(Place):
    """Everything that the site folder says, without any key."""

    sources: Mapping[str, Source]
    plant: Plant


def load_site(root: Path) -> Site:
    """Read and check a site folder. Raises: SettingsError naming file, key and line of the first mistake."""
    place = load_place(root)
    sources = {name: _source(place, name) for name in place.settings.sources}
    _check_tags_of(sources)
    return Site(place.folder, place.settings, sources, _plant(place, sources), given=place.given)


def _file(place: Place, key: str, name: str) -> Path:
    path = place.folder.root / name
    if not path.is_file():
        raise wrong(place, key, f"names {path}, which is no file: write it, or correct the path")
    return path


def _source(place: Place, name: str) -> Source:
    path = _file(place, f"sources.{name}", place.settings.sources[name])
    settings = load_toml(path, SourceSettings)
    try:
        spec = adapter(settings.adapter)
    except SettingsError as error:
        raise _at(path, ("adapter",), error) from error
    _check_connection(path, spec)
    _check_addresses(path, settings, spec)
    try:
        definition = definition_of(place.name, name, settings, spec)
    except SettingsError as error:
        raise _at(path, _meant(settings, error.message), error) from error
    return Source(name, path, settings, spec, settings.connection, definition)


def _check_connection(path: Path, spec: AdapterSpec) -> None:
    """Read the file once more with what this adapter knows of `[connection]`, for the place of a mistake."""
    load_toml(path, msgspec.defstruct("SourceFile", [("connection", spec.settings)]))


def _check_addresses(path: Path, settings: SourceSettings, spec: AdapterSpec) -> None:
    for number, tag in enumerate(settings.tags):
        try:
            spec.kind_of(tag.address)
        except SettingsError as error:
            named = SettingsError(f"tag {tag.name!r}: {error.message}", setting=error.setting)
            raise _at(path, ("tags", number, "address"), named) from error


def _meant(settings: SourceSettings, message: str) -> tuple[str | int, ...]:
    """The place of the tag or group that a message names: the last one, which repeats the first."""
    for key, names in (("tags", settings.tags), ("groups", settings.groups)):
        for number in reversed(range(len(names))):
            if repr(names[number].name) in message:
                return (key, number)
    return ()


def _check_tags_of(sources: Mapping[str, Source]) -> None:
    """A tag has one source, and so have two files not the same name in them."""
    owners: dict[str, Source] = {}
    for source in sources.values():
        for number, tag in enumerate(source.settings.tags):
            if (other := owners.setdefault(tag.name, source)) is not source:
                error = SettingsError(
                    f"tag {tag.name!r} stands in {other.path} too: rename one, a tag has one source",
                    setting="tags",
                )
                raise _at(source.path, ("tags", number), error)


def _at(path: Path, place: tuple[str | int, ...], error: SettingsError) -> SettingsError:
    return SettingsError(f"{path}:{line_in(path, place)}: {error.message}", setting=error.setting)


def own_settings(source: Source, overrides: Mapping[str, Any], state: Path) -> msgspec.Struct:
    """The adapter's settings struct, with what only the running site knows put in.

    `state` is the folder of the source's host; an adapter that needs one and names none gets its own part.
    """
    own = {"state_folder": str(state / source.adapter.name)} if source.adapter.name == "opcua" else {}
    try:
        converted: msgspec.Struct = msgspec.convert(
            {**own, **source.connection, **overrides}, source.adapter.settings
        )
    except msgspec.ValidationError as error:
        raise SettingsError(
            f"{source.path}: [connection] of adapter {source.adapter.name!r}: {error}", setting="connection"
        ) from error
    return converted


def _plant(place: Place, sources: Mapping[str, Source]) -> Plant:
    path = _file(place, "model", place.settings.model)
    model = load_model(path)
    definitions = [source.definition for source in sources.values()]
    try:
        return Plant.of(model, definitions)
    except SettingsError as error:
        hint = _near(model, definitions, error.setting)
        named = SettingsError(f"{error.message}{hint}", setting=error.setting)
        raise _at(path, _place(error.setting), named) from error


def _place(setting: str) -> tuple[str | int, ...]:
    return tuple(int(number) if number else key for number, key in _STEP.findall(setting))


def _near(model: Model, definitions: list[SourceDefined], setting: str) -> str:
    """The nearest tag to one that no source has."""
    keys = setting.split(".")
    if len(keys) != 5 or keys[2] != "properties" or keys[4] != "tag":
        return ""
    tags = tag_index(definitions)
    meant = model.assets[keys[1]].properties[keys[3]].tag
    close = difflib.get_close_matches(meant, tags, 1) if meant not in tags else []
    return f"; did you mean {close[0]!r}?" if close else ""
