"""`/v1/history`: what a tag was, from the archive."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, TypeAlias

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
    datetime | None, QueryParameter(name="since", description="From this moment on, with its zone.")
]
Until: TypeAlias = Annotated[
    datetime | None, QueryParameter(name="until", description="Up to this moment, with its zone.")
]


@get("/v1/history", tags=["tags"])
async def show_history(
    *,
    desk: NamedDependency[Desk],
    caller: NamedDependency[Caller],
    tag: TagQuery,
    since: Since = None,
    until: Until = None,
    cursor: Cursor = "",
) -> ToolAnswer:
    """Samples of a tag as the archive serves them, which is some seconds behind; in pages."""
    asked = {
        "tag": tag,
        "since": since.isoformat() if since else None,
        "until": until.isoformat() if until else None,
    }
    return catalogue.told(await catalogue.call(desk, caller, catalogue.HISTORY, asked, cursor))


HANDLERS: Final[tuple[Any, ...]] = (show_history,)
