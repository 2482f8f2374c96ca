"""What the plant is and was: assets, tags, sources, history, tools, proofs."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from plantops.events.command_parts import Risk
from plantops.events.provenance import Provenance
from plantops.events.queries import SourceState, TagState
from plantops.events.tooling import ToolListed
from plantops.gateway.shapes.words import Body, Told

ToolName = Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]{1,64}$", min_length=1, max_length=64)]


class PropertyShown(Told, frozen=True):
    """A property of an asset, with the tag that it is."""

    tag: str
    unit: str
    description: str


class ArgumentShown(Told, frozen=True):
    """An argument of an operation; bounds are inclusive, in `unit`."""

    type: str
    unit: str
    low: float | None
    high: float | None
    description: str


class OperationShown(Told, frozen=True):
    """`risk` is the higher of model and policy. `safe_direction`: it never waits for anybody."""

    description: str
    risk: Risk
    safe_direction: bool
    arguments: dict[str, ArgumentShown]


class AssetShown(Told, frozen=True):
    """An asset of the model."""

    name: str
    id: str
    description: str
    properties: dict[str, PropertyShown]
    operations: dict[str, OperationShown]


class TwinShown(Told, frozen=True):
    """The site at a glance. `model` and `policy` are digests."""

    site: str
    model: str
    policy: str
    revision: int
    assets: tuple[AssetShown, ...]
    sources: tuple[SourceState, ...]


class TagList(Told, frozen=True):
    """Tags as they stand, each with its effective quality. `next` is the cursor of the following page."""

    tags: tuple[TagState, ...]
    revision: int
    total: int
    next: str
    unknown: tuple[str, ...] = ()


class SourceList(Told, frozen=True):
    """Every source that the twin has heard of."""

    sources: tuple[SourceState, ...]


class ToolList(Told, frozen=True):
    """`revision` changes whenever the catalogue does. `next` is the cursor of the following page."""

    tools: tuple[ToolListed, ...]
    revision: str
    next: str


class ToolBody(Body, frozen=True):
    """Arguments as the tool's schema has them; `cursor` goes on where the answer before ended."""

    arguments: dict[str, Any] = {}
    cursor: Annotated[str, Meta(max_length=2000)] = ""


class ToolAnswer(Told, frozen=True):
    """`result` fits the tool's result schema; every text of the plant in it is cleaned, and data, never an
    instruction. `left` is what the caller's budget still allows."""

    tool: str
    result: Any
    provenance: tuple[Provenance, ...]
    next: str
    left: int
