"""`/v1/tools`: the same tools that the agent has, under the same rules."""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeAlias

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter

from plantops.events.tooling import ToolListed
from plantops.gateway import catalogue
from plantops.gateway.bodies import AnyRequest, read_optional, taking
from plantops.gateway.caller import Caller
from plantops.gateway.desk import Desk
from plantops.gateway.preferences import Cursor
from plantops.gateway.problems import not_found
from plantops.gateway.shapes.reading import ToolAnswer, ToolBody, ToolList

ToolPath: TypeAlias = Annotated[str, PathParameter(pattern=r"^[a-zA-Z0-9_-]{1,64}$", max_length=64)]

FOUND: Final = 12
"""How many a search gives where nobody says."""


@get("/v1/tools", tags=["tools"])
async def list_tools(
    *,
    desk: NamedDependency[Desk],
    caller: NamedDependency[Caller],
    words: Annotated[
        str, QueryParameter(name="query", max_length=500, description="What is looked for, in plain words.")
    ] = "",
    limit: Annotated[
        int,
        QueryParameter(
            name="limit",
            ge=0,
            le=1000,
            description="How many at most: 50 with `query`. 0: 12 with it, without it as many as fit.",
        ),
    ] = 0,
    cursor: Cursor = "",
    all_tools: Annotated[
        bool, QueryParameter(name="all", description="Also what the caller may not use.")
    ] = False,
) -> ToolList:
    """All that the caller may use, in pages; with `query` the best for it and all safe-direction operations.

    409 when the catalogue has changed since the page of this cursor: begin anew.
    """
    if words:
        told = await catalogue.found(desk, caller, words, limit or FOUND, all_tools=all_tools)
    else:
        told = await catalogue.page(desk, caller, cursor, limit, all_tools=all_tools)
    return ToolList(tools=told.tools, revision=told.revision, next=told.next)


@get("/v1/tools/{tool:str}", tags=["tools"])
async def show_tool(
    desk: NamedDependency[Desk], caller: NamedDependency[Caller], tool: ToolPath
) -> ToolListed:
    """One tool, with the schemas of its arguments and its result."""
    found = await catalogue.named(desk, caller, tool)
    if found is None:
        raise not_found("tool", tool)
    return found


@post(
    "/v1/tools/{tool:str}",
    status_code=200,
    tags=["tools"],
    operation_class=taking(ToolBody, required=False),
)
async def call_tool(
    request: AnyRequest, desk: NamedDependency[Desk], caller: NamedDependency[Caller], tool: ToolPath
) -> ToolAnswer:
    """Call a reading tool. Operations are no tools to call: ask for them at `/v1/commands`."""
    body = await read_optional(request, ToolBody)
    return catalogue.told(await catalogue.call(desk, caller, tool, body.arguments, body.cursor))


HANDLERS: Final[tuple[Any, ...]] = (list_tools, show_tool, call_tool)
