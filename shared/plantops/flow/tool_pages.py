"""The whole catalogue of the tools, read page by page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import msgspec

from plantops.events.tooling import CatalogueAsked, CatalogueTold, ToolListed
from plantops.runtime.errors import Refused

Ask: TypeAlias = Callable[[CatalogueAsked], Awaitable[CatalogueTold]]
"""One page: the verb `list` of the tools' door."""

TRIES: Final = 3
MOST_PAGES: Final = 1000


async def whole_catalogue(ask: Ask, asked: CatalogueAsked, *, until: str = "") -> CatalogueTold:
    """All pages of one revision as one answer; begun anew when the catalogue changed meanwhile.

    With `until` only up to the page that has the tool of this name, if there is one.

    Raises: Refused, when it has changed again and again or does not end; what `ask` raises.
    """
    for _try in range(TRIES):
        found = await _pages(ask, asked, until)
        if found is not None:
            return found
    raise Refused("the catalogue changes faster than it can be read: ask again", reason="conflict")


async def _pages(ask: Ask, asked: CatalogueAsked, until: str) -> CatalogueTold | None:
    """None when it changed in between."""
    tools, revision, cursor = list[ToolListed](), "", ""
    for _page in range(MOST_PAGES):
        try:
            told = await ask(msgspec.structs.replace(asked, cursor=cursor))
        except Refused as error:
            if cursor and error.reason == "catalogue_changed":
                return None
            raise
        if revision not in ("", told.revision):
            return None
        tools += told.tools
        revision, cursor = told.revision, told.next
        if not cursor or any(tool.name == until for tool in told.tools):
            return CatalogueTold(tools=tuple(tools), revision=revision)
    raise Refused(f"the catalogue has more than {MOST_PAGES} pages: search instead", reason="too_large")
