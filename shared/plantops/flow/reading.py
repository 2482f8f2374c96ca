"""A stored message on its way in: decoded, believed or not, frames resolved with their definitions."""

from __future__ import annotations

from typing import Final

from plantops.events import Event, EventUnreadable, check_known, decode, event_type, subjects
from plantops.events.base import Digest, SourceName
from plantops.events.envelope import (
    BEFORE_VERSIONS,
    CONTENT_TYPE,
    DATA_SCHEMA,
    EVENT_TYPE,
    MSGPACK,
    Message,
    read_data_schema,
)
from plantops.events.frames import FrameMalformed, decode_frame, resolve
from plantops.events.subjects import SubjectInvalid
from plantops.events.tags import NamedFrame, SourceDefined, TagFrame, layout_of
from plantops.flow.bus import Bus, Stored
from plantops.flow.named_frames import frame_of
from plantops.flow.processor import Fact
from plantops.flow.trust import Trust
from plantops.runtime.errors import TrustError

MAX_EVENT_BYTES: Final = 1024 * 1024
DEFINITIONS: Final = "DEFINITIONS"
_MAX_LAYOUTS: Final = 4096

# What a message can be guilty of itself: such a message goes to DEAD. Everything else is our trouble.
UNUSABLE: Final = (TrustError, ValueError, OverflowError, RecursionError)


def read_event(stored: Stored, trust: Trust) -> tuple[Event, str]:
    """The event in a stored message and who signed it ("" where its type needs no signature).

    Its signer's key is the one that counted when the broker stored it. Frames come packed (`TagFrame`) or
    named (`NamedFrame`). What a newer program wrote is refused before its signature is looked at.
    Raises: EventUnknown; another one of `UNUSABLE`.
    """
    told, version = refuse_unknown(stored)
    content = header(stored, CONTENT_TYPE)
    event = _decode(stored.data, is_packed=content == MSGPACK)
    kind = event_type(event)
    if told and told != kind:
        raise ValueError(f"the header says {told!r}, the payload is {kind!r}")
    if not told:
        check_known(kind, version)
    message = Message(stored.subject, stored.data, stored.headers)
    return event, trust.at(stored.time_ns).believe(kind, version, message)


def refuse_unknown(stored: Stored) -> tuple[str, int]:
    """Event type and version that the headers tell: "" where they tell no type, 1 where they tell no version.

    What they tell is not signed itself, but the signature is bound to both.
    Raises: TypeUnknown, VersionUnknown; EventUnreadable when the headers contradict each other.
    """
    told, schema = header(stored, EVENT_TYPE), header(stored, DATA_SCHEMA)
    if not schema:
        if told:
            check_known(told, BEFORE_VERSIONS)
        return told, BEFORE_VERSIONS
    kind, version = read_data_schema(schema)
    if told and told != kind:
        raise EventUnreadable(f"the header {EVENT_TYPE} says {told!r}, {DATA_SCHEMA} says {kind!r}")
    check_known(kind, version)
    return kind, version


def _decode(data: bytes, *, is_packed: bool) -> Event:
    if is_packed:
        return decode_frame(data)
    if len(data) > MAX_EVENT_BYTES:
        raise ValueError(f"event of {len(data)} bytes, the limit is {MAX_EVENT_BYTES}")
    return decode(data)


def header(stored: Stored, name: str) -> str:
    """A header's text in any spelling of its name, "" where there is none."""
    found = stored.headers.get(name)
    if found is None:
        found = next((value for key, value in stored.headers.items() if key.lower() == name), "")
    return found


class Layouts:
    """Definitions by source and layout, looked up once: under its own content hash one cannot change."""

    def __init__(self, bus: Bus, site: str) -> None:
        self._bus = bus
        self._site = site
        self._known: dict[tuple[SourceName, Digest], SourceDefined] = {}

    async def find(self, source: SourceName, layout: Digest) -> SourceDefined:
        """Raises: FrameMalformed when there is none, or not under its own hash; BrokerUnavailable."""
        known = self._known.get((source, layout))
        if known is not None:
            return known
        try:
            subject = subjects.definition(self._site, source, layout)
        except SubjectInvalid as error:
            raise FrameMalformed(f"source {source!r} or layout {layout!r} is no name") from error
        stored = await self._bus.last(DEFINITIONS, subject)
        if stored is None:
            raise FrameMalformed(f"source {source!r} never defined layout {layout!r}")
        definition = decode(stored.data)
        if not isinstance(definition, SourceDefined) or layout_of(definition) != layout:
            raise FrameMalformed(f"what is stored on {subject!r} is not layout {layout!r}")
        if len(self._known) >= _MAX_LAYOUTS:
            self._known.clear()
        self._known[source, layout] = definition
        return definition


class EventReader:
    """Stored messages into facts, as cores see them."""

    def __init__(self, bus: Bus, trust: Trust, *, site: str) -> None:
        self._trust = trust
        self._layouts = Layouts(bus, site)

    def read_own(self, stored: Stored) -> Event:
        """What this process stored itself, by whatever key it had then. Raises: one of `UNUSABLE`."""
        return read_event(stored, self._trust.ever)[0]

    async def read(self, stored: Stored) -> tuple[Fact, str]:
        """The fact and its signer. Raises: one of `UNUSABLE`, BrokerUnavailable, StreamMissing."""
        event, signer = read_event(stored, self._trust)
        match event:
            case TagFrame():
                return resolve(event, await self._layouts.find(event.source, event.layout)), signer
            case NamedFrame():
                return frame_of(event, await self._layouts.find(event.source, event.layout)), signer
            case _:
                return event, signer
