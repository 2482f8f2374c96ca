"""A catalogue by script, for the gateway's tests: as many pages as it is given."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from plantops.events.base import encode_json
from plantops.events.envelope import Message
from plantops.events.queries import problem
from plantops.events.tooling import CatalogueAsked, CatalogueTold, ToolListed


def listed(name: str) -> ToolListed:
    """A tool that reads."""
    return ToolListed(name=name, kind="read", description="", risk="low", arguments={"type": "object"})


@dataclass
class Tools:
    """What list and search give: a page for each of `pages`, whose cursors count them."""

    pages: tuple[tuple[str, ...], ...] = (("events-read",),)
    revision: str = "r1"
    asked: list[CatalogueAsked] = field(default_factory=list)

    async def answer(self, message: Message) -> bytes:
        asked = msgspec.json.decode(message.data, type=CatalogueAsked)
        self.asked.append(asked)
        place, _, revision = asked.cursor.partition("-")
        if asked.cursor and revision != self.revision:
            return problem("catalogue_changed", "the catalogue has changed since: begin without a cursor")
        number = int(place or "0")
        following = f"{number + 1}-{self.revision}" if number + 1 < len(self.pages) else ""
        tools = tuple(map(listed, self.pages[number]))
        return encode_json(CatalogueTold(tools=tools, revision=self.revision, next=following))
