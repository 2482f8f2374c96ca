"""The tools as HTTP uses them: by name, in the caller's name, with the answer as the tool gave it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from plantops.events.tooling import CatalogueAsked, CatalogueTold, ToolAsked, ToolListed, ToolTold
from plantops.flow.tool_pages import whole_catalogue
from plantops.gateway.caller import Caller
from plantops.gateway.desk import Desk
from plantops.gateway.shapes.reading import ToolAnswer

EVENTS: Final = "events-read"
HISTORY: Final = "tag-history"
PROOF: Final = "audit-proof"
RECORDS: Final = "audit-records"
CHECKPOINT: Final = "audit-checkpoint"
TILE: Final = "audit-tile"
MAX_PATH: Final = 64
"""The longest name of a tile."""

TOOL_SECONDS: Final = 25.0


async def call(
    desk: Desk, caller: Caller, tool: str, arguments: Mapping[str, Any], cursor: str = ""
) -> ToolTold:
    """Raises: Refused with the tool's reason, NobodyAnswers, BrokerUnavailable."""
    given = {name: value for name, value in arguments.items() if value not in (None, "", ())}
    asked = ToolAsked(tool=tool, arguments=given, on_behalf_of=caller.chain, cursor=cursor)
    return await desk.ask_door("tool", "call", asked, ToolTold, wait=TOOL_SECONDS)


async def found(desk: Desk, caller: Caller, query: str, limit: int, *, all_tools: bool) -> CatalogueTold:
    """The best for `query`, and every safe-direction operation."""
    asked = CatalogueAsked(query=query, limit=limit, all=all_tools, on_behalf_of=caller.chain)
    return await desk.ask_door("tool", "search", asked, CatalogueTold)


async def page(desk: Desk, caller: Caller, cursor: str, rows: int, *, all_tools: bool) -> CatalogueTold:
    """A page of what the caller may use."""
    asked = CatalogueAsked(all=all_tools, on_behalf_of=caller.chain, cursor=cursor, rows=rows)
    return await desk.ask_door("tool", "list", asked, CatalogueTold)


async def named(desk: Desk, caller: Caller, name: str) -> ToolListed | None:
    """One of all tools. Raises: as `whole_catalogue`."""

    async def ask(asked: CatalogueAsked) -> CatalogueTold:
        return await desk.ask_door("tool", "list", asked, CatalogueTold)

    every = await whole_catalogue(ask, CatalogueAsked(all=True, on_behalf_of=caller.chain), until=name)
    return next((tool for tool in every.tools if tool.name == name), None)


def told(answer: ToolTold) -> ToolAnswer:
    """As HTTP tells it."""
    return ToolAnswer(
        tool=answer.tool,
        result=answer.result,
        provenance=answer.provenance,
        next=answer.next,
        left=answer.left,
    )
