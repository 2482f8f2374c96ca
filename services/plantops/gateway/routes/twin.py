"""`/v1/twin`, `/v1/tags`, `/v1/sources`: what the plant is now."""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeAlias

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter

from plantops.events.base import TagName
from plantops.events.queries import TagsAsked, TagState, TagsTold, TwinListed
from plantops.gateway.bodies import AnyRequest
from plantops.gateway.caching import conditional
from plantops.gateway.desk import Desk
from plantops.gateway.preferences import Limit, Place, Wait, place_in_list, wait_seconds
from plantops.gateway.problems import HttpProblem, not_found
from plantops.gateway.shapes.reading import (
    ArgumentShown,
    AssetShown,
    OperationShown,
    PropertyShown,
    SourceList,
    TagList,
    TwinShown,
)
from plantops.gateway.standing import risk_of
from plantops.model.assets import Asset, Operation
from plantops.policy.document import Policy

_MAX_NAMES: Final = 500

AssetPath: TypeAlias = Annotated[
    str, PathParameter(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$", max_length=64)
]
Names: TypeAlias = Annotated[
    str, QueryParameter(name="names", max_length=8000, description="Exact names, with commas between them.")
]
Prefix: TypeAlias = Annotated[
    str, QueryParameter(name="prefix", max_length=256, description="How their names begin.")
]
After: TypeAlias = Annotated[
    int,
    QueryParameter(
        name="after", ge=-1, le=2**53, description="Only what changed after this revision; -1: all."
    ),
]


@get("/v1/twin", tags=["twin"])
async def show_twin(request: AnyRequest, desk: NamedDependency[Desk]) -> Response[TwinShown]:
    """Assets with their properties and operations, and the sources behind them."""
    listed = await desk.ask("twin", "list", None, TwinListed)
    verified = desk.in_force.verified
    policy = None if verified is None else verified.policy
    told = TwinShown(
        site=desk.site,
        model=desk.plant.digest,
        policy="" if verified is None else verified.digest,
        revision=listed.position.get("TAGS", 0),
        assets=tuple(
            _asset(desk, policy, name, asset) for name, asset in sorted(desk.plant.model.assets.items())
        ),
        sources=listed.sources,
    )
    return conditional(request, told)


@get("/v1/twin/{asset:str}", tags=["twin"])
async def show_asset(
    request: AnyRequest, desk: NamedDependency[Desk], asset: AssetPath
) -> Response[AssetShown]:
    """One asset."""
    found = desk.plant.model.assets.get(asset)
    if found is None:
        raise not_found("asset", asset)
    verified = desk.in_force.verified
    policy = None if verified is None else verified.policy
    return conditional(request, _asset(desk, policy, asset, found))


def _asset(desk: Desk, policy: Policy | None, name: str, asset: Asset) -> AssetShown:
    return AssetShown(
        name=name,
        id=asset.id,
        description=asset.description,
        properties={
            key: PropertyShown(tag=each.tag, unit=each.unit, description=each.description)
            for key, each in asset.properties.items()
        },
        operations={key: _operation(desk, policy, name, key, each) for key, each in asset.operations.items()},
    )


def _operation(
    desk: Desk, policy: Policy | None, asset: str, name: str, operation: Operation
) -> OperationShown:
    return OperationShown(
        description=operation.description,
        risk=risk_of(policy, desk.plant, asset, name),
        safe_direction=desk.is_safe(asset, name),
        arguments={
            key: ArgumentShown(
                type=each.type,
                unit=each.unit,
                low=each.low,
                high=each.high,
                description=each.description,
            )
            for key, each in operation.arguments.items()
        },
    )


@get("/v1/tags", tags=["tags"])
async def list_tags(
    *,
    request: AnyRequest,
    desk: NamedDependency[Desk],
    names: Names = "",
    prefix: Prefix = "",
    after: After = -1,
    limit: Limit = 500,
    cursor: Place = "",
    wait: Wait = 0.0,
) -> TagList:
    """Tags with value and effective quality: bad as soon as nobody has confirmed them in time.

    With `after` only what changed after that revision, waiting for it with `wait`: then `revision` of the
    answer is the next `after`, and there are no pages.
    """
    wanted = tuple(TagName(each) for each in dict.fromkeys(names.split(",")) if each)
    if len(wanted) > _MAX_NAMES:
        raise HttpProblem(400, "bad_request", f"{len(wanted)} names: at most {_MAX_NAMES} at once")
    start = place_in_list(cursor)
    if after >= 0:
        seconds = wait_seconds(request, wait)
        asked = TagsAsked(tags=wanted, prefix=prefix, after=after, wait_seconds=seconds, limit=limit)
        told = await desk.ask("twin", "watch", asked, TagsTold, wait=seconds)
        return TagList(tags=told.tags, revision=told.revision, total=told.total, next="")
    asked = TagsAsked(tags=wanted, prefix=prefix, limit=limit, offset=start)
    told = await desk.ask("twin", "get", asked, TagsTold)
    end = start + len(told.tags)
    more = str(end) if told.tags and end < told.total else ""
    return TagList(tags=told.tags, revision=told.revision, total=told.total, next=more, unknown=told.unknown)


@get("/v1/tags/{name:str}", tags=["tags"])
async def show_tag(
    request: AnyRequest,
    desk: NamedDependency[Desk],
    name: Annotated[str, PathParameter(max_length=256)],
) -> Response[TagState]:
    """One tag."""
    told = await desk.ask("twin", "get", TagsAsked(tags=(TagName(name),)), TagsTold)
    if not told.tags:
        raise not_found("tag", name)
    return conditional(request, told.tags[0])


@get("/v1/sources", tags=["sources"])
async def list_sources(desk: NamedDependency[Desk]) -> SourceList:
    """Whether each source is up, since when it has said nothing, and what was lost of it."""
    listed = await desk.ask("twin", "list", None, TwinListed)
    return SourceList(sources=listed.sources)


HANDLERS: Final[tuple[Any, ...]] = (show_twin, show_asset, list_tags, show_tag, list_sources)
