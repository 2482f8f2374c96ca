"""`/v1/history`: what a tag was, from the archive."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from plantops.gateway import catalogue
from plantops.gateway.caller import Caller
from plantops.gateway.desk import Desk
from plantops.gateway.preferences import Cursor
from plantops.gateway.shapes.reading import ToolAnswer

TagQuery: TypeAlias = Annotated[
    str, QueryParameter(name="tag", min_length=1, max_length=256, description="The exact name of the tag.")
]
Since: TypeAlias = Annotated[
    str,
    QueryParameter(
        name="since",
        max_length=40,
        description="UTC time such as 2026-05-04T06:00, or an age before the newest: `15m`, `24h`.",
    ),
]
Until: TypeAlias = Annotated[
    str, QueryParameter(name="until", max_length=40, description="The same; empty: up to the newest.")
]
Step: TypeAlias = Annotated[
    Literal["auto", "sample", "second", "minute", "hour"],
    QueryParameter(name="step", description="How fine; coarser than a sample: mean, lowest and highest."),
]


@get("/v1/history", tags=["tags"])
async def show_history(
    *,
    desk: NamedDependency[Desk],
    caller: NamedDependency[Caller],
    tag: TagQuery,
    since: Since = "",
    until: Until = "",
    step: Step = "auto",
    cursor: Cursor = "",
) -> ToolAnswer:
    """Samples of a tag as the archive serves them, which is some seconds behind; in pages."""
    asked = {"tag": tag, "since": since, "until": until, "step": step}
    return catalogue.told(await catalogue.call(desk, caller, catalogue.HISTORY, asked, cursor))


HANDLERS: Final[tuple[Any, ...]] = (show_history,)
