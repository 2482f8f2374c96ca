"""A source with every kind of tag, its frames, and what is told of it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from plantops.events import Event
from plantops.events.base import Scalar, SiteName, SourceName
from plantops.events.frames import Frame, Sample, pack, resolve
from plantops.events.sources import LeaseTaken, SourceUp
from plantops.events.tags import ScanGroup, SourceDefined, TagDefinition, layout_of
from plantops.flow.processor import Recorded
from plantops.twin.core import Twin, TwinState

SITE = SiteName("demo")
PLC = SourceName("plc1")
SECOND = 1_000_000_000
START = 1_770_000_000 * SECOND


def tag(name: str, kind: str, group: int = 0) -> TagDefinition:
    return msgspec.convert({"name": name, "kind": kind, "group": group, "unit": "u"}, TagDefinition)


def source(*tags: TagDefinition, name: str = PLC, slow_ms: int = 10_000) -> SourceDefined:
    groups = (ScanGroup(name="fast", period_ms=500), ScanGroup(name="slow", period_ms=slow_ms))
    return SourceDefined(site=SITE, source=SourceName(name), groups=groups, tags=tags)


TAGS = (
    tag("a.f8", "f8"),
    tag("a.i8", "i8"),
    tag("a.u8", "u8"),
    tag("a.b1", "b1"),
    tag("a.s", "s"),
    tag("b.f8", "f8"),
    tag("b.slow", "f8", 1),
)
DEFINITION = source(*TAGS)


def frame(
    sequence: int,
    *samples: tuple[int, Scalar | None] | tuple[int, Scalar | None, int],
    definition: SourceDefined = DEFINITION,
    epoch: int = 1,
    confirms: Iterable[int] = (0, 1),
    historical: bool = False,
    observed_at: int = START,
) -> Frame:
    """Samples as (position, value[, quality])."""
    given = [Sample(each[0], each[1], each[2] if len(each) == 3 else 192) for each in samples]
    packed = pack(
        definition,
        layout_of(definition),
        given,
        epoch=epoch,
        sequence=sequence,
        observed_at=observed_at,
        confirms=confirms,
        historical=historical,
    )
    return resolve(packed, definition)


class Shadow:
    """A twin that is told facts at a broker time of the test's choice."""

    def __init__(self, *, leased: bool = True, ttl_seconds: float = 3600.0) -> None:
        self.twin = Twin(SITE)
        self.state: TwinState = self.twin.initial()
        self.now = START
        self.history: list[Recorded] = []
        self._sequences = {"TAGS": 0, "SOURCES": 0}
        if leased:
            self.say(lease(1, ttl_seconds=ttl_seconds))
            self.say(SourceUp(source=PLC, epoch=1))

    def _tell(self, stream: str, fact: Frame | Event) -> None:
        self._sequences[stream] += 1
        recorded = Recorded(stream, self._sequences[stream], "", self.now, fact)
        self.history.append(recorded)
        self.state = self.twin.evolve(self.state, recorded)

    def see(self, *frames: Frame) -> None:
        for each in frames:
            self._tell("TAGS", each)

    def say(self, event: Event) -> None:
        self._tell("SOURCES", event)

    def wait(self, seconds: float) -> None:
        self.now += round(seconds * SECOND)


def lease(epoch: int, *, ttl_seconds: float = 3600.0, released: bool = False, name: str = PLC) -> LeaseTaken:
    return LeaseTaken(
        source=SourceName(name), epoch=epoch, owner="host", ttl_seconds=ttl_seconds, released=released
    )
