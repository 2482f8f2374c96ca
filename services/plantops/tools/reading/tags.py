"""What the twin knows: values of tags, and what there is at all."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from msgspec import Meta

from plantops.events.base import AssetName, OperationName, Record, Scalar, SourceName, TagName
from plantops.events.provenance import Provenance
from plantops.events.queries import TagsAsked, TagState, TagsTold, TwinListed
from plantops.events.subjects import service
from plantops.model.load import Plant
from plantops.tools.contract import Arguments, Call, Page, Tool, ToolError
from plantops.tools.reading.cursors import cut, number_of

MAX_NAMED: Final = 200
Name = Annotated[str, Meta(min_length=1, max_length=256)]
Names = Annotated[
    tuple[Name, ...],
    Meta(max_length=MAX_NAMED, description="Exact names of tags, such as plc1.pump.speed; or none."),
]
Prefix = Annotated[
    str, Meta(max_length=256, description="Every tag whose name begins so; empty with no names: all tags.")
]


class TwinGet(Arguments, frozen=True):
    """Which tags."""

    tags: Names = ()
    prefix: Prefix = ""


class TagTold(Record, frozen=True):
    """What is known of a tag now; `quality` is the effective one, bad when stale or its source is gone.

    `meaning` is the definition's text for the value, where it has texts. `age_seconds` since the last
    confirmation by the device, None when never confirmed.
    """

    tag: TagName
    value: Scalar | None
    unit: str
    quality: int
    quality_name: str
    age_seconds: float | None
    source: SourceName
    meaning: str = ""
    description: str = ""
    source_time: datetime | None = None
    changed_at: datetime | None = None


class TagsGiven(Record, frozen=True):
    """In the order of the names. `unknown` are names of no tag, `total` counts the tags of all pages."""

    tags: tuple[TagTold, ...]
    total: int
    unknown: tuple[TagName, ...] = ()


async def twin_get(call: Call, asked: TwinGet) -> Page[TagsGiven]:
    """A page of tags as the twin knows them."""
    if asked.tags and asked.prefix:
        raise ToolError("bad_arguments", "give names or a prefix, not both")
    start = number_of(call.cursor)
    question = TagsAsked(
        tags=tuple(map(TagName, asked.tags)), prefix=asked.prefix, limit=call.rows, offset=start
    )
    told = await call.ask(service("twin", call.site, "get"), question, TagsTold)
    end = start + len(told.tags)
    return Page(
        TagsGiven(
            tags=tuple(_told(call.plant, tag) for tag in told.tags), total=told.total, unknown=told.unknown
        ),
        provenance=tuple(map(provenance_of, told.tags)),
        next=str(end) if told.tags and end < told.total else "",
    )


def _told(plant: Plant, state: TagState) -> TagTold:
    defined = plant.tags.get(state.tag)
    return TagTold(
        tag=state.tag,
        value=state.value,
        unit=state.unit,
        quality=state.quality,
        quality_name=state.quality_name,
        age_seconds=state.age_seconds,
        source=state.source,
        meaning="" if defined is None else _meaning(defined.texts, state.value),
        description="" if defined is None else defined.description,
        source_time=state.source_time,
        changed_at=state.changed_at,
    )


def _meaning(texts: dict[str, str], value: Scalar | None) -> str:
    """Enumerations are named by the whole number that stands for them."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else texts.get(str(value).lower(), "")


def provenance_of(state: TagState) -> Provenance:
    """The frame in TAGS that carried the value: what the twin counts as its revision."""
    return Provenance(
        channel="tag",
        name=state.tag,
        stream="TAGS" if state.revision else "",
        sequence=state.revision,
        quality=state.quality,
    )


class TwinList(Arguments, frozen=True):
    """Which assets."""

    asset: Annotated[str, Meta(max_length=64, description="One asset by name; empty: all of them.")] = ""


class AssetShown(Record, frozen=True):
    """An asset: property name to tag, and the names of its operations."""

    asset: AssetName
    description: str
    properties: dict[str, TagName]
    operations: tuple[OperationName, ...]


class SourceShown(Record, frozen=True):
    """A source of tags, and whether its device answers."""

    source: SourceName
    is_up: bool
    tags: int


class PlantShown(Record, frozen=True):
    """`sources` stand in the first page alone, at most as many as a page holds of `source_count`."""

    assets: tuple[AssetShown, ...]
    sources: tuple[SourceShown, ...]
    asset_count: int
    source_count: int


async def twin_list(call: Call, asked: TwinList) -> Page[PlantShown]:
    """Assets of the model that this process was started with, and sources as the twin knows them."""
    assets = call.plant.model.assets
    if asked.asset and asked.asset not in assets:
        raise ToolError("not_found", f"the model has no asset {asked.asset!r}: see twin-find")
    names, following = cut([asked.asset] if asked.asset else sorted(assets), call.cursor, call.rows)
    told = await call.ask(service("twin", call.site, "list"), b"{}", TwinListed)
    sources = told.sources[: call.rows] if not call.cursor else ()
    shown = tuple(
        AssetShown(
            asset=AssetName(name),
            description=assets[name].description,
            properties={key: each.tag for key, each in assets[name].properties.items()},
            operations=tuple(map(OperationName, assets[name].operations)),
        )
        for name in names
    )
    return Page(
        PlantShown(
            assets=shown,
            sources=tuple(SourceShown(source=s.source, is_up=s.is_up, tags=s.tags) for s in sources),
            asset_count=1 if asked.asset else len(assets),
            source_count=len(told.sources),
        ),
        provenance=(
            *(Provenance(channel="asset", name=name) for name in names),
            *(Provenance(channel="source", name=each.source) for each in sources),
        ),
        next=following,
    )


TWIN_GET: Final = Tool(
    name="twin-get",
    description=(
        "Current values of tags with unit, quality and age, by exact names or by a prefix of the name. Trust "
        "a value only when its quality is good."
    ),
    risk="low",
    arguments=TwinGet,
    result=TagsGiven,
    work=twin_get,
    items="tags",
)

TWIN_LIST: Final = Tool(
    name="twin-list",
    description=(
        "What there is: the assets with their properties (and the tag behind each) and the names of their "
        "operations, and the sources of tags."
    ),
    risk="low",
    arguments=TwinList,
    result=PlantShown,
    work=twin_list,
    items="assets",
)
