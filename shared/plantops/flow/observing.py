"""The observer: answers what a judgement needs to know, with evidence from the log.

The twin only says where to look. Each value is taken from the frame itself, whose signature is
verified, and its age from the frame that last confirmed its scan group: a twin cannot invent a value or
make a silent source fresh. It could still point at an older value of a living source; therefore the
executor judges again on what it reads from the device itself.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from plantops.events.base import Scalar, SiteName, TagName, encode_json, from_nanoseconds, to_nanoseconds
from plantops.events.command_parts import Observation, ObservedInput
from plantops.events.frames import Frame
from plantops.events.quality import Quality, has_value, is_bad
from plantops.events.queries import ProblemDetail, Sighting, SightingsAsked, SightingsTold, read_answer
from plantops.events.subjects import service
from plantops.flow.bus import Bus, Stored
from plantops.flow.reading import UNUSABLE, EventReader
from plantops.flow.trust import Trust
from plantops.model.load import Plant
from plantops.runtime.errors import BrokerError, BrokerUnavailable

TIMEOUT_SECONDS = 1.0


@dataclass
class Observer:
    """Observes tags for one site. `now` must be near the broker's clock; the judge bounds the difference."""

    site: SiteName
    bus: Bus
    plant: Plant
    trust: Trust
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    timeout_seconds: float = TIMEOUT_SECONDS
    _reader: EventReader = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._reader = EventReader(self.bus, self.trust, site=self.site)

    async def observe(self, tags: Sequence[TagName]) -> Observation:
        """One input per tag, in that order. What could not be found out is an input without a value and
        with a note; nothing is raised for it, since not knowing is an answer that the judge understands."""
        if not tags:
            return Observation(at=self.now())
        try:
            async with asyncio.timeout(self.timeout_seconds):
                sightings = await self._ask(tags)
                frames = await self._frames(sightings)
        except (BrokerError, TimeoutError, ValueError) as error:
            at = self.now()
            return Observation(at=at, inputs=tuple(_unknown(tag, f"no answer: {error}") for tag in tags))
        at = self.now()
        return Observation(at=at, inputs=tuple(self._input(one, frames, at) for one in sightings))

    async def _ask(self, tags: Sequence[TagName]) -> tuple[Sighting, ...]:
        question = encode_json(SightingsAsked(tags=tuple(tags)))
        reply = await self.bus.request(
            service("twin", self.site, "sightings"), question, timeout=self.timeout_seconds
        )
        told = read_answer(reply.data, SightingsTold)
        if isinstance(told, ProblemDetail):
            raise BrokerUnavailable(told.message)
        if tuple(one.tag for one in told.sightings) != tuple(tags):
            raise ValueError("the twin answered another question")
        return told.sightings

    async def _frames(self, sightings: Sequence[Sighting]) -> dict[int, _Seen]:
        sequences = {s for one in sightings for s in (one.value_sequence, one.confirmed_sequence) if s > 0}
        stored = await asyncio.gather(*(self.bus.get("TAGS", sequence) for sequence in sorted(sequences)))
        seen = {}
        for one in stored:
            if one is not None:
                seen[one.sequence] = await self._read(one)
        return seen

    async def _read(self, stored: Stored) -> _Seen:
        try:
            fact, _signer = await self._reader.read(stored)
        except UNUSABLE as error:
            return _Seen(stored.time_ns, None, f"frame {stored.sequence} cannot be believed: {error}")
        if not isinstance(fact, Frame):
            return _Seen(stored.time_ns, None, f"TAGS {stored.sequence} is no frame")
        return _Seen(stored.time_ns, fact, "")

    def _input(self, sighting: Sighting, frames: dict[int, _Seen], at: datetime) -> ObservedInput:
        tag = sighting.tag
        source = self.plant.sources.get(tag)
        value_frame, confirming = frames.get(sighting.value_sequence), frames.get(sighting.confirmed_sequence)
        if source is None or value_frame is None or confirming is None:
            return _unknown(tag, "never seen" if not sighting.value_sequence else "its frame is gone")
        if value_frame.frame is None or confirming.frame is None:
            return _unknown(tag, value_frame.note or confirming.note)
        if {value_frame.frame.source, confirming.frame.source} != {source}:
            return _unknown(tag, f"the frame is not of its source {source}")
        if _place(confirming.frame) < _place(value_frame.frame):
            return _unknown(tag, "it is said to be confirmed before it was sent")
        # What the confirming frame itself says of the tag is newer than what the twin points at.
        renewed = _find(confirming.frame, tag)
        found = renewed or _find(value_frame.frame, tag)
        stale_ns = _confirms(confirming.frame, tag)
        if found is None or stale_ns is None:
            return _unknown(tag, "the frame does not carry it")
        value, quality, source_time = found
        if isinstance(value, float) and not math.isfinite(value):
            value, quality = None, int(Quality.BAD_SENSOR_FAILURE)
        if to_nanoseconds(at) - confirming.stored_at > stale_ns and not is_bad(quality):
            quality = int(Quality.BAD_COMMUNICATION)
        return ObservedInput(
            tag=tag,
            value=value,
            quality=quality,
            age_seconds=max(0.0, (to_nanoseconds(at) - confirming.stored_at) / 1e9),
            source_time=from_nanoseconds(source_time),
            sequence=sighting.confirmed_sequence if renewed else sighting.value_sequence,
        )


@dataclass(frozen=True, slots=True)
class _Seen:
    stored_at: int
    frame: Frame | None
    note: str


def _unknown(tag: TagName, note: str) -> ObservedInput:
    return ObservedInput(
        tag=tag, value=None, quality=int(Quality.BAD_NOT_CONNECTED), age_seconds=None, note=note
    )


def _find(frame: Frame, tag: TagName) -> tuple[Scalar | None, int, int] | None:
    """Value, quality and source time of the last live sample of a tag in a frame."""
    found = None
    if frame.historical:
        return None
    for name, value, quality, source_time in frame.samples():
        if name == tag:
            found = (value if has_value(quality) else None, quality, source_time)
    return found


def _place(frame: Frame) -> tuple[int, int]:
    return frame.epoch, frame.sequence


def _confirms(frame: Frame, tag: TagName) -> int | None:
    """Whether the frame says that the tag stands as it was, by its group or itself: for how long that
    holds, in nanoseconds. None when it does not say so."""
    groups = [definition.group for definition in frame.definition.tags if definition.name == tag]
    if frame.historical or len(groups) != 1:
        return None
    if groups[0] not in frame.confirms and _find(frame, tag) is None:
        return None
    return frame.definition.groups[groups[0]].stale_ns
