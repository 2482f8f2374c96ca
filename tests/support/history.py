"""What the streams of a site hold when the dust has settled, and what must be true of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from plantops.audit.records import read_records
from plantops.audit.trust import trust_of
from plantops.audit.verify import OnlineReport, verify_online
from plantops.deployment.policies import read_envelope, verify_envelope
from plantops.events import decode
from plantops.events.base import CommandId, Event
from plantops.events.commands import (
    FINAL,
    CommandCancelled,
    CommandClaimed,
    CommandExecuted,
    CommandExpired,
    CommandFailed,
    CommandPermitted,
    CommandRequested,
    SafePermitted,
)
from plantops.events.frames import Frame, decode_frame, resolve
from plantops.events.sources import GapRecorded, LeaseTaken
from plantops.events.tags import SourceDefined
from plantops.flow.bus import Bus, Stored
from plantops.policy.audit_keys import writers_of
from plantops.policy.document import Policy
from support.site import RunningSite

PAGE = 500


async def stored(bus: Bus, stream: str, subject: str = ">") -> list[Stored]:
    """All messages of a stream on a subject, in order."""
    return [message async for message in _stored(bus, stream, subject)]


async def _stored(bus: Bus, stream: str, subject: str) -> AsyncIterator[Stored]:
    start = 1
    while page := await bus.history(stream, subject, start, PAGE):
        for message in page:
            yield message
        start = page[-1].sequence + 1


# Commands


@dataclass(frozen=True, slots=True)
class Life:
    """What COMMANDS holds of one command, in order."""

    events: tuple[Event, ...]

    def count(self, kind: type[Event]) -> int:
        return sum(isinstance(event, kind) for event in self.events)

    def may_write(self, tag: str) -> bool:
        """Whether a permit for it names the tag."""
        permits = [e.permit for e in self.events if isinstance(e, CommandPermitted | SafePermitted)]
        return any(write.tag == tag for permit in permits for write in permit.writes)

    @property
    def finals(self) -> tuple[Event, ...]:
        return tuple(event for event in self.events if isinstance(event, FINAL))

    @property
    def is_refused_late(self) -> bool:
        """The gate ended it, and a host that came back later says that it did not touch it: no two outcomes,
        but two who say the same."""
        if len(self.finals) != 2 or self.count(CommandClaimed):
            return False
        first, second = self.finals
        is_ended = isinstance(first, CommandExpired | CommandCancelled)
        return is_ended and isinstance(second, CommandFailed) and not second.written

    @property
    def reason(self) -> str:
        """Of the last final event; empty where it has none."""
        last = self.finals[-1]
        return str(getattr(last, "reason", "") or getattr(last, "waiting_for", ""))


async def lives(bus: Bus) -> dict[CommandId, Life]:
    """All commands by identity."""
    found: defaultdict[CommandId, list[Event]] = defaultdict(list)
    for message in await stored(bus, "COMMANDS"):
        event = decode(message.data)
        found[CommandId(getattr(event, "command", ""))].append(event)
    return {command: Life(tuple(events)) for command, events in found.items()}


async def requested(bus: Bus) -> list[CommandId]:
    """The commands that the door took, in order, as often as INTENTS holds them."""
    events = [decode(message.data) for message in await stored(bus, "INTENTS")]
    return [event.command for event in events if isinstance(event, CommandRequested)]


async def check_commands(bus: Bus, sent: Iterable[CommandId]) -> dict[CommandId, Life]:
    """Each was taken once, claimed and executed at most once, and has one end with its reason."""
    taken, found = await requested(bus), await lives(bus)
    assert len(taken) == len(set(taken))
    for command in sent:
        assert command in taken, f"{command} was taken at the door and is not stored"
        life = found[command]
        kinds = [type(event).__name__ for event in life.events]
        assert life.count(CommandClaimed) <= 1, kinds
        assert len(life.finals) == 1 or life.is_refused_late, kinds
        assert life.count(CommandExecuted) or life.reason, kinds
        if life.count(CommandExecuted):
            assert life.count(CommandClaimed) == 1, kinds
    return found


# Audit


def policy_of(site: RunningSite) -> Policy:
    folder = site.site.folder
    return verify_envelope(folder, read_envelope(folder)).policy


async def claims_audited(site: RunningSite) -> dict[CommandId, datetime]:
    """When AUDIT stored the claim of each command."""
    async with site.auditor() as bus:
        records = await read_records(bus, site="demo", trusted=writers_of(policy_of(site)), last=100_000)
    found: dict[CommandId, datetime] = {}
    for shown in records:
        assert shown.record is not None, shown.finding
        if shown.record.kind == "command.claimed":
            found.setdefault(CommandId(shown.record.command), shown.stored_at)
    return found


async def check_claims_audited(site: RunningSite, found: dict[CommandId, Life]) -> None:
    """Nothing was written before AUDIT had the claim: by the clock of this one machine."""
    audited = await claims_audited(site)
    for command, life in found.items():
        for event in life.events:
            for step in getattr(event, "steps", ()):
                if step.written_at is not None:
                    assert command in audited, f"{command} was written and its claim is not in AUDIT"
                    assert audited[command] <= step.written_at, f"{command} was written before its record"


async def verified(site: RunningSite) -> OnlineReport:
    """The whole audit log, checked."""
    async with site.auditor() as bus:
        return await verify_online(bus, trust_of(policy_of(site)))


# Tags


@dataclass(frozen=True, slots=True)
class SourceHistory:
    """Everything that TAGS and SOURCES hold of one source, in the order of storage."""

    frames: tuple[Frame, ...]
    gaps: tuple[GapRecorded, ...]
    leases: tuple[LeaseTaken, ...]

    @property
    def epochs(self) -> list[int]:
        return sorted({lease.epoch for lease in self.leases})

    def sequences(self, epoch: int) -> list[int]:
        """As stored; what was backfilled comes later."""
        return [frame.sequence for frame in self.frames if frame.epoch == epoch]

    def holes(self, epoch: int) -> set[int]:
        """Frames that are not there, below the highest that is known to have been made."""
        told = [gap.last for gap in self.gaps if gap.epoch == epoch]
        last = max([*self.sequences(epoch), *told], default=0)
        return set(range(1, last + 1)) - set(self.sequences(epoch))

    def told(self, epoch: int) -> list[int]:
        """Frames that gap events say are lost, as often as they say it."""
        return [
            number
            for gap in self.gaps
            if gap.epoch == epoch and gap.first
            for number in range(gap.first, gap.last + 1)
        ]

    def values(self, tag: str) -> list[int]:
        """The good values of a counter, in the order in which they were observed."""
        ordered = sorted(self.frames, key=lambda frame: (frame.epoch, frame.sequence))
        return [
            int(value)
            for frame in ordered
            for name, value, _quality, _time in frame.samples()
            if name == tag and value is not None
        ]


async def history_of(bus: Bus, source: str) -> SourceHistory:
    """Reads all; each frame against the definition that it names."""
    definitions: dict[str, SourceDefined] = {}
    for message in await stored(bus, "DEFINITIONS", f"definition.demo.{source}.*"):
        event = decode(message.data)
        assert isinstance(event, SourceDefined)
        definitions[message.subject.rpartition(".")[2]] = event
    frames = []
    for message in await stored(bus, "TAGS", f"tag.demo.{source}"):
        packed = decode_frame(message.data)
        frames.append(resolve(packed, definitions[packed.layout]))
    events = [decode(message.data) for message in await stored(bus, "SOURCES", f"source.demo.{source}.*")]
    return SourceHistory(
        tuple(frames),
        tuple(event for event in events if isinstance(event, GapRecorded)),
        tuple(event for event in events if isinstance(event, LeaseTaken)),
    )


def check_source(found: SourceHistory) -> None:
    """No frame twice; every hole is told exactly; an epoch that ended without a word is told, too."""
    for epoch in found.epochs:
        sequences = found.sequences(epoch)
        assert len(sequences) == len(set(sequences)), f"epoch {epoch} holds a frame twice"
        told = found.told(epoch)
        assert len(told) == len(set(told)), f"a loss of epoch {epoch} is told twice"
        assert set(told) == found.holes(epoch), f"epoch {epoch}: holes and gap events differ"
    for gap in found.gaps:
        if gap.first:
            assert gap.frames == gap.last - gap.first + 1
    for epoch in found.epochs[:-1]:
        is_released = any(lease.released for lease in found.leases if lease.epoch == epoch)
        is_told = any(gap.epoch == epoch and gap.cause == "restart" and not gap.first for gap in found.gaps)
        assert is_released or is_told, f"epoch {epoch} ended without a word and nobody says so"


def check_counter(values: Sequence[int]) -> None:
    """A counter never goes back and no value comes twice: nothing stale, nothing repeated."""
    assert len(values) > 1
    assert bool((np.diff(np.asarray(values)) > 0).all()), values
