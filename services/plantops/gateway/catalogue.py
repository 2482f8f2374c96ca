"""The tools as HTTP uses them: by name, in the caller's name, with the answer as the tool gave it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from plantops.events.tooling import CatalogueAsked, CatalogueTold, ToolAsked, ToolTold
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


async def catalogue(desk: Desk, caller: Caller, query: str, limit: int, *, all_tools: bool) -> CatalogueTold:
    """All that the caller may use, or the best for `query`."""
    asked = CatalogueAsked(query=query, limit=limit, all=all_tools, on_behalf_of=caller.chain)
    return await desk.ask_door("tool", "search" if query else "list", asked, CatalogueTold)


def told(answer: ToolTold) -> ToolAnswer:
    """As HTTP tells it."""
    return ToolAnswer(
        tool=answer.tool,
        result=answer.result,
        provenance=answer.provenance,
        next=answer.next,
        left=answer.left,
    )
