"""One stream on its way in: fetched in order, read, projected, and held until it is stored."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import structlog

from plantops.archive.batch import Batch, Position
from plantops.archive.projection import Projection
from plantops.archive.record_tables import HOLE
from plantops.flow.bus import Bus, Stored
from plantops.flow.inlet import Inlet, check_identity
from plantops.flow.processor import Reads
from plantops.runtime.errors import BrokerUnavailable, IntegrityError, StreamMissing

FETCH_MESSAGES: Final = 500
# What one stream may hold back while the disk is busy: some seconds of a busy plant.
MAX_WAITING: Final = 1_000_000
# Below so many samples and messages at once, what comes next waits for company: to take in a single message
# costs as much as its reading, and it would wait for the commit anyway.
_LIGHT: Final = 200
_COMPANY_SECONDS: Final = 0.25
# The broker writes a file for each confirmation. It counts for nothing but what the broker delivers to a
# consumer that was not reset; far below the time after which it would deliver it again.
_CONFIRM_WEIGHT: Final = 1000
_CONFIRM_SECONDS: Final = 5.0
# When nothing comes it is looked whether something should have; soon where a run before us may have taken it.
_FIRST_LOOK_SECONDS: Final = 0.3
_LOOK_SECONDS: Final = 5.0
_PAUSE_SECONDS: Final = 0.5

log = structlog.get_logger("plantops.archive")


@dataclass(slots=True)
class Taken:
    """What an intake hands over to be stored, and the message up to which that is."""

    batch: Batch = field(default_factory=Batch)
    last: Stored | None = None
    weight: int = 0  # samples and messages


class Intake:
    """Follows one stream. `halted` says why it does not any more, "" while it does.

    A stream that is not the one which was archived halts this intake and no other: what the tables hold stays
    true, and a person decides.
    """

    def __init__(
        self,
        process: str,
        reads: Reads,
        bus: Bus,
        projection: Projection,
        position: Position | None,
        *,
        until: int | None = None,
    ) -> None:
        """`position` is how far the stream is stored, `until` the last sequence to take, None for no end."""
        self.stream: Final = reads.stream
        self.until: Final = until
        self.halted = ""
        self.last_known = 0  # of the stream, when it was last looked at
        self._bus, self._projection = bus, projection
        self._inlet = Inlet(process, reads, ahead=True)
        self._inlet.position = position.sequence if position else 0
        self._created = position.created if position else ""
        self._first = 0  # what the stream still held when it was opened
        self._waiting = Taken()
        self._is_light = False
        self._stored: Stored | None = None  # the last one that is, while the broker does not know it
        self._unconfirmed = 0
        self._confirmed_at = 0.0
        self._quiet_since, self._look_seconds = 0.0, _FIRST_LOOK_SECONDS
        self._room = asyncio.Event()
        self._room.set()

    @property
    def weight(self) -> int:
        """Samples and messages that wait to be stored."""
        return self._waiting.weight

    @property
    def position(self) -> int:
        """The last sequence that was taken in; stored or about to be."""
        return self._inlet.position

    async def run(self, more: asyncio.Event) -> None:
        """Until cancelled, or until the end was taken; `more` is set whenever something waits to be stored.

        A stream that is missing is waited for. Raises: BrokerError when a right is missing.
        """
        told, is_open = "", False
        while self.until is None or self.position < self.until:
            try:
                if not is_open:
                    await self._open()
                    is_open = True
                await self._turn(more)
                told = self.halted = ""
            except (BrokerUnavailable, StreamMissing) as error:
                self._inlet.is_adrift = True
                if isinstance(error, StreamMissing):
                    self.halted, is_open = error.message, False
                if type(error).__name__ != told:
                    log.warning("archive.waiting", stream=self.stream, reason=error.message)
                told = type(error).__name__
                await asyncio.sleep(_PAUSE_SECONDS)
            except IntegrityError as error:
                self.halted = error.message
                log.error("archive.halted", stream=self.stream, reason=error.message)  # noqa: TRY400
                await asyncio.Event().wait()

    async def _open(self) -> None:
        await self._look()
        await self._inlet.open(self._bus)
        self._quiet_since, self._look_seconds = _now(), _FIRST_LOOK_SECONDS

    async def _look(self) -> None:
        """Whether it is the stream that was archived so far, and how far it reaches."""
        state = await self._bus.state(self.stream)
        try:
            check_identity(self.stream, state, self._created if self.position else "", self.position)
        except IntegrityError as error:
            said = error.message.partition(";")[0]
            raise IntegrityError(
                f"{self.stream} is followed no more, and what was archived stays: {said}; find out who did "
                "it, then keep the old archive and make a new one with `plantops replay`",
                path=self.stream,
            ) from error
        self._created, self._first, self.last_known = state.created, state.first, state.last

    async def _turn(self, more: asyncio.Event) -> None:
        await self._room.wait()
        if self._is_light:
            await asyncio.sleep(_COMPANY_SECONDS)
        await self._catch_up()
        await self._confirm_by_time()
        delivered = await self._inlet.fetch(FETCH_MESSAGES)
        self._is_light = False
        if delivered:
            self._quiet_since = _now()
        fresh = self._inlet.accept(delivered)
        if self.until is not None and fresh and fresh[-1].sequence > self.until:
            fresh = self._up_to(fresh, self.until)
        if not fresh:
            return
        if delivered[0].delivery == 1 or fresh[-1].sequence != self.position + len(fresh):
            # A count that begins anew may be that of another stream of this name; and whether something is
            # missing or expired shows in what the stream holds now.
            await self._look()
        read = await self._projection.read(fresh)
        taken = self._waiting
        before, weight = taken.batch.sample_count, taken.weight
        self._note_holes(fresh, taken.batch)
        self._projection.project(read, taken.batch)
        for stored in fresh:
            self._inlet.folded(stored)
        last = fresh[-1]
        taken.last = last
        taken.weight += len(fresh) + taken.batch.sample_count - before
        taken.batch.positions[self.stream] = Position(last.sequence, self._created, last.time_ns // 1000)
        self.last_known = max(self.last_known, last.sequence + last.pending)
        self._is_light = self.until is None and taken.weight - weight < _LIGHT
        if taken.weight > MAX_WAITING:
            self._room.clear()
        more.set()

    async def _catch_up(self) -> None:
        """Have delivered again what was lost on its way: after a jump, and where nothing comes although the
        stream holds more, since the pull of a run that was replaced may have taken it."""
        if not self._inlet.is_adrift:
            if _now() - self._quiet_since < self._look_seconds:
                return
            self._look_seconds = min(2 * self._look_seconds, _LOOK_SECONDS)
        await self._look()
        self._quiet_since = _now()
        if self._inlet.is_adrift or self.last_known > self.position:
            await self._inlet.rewind()

    def _up_to(self, fresh: list[Stored], until: int) -> list[Stored]:
        """What lies before the end; where the end itself is missing, it counts as taken."""
        kept = [stored for stored in fresh if stored.sequence <= until]
        if not kept:
            self._inlet.position = until
        return kept

    def _note_holes(self, fresh: list[Stored], batch: Batch) -> None:
        position = self._inlet.position
        for stored in fresh:
            if stored.sequence != position + 1:
                first, last = position + 1, stored.sequence - 1
                cause = "expired" if last < self._first else "missing"
                batch.add(HOLE.name, (self.stream, first, last, stored.time_ns // 1000, cause))
                log.error("archive.hole", stream=self.stream, first=first, last=last)
            position = stored.sequence

    def take(self) -> Taken:
        """Everything that waits; it is now the caller's to store."""
        taken, self._waiting = self._waiting, Taken()
        self._room.set()
        return taken

    async def confirm(self, taken: Taken) -> None:
        """It is stored: the broker need not deliver it again, which it is told now or some seconds later."""
        if taken.last is not None:
            self._stored = taken.last
            self._unconfirmed += taken.weight
            if self._unconfirmed >= _CONFIRM_WEIGHT:
                await self._confirm(taken.last)

    async def _confirm_by_time(self) -> None:
        if self._stored is not None and _now() - self._confirmed_at >= _CONFIRM_SECONDS:
            await self._confirm(self._stored)

    async def _confirm(self, stored: Stored) -> None:
        """An answer that is lost does no harm: the position in the file counts, not the broker's."""
        self._stored, self._unconfirmed, self._confirmed_at = None, 0, _now()
        with suppress(BrokerUnavailable):
            await self._inlet.confirm(stored)


def _now() -> float:
    return asyncio.get_running_loop().time()
