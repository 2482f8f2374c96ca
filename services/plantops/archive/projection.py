"""What a stored message becomes: rows, samples, or a row of `unread` that says why not.

Reading may wait for the broker (definitions, a new policy); projecting is plain computation and is done for a
whole fetch at once, so that a reading which fails leaves nothing half done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from plantops.archive.audit_rows import audit_row
from plantops.archive.batch import Batch, Row
from plantops.archive.entries import entry_of, entry_rows
from plantops.archive.plant_tables import FRAME
from plantops.archive.record_tables import AUDIT, UNREAD
from plantops.archive.samples import StoredFrame, block_of, frame_row
from plantops.archive.series import SeriesBook
from plantops.events import TypeUnknown, VersionUnknown
from plantops.events.envelope import EVENT_TYPE
from plantops.events.frames import Frame
from plantops.flow.bus import Bus, Stored
from plantops.flow.policies import refresh
from plantops.flow.reading import UNUSABLE, EventReader, header
from plantops.policy.in_force import InForce
from plantops.runtime.errors import PolicyRejected, TrustError


@dataclass(frozen=True, slots=True)
class Understood:
    """A message that was read: a frame and who signed it, or all rows that follow from anything else."""

    stored: Stored
    frame: Frame | None = None
    signer: str = ""
    rows: Sequence[tuple[str, Row]] = ()


@dataclass(frozen=True, slots=True)
class NotUnderstood:
    """A message that could not be used, and why."""

    stored: Stored
    error: Exception


class Projection(Protocol):
    """One stream's way into rows."""

    async def read(self, fetched: Sequence[Stored]) -> Sequence[Understood | NotUnderstood]:
        """Raises: BrokerError; then nothing was taken in."""
        ...

    def project(self, read: Sequence[Understood | NotUnderstood], batch: Batch) -> None:
        """Add the rows of a fetch, in its order. Never raises for what a message holds."""
        ...


class EventProjection:
    """Signed events, tag frames among them."""

    def __init__(self, bus: Bus, trust: InForce, series: SeriesBook, *, site: str) -> None:
        self._bus, self._trust, self._series = bus, trust, series
        self._reader = EventReader(bus, trust, site=site)

    async def read(self, fetched: Sequence[Stored]) -> Sequence[Understood | NotUnderstood]:
        found = [await self._read(stored) for stored in fetched]
        if any(map(_is_distrusted, found)) and await self._has_new_policy():
            # Signed perhaps by somebody whom only the newest policy knows.
            found = [await self._read(one.stored) if _is_distrusted(one) else one for one in found]
        return found

    async def _read(self, stored: Stored) -> Understood | NotUnderstood:
        try:
            fact, signer = await self._reader.read(stored)
            if isinstance(fact, Frame):
                self._series.require(fact.definition, fact.layout)
                return Understood(stored, fact, signer)
            return Understood(stored, rows=entry_rows(entry_of(stored, fact, signer)))
        except UNUSABLE as error:
            return NotUnderstood(stored, error)

    async def _has_new_policy(self) -> bool:
        try:
            return await refresh(self._bus, self._trust)
        except PolicyRejected:
            return False

    def project(self, read: Sequence[Understood | NotUnderstood], batch: Batch) -> None:
        frames: list[StoredFrame] = []
        for one in read:
            if isinstance(one, NotUnderstood):
                batch.add(UNREAD.name, unread_row(one.stored, one.error))
            elif one.frame is not None:
                frames.append(self._frame(one, one.frame, batch))
            else:
                for table, row in one.rows:
                    batch.add(table, row)
        if (block := block_of(frames)) is not None:
            batch.samples.append(block)

    def _frame(self, one: Understood, frame: Frame, batch: Batch) -> StoredFrame:
        numbers = self._series.numbers(frame.definition, frame.layout, one.stored.sequence, batch)
        stored = StoredFrame(one.stored.sequence, one.stored.time_ns // 1000, one.signer, frame, numbers)
        batch.add(FRAME.name, frame_row(stored))
        return stored


def _is_distrusted(one: Understood | NotUnderstood) -> bool:
    return isinstance(one, NotUnderstood) and isinstance(one.error, TrustError)


class AuditProjection:
    """Records of AUDIT: taken as they are, since a bad one is a finding and keeps its place."""

    async def read(self, fetched: Sequence[Stored]) -> Sequence[Understood | NotUnderstood]:
        return [
            Understood(stored, rows=[(AUDIT.name, audit_row(stored.sequence - 1, stored.data))])
            for stored in fetched
        ]

    def project(self, read: Sequence[Understood | NotUnderstood], batch: Batch) -> None:
        for one in read:
            if isinstance(one, Understood):
                for table, row in one.rows:
                    batch.add(table, row)


def projections(
    plant: Bus, audit: Bus, trust: InForce, series: SeriesBook, *, site: str
) -> Callable[[str], Projection]:
    """Which projection a stream has. They share the series, so they belong to one archive."""
    events = EventProjection(plant, trust, series, site=site)
    special: dict[str, Projection] = {
        "AUDIT": AuditProjection(),
        "CHECKPOINTS": EventProjection(audit, trust, series, site=site),
    }
    return lambda stream: special.get(stream, events)


_MAX_REASON: Final = 1000


def unread_row(stored: Stored, error: Exception) -> Row:
    """The row of table `unread` for a message that could not be used."""
    return (
        stored.stream,
        stored.sequence,
        stored.time_ns // 1000,
        plain(stored.subject),
        plain(header(stored, EVENT_TYPE)),
        cause_of(error),
        plain(f"{type(error).__name__}: {error}"[:_MAX_REASON]),
        msgspec.json.encode({plain(k): plain(v) for k, v in stored.headers.items()}, order="sorted").decode(),
        stored.data,
    )


def plain(text: object) -> str:
    """Text that a column takes: what a client made of bytes that are no UTF-8 is spelt out."""
    return str(text).encode("utf-8", "backslashreplace").decode()


def cause_of(error: Exception) -> str:
    """In one word: unknown_type, unknown_version, untrusted or malformed."""
    match error:
        case TypeUnknown():
            return "unknown_type"
        case VersionUnknown():
            return "unknown_version"
        case TrustError():
            return "untrusted"
        case _:
            return "malformed"
