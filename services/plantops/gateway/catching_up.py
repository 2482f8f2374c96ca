"""What a client missed while it was away: read from the log and the twin, before it is told what comes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec

from plantops.events.base import TagName
from plantops.events.envelope import Message
from plantops.events.queries import TagsAsked, TagsTold
from plantops.gateway import catalogue
from plantops.gateway.caller import Caller
from plantops.gateway.desk import Desk
from plantops.gateway.live import encoded, event_body, tag_bytes, tags_body
from plantops.gateway.wanted import TAGS, Position, TagFilter, Wanted

MOST_PAGES: Final = 20
"""Who has more to catch up with is cut behind these, and comes again."""

_PAGE: Final = 1000


class _Event(msgspec.Struct):
    sequence: int
    subject: str
    type: str
    body: Any = None


class _Page(msgspec.Struct):
    events: tuple[_Event, ...]
    last: int
    looked_to: int


class CatchingUp:
    """One client's way from where it was to what its queue holds. `position` moves along."""

    def __init__(self, desk: Desk, caller: Caller, wanted: Wanted, tags: TagFilter, since: Position) -> None:
        self._desk, self._caller, self._wanted, self._tags = desk, caller, wanted, tags
        self.position = since
        self.is_behind = False

    async def run(self) -> AsyncIterator[bytes]:
        """What was missed, encoded. Raises: Refused, BrokerError."""
        if self._wanted.has_commands and self.position.commands is not None:
            async for data in self._commands(self.position.commands):
                yield data
        if self._wanted.has_tags and self.position.tags is not None and not self.is_behind:
            async for data in self._changed(self.position.tags):
                yield data

    async def _commands(self, after: int) -> AsyncIterator[bytes]:
        cursor = ""
        for _page in range(MOST_PAGES):
            asked = {"stream": "COMMANDS", "after": after}
            told = await catalogue.call(self._desk, self._caller, catalogue.EVENTS, asked, cursor)
            page = msgspec.convert(told.result, _Page)
            for event in page.events:
                self.position = self.position._replace(commands=event.sequence)
                if event.body is not None and self._wants(event):
                    body = event_body(event.sequence, _message(event))
                    yield encoded(self._wanted.form, self.position, event.type, body)
            self.position = self.position._replace(commands=max(page.looked_to, self.position.commands or 0))
            cursor = told.next
            if not cursor:
                return
        self.is_behind = True

    def _wants(self, event: _Event) -> bool:
        return self._wanted.wants_command(event.type, _asset_of(event.body))

    async def _changed(self, after: int) -> AsyncIterator[bytes]:
        """Each tag that changed since, as it is now: what it was in between stands in the history."""
        for _page in range(MOST_PAGES):
            asked = TagsAsked(tags=(), after=after, limit=_PAGE)
            told = await self._desk.ask("twin", "watch", asked, TagsTold)
            chosen = [tag_bytes(tag) for tag in told.tags if self._tags.wants(TagName(tag.tag))]
            after = told.revision
            self.position = self.position._replace(tags=after)
            if chosen:
                yield encoded(self._wanted.form, self.position, TAGS, tags_body(after, chosen))
            if len(told.tags) >= told.total:
                return
        self.is_behind = True


def _message(event: _Event) -> Message:
    return Message(event.subject, msgspec.json.encode(event.body))


def _asset_of(body: Any) -> str:
    """ "" where the event does not name it: then it is told, not dropped."""
    if not isinstance(body, dict):
        return ""
    for part in (body.get("permit"), body.get("decision"), body):
        if isinstance(part, dict) and isinstance(part.get("asset"), str):
            return str(part["asset"])
    return ""
