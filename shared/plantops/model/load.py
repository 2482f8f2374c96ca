"""The model file, and the plant: a model bound to the tags of all sources."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from plantops.events.base import AssetName, Digest, OperationName, SourceName, TagName
from plantops.events.tags import SourceDefined, TagDefinition
from plantops.model.assets import Model, Operation, Property, model_digest
from plantops.model.check import check_bound_model, tag_index
from plantops.runtime.settings import load_toml


@dataclass(frozen=True, slots=True)
class Plant:
    """A model that was checked against the definitions of all sources; make it with `of`.

    `digest` is what a policy pins. `sources` and `tags` know every tag of every source, `properties` every
    property as `asset.property`.
    """

    model: Model
    definitions: tuple[SourceDefined, ...]
    digest: Digest
    sources: Mapping[TagName, SourceName]
    tags: Mapping[TagName, TagDefinition]
    properties: Mapping[str, Property]

    @classmethod
    def of(cls, model: Model, definitions: Iterable[SourceDefined]) -> Plant:
        """Raises: SettingsError naming asset, operation and key of what does not fit together."""
        known = tuple(sorted(definitions, key=lambda definition: definition.source))
        check_model(model, known)
        return cls(
            model=model,
            definitions=known,
            digest=model_digest(model, known),
            sources=tag_sources(known),
            tags=tag_index(known),
            properties={
                f"{name}.{key}": property_
                for name, asset in model.assets.items()
                for key, property_ in asset.properties.items()
            },
        )

    def operation(self, asset: AssetName | str, operation: OperationName | str) -> Operation | None:
        """The operation as the model describes it; None when there is none of this name."""
        found = self.model.assets.get(asset)
        return None if found is None else found.operations.get(operation)

    def tag_of(self, property_: str) -> TagName | None:
        """The tag behind `asset.property`."""
        found = self.properties.get(property_)
        return None if found is None else found.tag

    def unit_of(self, property_: str) -> str:
        """The unit of `asset.property`: the model's word, else the tag's own; empty when neither says."""
        found = self.properties.get(property_)
        return "" if found is None else found.unit or self.tags[found.tag].unit


def load_model(path: Path) -> Model:
    """The model in a TOML file, not yet checked against any source.

    Raises: SettingsError naming file, line and key.
    """
    return load_toml(path, Model)


def check_model(model: Model, definitions: Iterable[SourceDefined]) -> None:
    """Names are tokens, every reference leads somewhere, every value fits the tag it is written to.

    Raises: SettingsError naming asset, operation and key of the first thing that is wrong.
    """
    known = tuple(definitions)
    names = frozenset(definition.source for definition in known)
    check_bound_model(model, tag_sources(known), tag_index(known), names)


def tag_sources(definitions: Iterable[SourceDefined]) -> dict[TagName, SourceName]:
    """Which source has which tag. Raises: SettingsError when two have the same one."""
    tag_index(known := tuple(definitions))
    return {tag.name: definition.source for definition in known for tag in definition.tags}
