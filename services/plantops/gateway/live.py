"""Everybody who listens hears the same bytes: one subscription and one watch of the twin for all clients.

An event is encoded once for all clients that want the same. A client that does not fetch what waits is cut,
and so are all when this gateway itself has missed something: they come again and say where they were.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar

import msgspec
import structlog

from plantops.events.base import Event
from plantops.events.envelope import Message
from plantops.events.queries import TagsAsked, TagState, TagsTold
from plantops.flow.results import may_rest, place_of
from plantops.gateway.desk import Desk
from plantops.gateway.outlet import Chunk, Outlet
from plantops.gateway.pacing import Pace
from plantops.gateway.wanted import TAGS, Form, Position, TagFilter, Wanted
from plantops.runtime.errors import PlantOpsError

BEAT_SECONDS: Final = 15.0
TAG_SECONDS: Final = 0.08
"""Changed tags are told at most this often, on average; of one that changed in between, the newest value."""

_WATCH_SECONDS: Final = 20.0
_PAGE: Final = 1000
_PAUSE_SECONDS: Final = 1.0
_KNOWN_COMMANDS: Final = 20_000
_BEAT: Final = {"sse": b": beat\n\n", "ws": b'{"type":"beat"}'}

log = structlog.get_logger("plantops.gateway.live")

T = TypeVar("T", bound=Event)


class _OfAsset(msgspec.Struct):
    asset: str = ""


class Heard(msgspec.Struct):
    """What of an event is needed to know who wants it."""

    type: str
    command: str = ""
    asset: str = ""
    # Some events name a decision by its digest alone.
    decision: _OfAsset | str | None = None
    permit: _OfAsset | None = None

    def named_asset(self) -> str:
        for part in (self.permit, self.decision):
            if isinstance(part, _OfAsset) and part.asset:
                return part.asset
        return self.asset


@dataclass(slots=True)
class _Group:
    """All clients that want the same."""

    wanted: Wanted
    tags: TagFilter
    outlets: set[Outlet] = field(default_factory=set)

    def tell(self, chunk: Chunk) -> None:
        for outlet in self.outlets:
            outlet.put(chunk)


class Follower:
    """Hears what is stored about one command, between `async with` and its end, and what type it was."""

    def __init__(self) -> None:
        self.events: list[tuple[str, bytes]] = []
        self._news = asyncio.Event()
        self._rests = asyncio.Event()

    def hear(self, kind: str, data: bytes) -> None:
        self.events.append((kind, data))
        self._news.set()
        if may_rest(kind.rpartition(".")[2]):
            self._rests.set()

    @staticmethod
    def read(data: bytes, kind: type[T]) -> T:
        """One of `events`. Raises: DecodeError when it is of another kind."""
        return msgspec.json.decode(data, type=kind)

    async def news(self, seconds: float, *, rests: bool = False) -> bool:
        """True when something new was heard, with `rests` something with which the command may have come to
        rest. False when `seconds` are over without."""
        heard = self._rests if rests else self._news
        try:
            async with asyncio.timeout(max(seconds, 0)):
                await heard.wait()
        except TimeoutError:
            return False
        heard.clear()
        return True


class Live:
    """See the module. Nothing is subscribed before the first client comes."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._groups: dict[Wanted, _Group] = {}
        self._followers: dict[str, set[Follower]] = {}
        self._assets: OrderedDict[str, str] = OrderedDict()
        self._properties = {
            name: tuple(str(each.tag) for each in asset.properties.values())
            for name, asset in desk.plant.model.assets.items()
        }
        self._starting = asyncio.Lock()
        self._stack: AsyncExitStack | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._was_unmarked = False
        self._commands: int | None = None
        self._tags: int | None = None

    @property
    def position(self) -> Position:
        """Up to where this gateway has told: None where it has heard nothing yet."""
        return Position(self._commands, self._tags)

    @property
    def clients(self) -> int:
        """How many listen."""
        return sum(len(group.outlets) for group in self._groups.values())

    # Coming and going

    @asynccontextmanager
    async def listening(self, wanted: Wanted) -> AsyncIterator[Outlet]:
        """A queue that fills from now on. Raises: BrokerUnavailable."""
        await self._start()
        group = self._groups.get(wanted)
        if group is None:
            group = self._groups[wanted] = _Group(wanted, TagFilter(wanted, self._properties))
        outlet = Outlet()
        group.outlets.add(outlet)
        try:
            if wanted.has_tags:
                await self._watch()
            yield outlet
        finally:
            group.outlets.discard(outlet)
            if not group.outlets and self._groups.get(wanted) is group:
                del self._groups[wanted]

    @asynccontextmanager
    async def following(self, command: str) -> AsyncIterator[Follower]:
        """Hear one command from now on. Raises: BrokerUnavailable."""
        await self._start()
        follower = Follower()
        self._followers.setdefault(command, set()).add(follower)
        try:
            yield follower
        finally:
            others = self._followers[command]
            others.discard(follower)
            if not others:
                del self._followers[command]

    async def close(self) -> None:
        """Say good-bye to everybody, and end."""
        for group in self._groups.values():
            for outlet in group.outlets:
                outlet.cut("stopping")
        tasks = [each for each in (self._keeper, self._watcher) if each is not None]
        self._keeper = self._watcher = None
        for task in tasks:
            if task is not asyncio.current_task():
                task.cancel()
        await asyncio.gather(
            *(task for task in tasks if task is not asyncio.current_task()), return_exceptions=True
        )
        if self._stack is not None:
            stack, self._stack = self._stack, None
            await stack.aclose()

    async def _start(self) -> None:
        async with self._starting:
            if self._stack is None:
                async with AsyncExitStack() as stack:
                    await stack.enter_async_context(self._desk.listening(self._hear))
                    self._stack = stack.pop_all()
                self._keeper = asyncio.create_task(self._keep())

    async def _keep(self) -> None:
        """Heartbeats for who hears nothing, so that both sides see a dead connection."""
        while not self._desk.stopping.is_set():
            try:
                async with asyncio.timeout(BEAT_SECONDS):
                    await self._desk.stopping.wait()
            except TimeoutError:
                for group in self._groups.values():
                    beat = Chunk("beat", 0, _BEAT[group.wanted.form])
                    for outlet in group.outlets:
                        if outlet.is_idle:
                            outlet.put(beat)
        await self.close()

    # Commands

    async def _hear(self, message: Message) -> None:
        sequence = place_of(message)
        if not sequence:
            self._say_once(message)
            return
        try:
            heard = msgspec.json.decode(message.data, type=Heard)
        except msgspec.DecodeError as error:
            # Its place shows as a gap with the next one, and whoever listens asks the log for it.
            log.warning("live.unreadable", subject=message.subject, reason=str(error))
            return
        for follower in self._followers.get(heard.command, ()):
            follower.hear(heard.type, message.data)
        asset = await self._asset_of(heard)
        # From here to the queues nothing is waited for: no identity is told before what it stands for.
        if not self._is_next(sequence):
            return
        for group in list(self._groups.values()):
            if group.wanted.wants_command(heard.type, asset):
                data = encoded(group.wanted.form, self.position, heard.type, event_body(sequence, message))
                group.tell(Chunk("commands", sequence, data))

    def _say_once(self, message: Message) -> None:
        """Whoever can make a service answer here could fill the log with it."""
        if not self._was_unmarked:
            self._was_unmarked = True
            log.warning("live.not_from_the_log", subject=message.subject)

    def _is_next(self, sequence: int) -> bool:
        """False for what was told before. Who listens to commands is cut when something lies in between."""
        before, self._commands = self._commands, max(sequence, self._commands or 0)
        if before is None or sequence == before + 1:
            return True
        if sequence <= before:
            return False
        log.warning("live.missed", after=before, before=sequence)
        for group in self._groups.values():
            if group.wanted.has_commands:
                for outlet in group.outlets:
                    outlet.cut("missed")
        return True

    async def _asset_of(self, heard: Heard) -> str:
        asset = heard.named_asset() or self._assets.get(heard.command, "")
        if not asset and heard.command and any(wanted.assets for wanted in self._groups):
            try:
                asset = (await self._desk.command(heard.command)).asset
            except PlantOpsError as error:
                log.info("live.asset_unknown", command=heard.command, reason=error.message)
        if asset and heard.command:
            self._assets[heard.command] = asset
            self._assets.move_to_end(heard.command)
            while len(self._assets) > _KNOWN_COMMANDS:
                self._assets.popitem(last=False)
        return asset

    # Tags

    async def _watch(self) -> None:
        async with self._starting:
            if self._watcher is None or self._watcher.done():
                self._tags = await self._revision()
                self._watcher = asyncio.create_task(self._watch_on())

    async def _revision(self) -> int:
        told = await self._desk.ask("twin", "get", TagsAsked(limit=1), TagsTold)
        return told.revision

    async def _watch_on(self) -> None:
        """Until nobody wants tags. A twin that is away for a while is asked again; nothing is lost, since
        the revision says where to go on."""
        is_away, pace = False, Pace(TAG_SECONDS)
        while any(wanted.has_tags for wanted in self._groups) and not self._desk.stopping.is_set():
            asked = TagsAsked(after=self._tags or 0, wait_seconds=_WATCH_SECONDS, limit=_PAGE)
            try:
                told = await self._desk.ask("twin", "watch", asked, TagsTold, wait=_WATCH_SECONDS)
            except PlantOpsError as error:
                if not is_away:
                    log.warning("live.twin_away", reason=error.message)
                is_away = True
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            is_away = False
            self._tags = told.revision
            if told.tags:
                self._tell(told)
                await asyncio.sleep(pace.told())

    def _tell(self, told: TagsTold) -> None:
        ready = [(str(tag.tag), msgspec.json.encode(tag)) for tag in told.tags]
        for group in list(self._groups.values()):
            if not group.wanted.has_tags:
                continue
            chosen = [data for name, data in ready if group.tags.wants(name)]
            if chosen:
                body = tags_body(told.revision, chosen)
                data = encoded(group.wanted.form, self.position, TAGS, body)
                group.tell(Chunk("tags", told.revision, data))

    def filter_of(self, wanted: Wanted) -> TagFilter:
        """Which tags it means."""
        return TagFilter(wanted, self._properties)


def event_body(sequence: int, message: Message) -> bytes:
    """The stored event as it is, with its place in COMMANDS and its subject."""
    head = b'{"sequence":%d,"subject":%s,"event":' % (sequence, msgspec.json.encode(message.subject))
    data = message.data
    if b"\n" in data or b"\r" in data:
        data = msgspec.json.format(data, indent=-1)  # on one line, as server-sent events want it
    return head + data + b"}"


def tags_body(revision: int, tags: list[bytes]) -> bytes:
    """Encoded `TagState`s."""
    return b'{"revision":%d,"tags":[%s]}' % (revision, b",".join(tags))


def tag_bytes(tag: TagState) -> bytes:
    """One tag, as it stands in `tags_body`."""
    return msgspec.json.encode(tag)


def encoded(form: Form, position: Position, kind: str, body: bytes) -> bytes:
    """An event in the form of server-sent events (WHATWG HTML, 9.2) or of our WebSocket messages.

    `body` is JSON on one line.
    """
    identity, name = str(position).encode(), kind.encode()
    if form == "sse":
        return b"id: %s\nevent: %s\ndata: %s\n\n" % (identity, name, body)
    return b'{"id":"%s","type":"%s","data":%s}' % (identity, name, body)
