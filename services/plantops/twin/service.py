"""The twin's services: `get`, `list`, `watch` and `sightings` over request/reply. Reads only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from plantops.events.base import Record, SiteName, TagName, encode_json
from plantops.events.envelope import Message
from plantops.events.queries import (
    AssetListed,
    SightingsAsked,
    SightingsTold,
    TagsAsked,
    TagsTold,
    TwinListed,
    problem,
)
from plantops.events.subjects import service
from plantops.flow.bus import Bus, Subscription
from plantops.model.assets import Model
from plantops.twin.core import TwinState
from plantops.twin.views import Directory, changed_since, sighting, source_states, tag_state

MAX_TAGS = 1000
MAX_WAIT_SECONDS = 30.0
VERBS = ("get", "list", "watch", "sightings")

R = TypeVar("R", bound=Record)


@dataclass
class TwinService:
    """Answers from the twin's state as it stands; `changed` is called after each batch that it took in."""

    site: SiteName
    model: Model
    state: Callable[[], TwinState]
    position: Callable[[], Mapping[str, int]]
    now_ns: Callable[[], int]
    _directory: Directory = field(default_factory=Directory, repr=False)
    _bell: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    async def serve(self, bus: Bus, *, group: str = "") -> list[Subscription]:
        """Start answering, as one of `group`."""
        handlers = {
            "get": self.get,
            "list": self.list,
            "watch": self.watch,
            "sightings": self.sightings,
        }
        return [
            await bus.serve(service("twin", self.site, verb), handlers[verb], group=group) for verb in VERBS
        ]

    def changed(self) -> None:
        """Wake everybody who watches."""
        self._bell.set()
        self._bell = asyncio.Event()

    async def get(self, message: Message) -> bytes:
        """Named tags, or all that start with a prefix, in pages."""
        asked = _read(message, TagsAsked)
        return asked if isinstance(asked, bytes) else encode_json(self._told(asked))

    async def watch(self, message: Message) -> bytes:
        """As `get`, but only what changed after a revision; waits for it, bounded."""
        asked = _read(message, TagsAsked)
        if isinstance(asked, bytes):
            return asked
        loop = asyncio.get_running_loop()
        deadline = loop.time() + min(max(asked.wait_seconds, 0.0), MAX_WAIT_SECONDS)
        while True:
            bell = self._bell
            told = self._changes(asked)
            left = deadline - loop.time()
            if told.tags or left <= 0:
                return encode_json(told)
            try:
                await asyncio.wait_for(bell.wait(), left)
            except TimeoutError:
                return encode_json(self._changes(asked))

    async def list(self, message: Message) -> bytes:
        """Sources, assets, and the position in the log that the answer stands for."""
        assets = {
            name: AssetListed(
                description=asset.description,
                properties={key: prop.tag for key, prop in asset.properties.items()},
                operations={key: operation.risk for key, operation in asset.operations.items()},
            )
            for name, asset in self.model.assets.items()
        }
        return encode_json(
            TwinListed(
                sources=tuple(source_states(self.state(), self.now_ns())),
                assets=assets,
                position=dict(self.position()),
            )
        )

    async def sightings(self, message: Message) -> bytes:
        """Where tags stand in the log, for those who want to see for themselves."""
        asked = _read(message, SightingsAsked)
        if isinstance(asked, bytes):
            return asked
        state = self.state()
        self._directory.refresh(state)
        told = tuple(sighting(state, self._directory, tag) for tag in asked.tags[:MAX_TAGS])
        return encode_json(SightingsTold(sightings=told))

    def _told(self, asked: TagsAsked) -> TagsTold:
        state, now_ns = self.state(), self.now_ns()
        self._directory.refresh(state)
        names = list(asked.tags) if asked.tags else list(self._directory.names(asked.prefix))
        unknown = tuple(name for name in names if self._directory.place(name) is None)
        known = [name for name in names if self._directory.place(name) is not None]
        first = max(0, asked.offset)
        page = known[first : first + max(1, min(asked.limit, MAX_TAGS))]
        places = [self._directory.place(name) for name in page]
        return TagsTold(
            tags=tuple(tag_state(state, place[0], place[1], now_ns) for place in places if place),
            revision=state.revision,
            total=len(known),
            unknown=unknown,
        )

    def _changes(self, asked: TagsAsked) -> TagsTold:
        state, now_ns = self.state(), self.now_ns()
        self._directory.refresh(state)
        wanted: set[TagName] = set(asked.tags)
        changed = sorted(
            (int(state.feeds[source].columns.sequence[position]), source, position)
            for source, position in changed_since(state, asked.after)
            if _is_wanted(state.feeds[source].columns.definition.tags[position].name, wanted, asked.prefix)
        )
        size = max(1, min(asked.limit, MAX_TAGS))
        # A frame's samples share one revision: a page ends only where a frame ends.
        while size < len(changed) and changed[size - 1][0] == changed[size][0]:
            size += 1
        revision = changed[size - 1][0] if size < len(changed) else state.revision
        return TagsTold(
            tags=tuple(
                tag_state(state, source, position, now_ns) for _at, source, position in changed[:size]
            ),
            revision=revision,
            total=len(changed),
        )


def _is_wanted(name: TagName, wanted: set[TagName], prefix: str) -> bool:
    return name in wanted if wanted else name.startswith(prefix)


def _read(message: Message, kind: type[R]) -> R | bytes:
    """The question, or the bytes of a refusal."""
    try:
        return msgspec.json.decode(message.data or b"{}", type=kind)
    except (ValueError, RecursionError) as error:
        return problem("malformed", f"{message.subject}: {error}")
