"""Bringing a fold back to where the log stands: snapshot, own events, then inputs already decided upon."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

import structlog

from plantops.events.envelope import EVENT_ID, EVENT_TIME
from plantops.flow.bus import Bus, Stored, StreamState
from plantops.flow.dead import DeadLetters
from plantops.flow.inlet import Inlet, check_identity
from plantops.flow.outlet import Outlet
from plantops.flow.processor import Fact, Processor, Recorded
from plantops.flow.reading import UNUSABLE, EventReader
from plantops.flow.snapshot import Snapshot, SnapshotDamaged, SnapshotStore
from plantops.flow.step import is_own
from plantops.flow.wire import nanoseconds
from plantops.runtime.errors import IntegrityError

log = structlog.get_logger()

S = TypeVar("S")

_PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class Read:
    """A stored input that can be used, before it has its clamped time."""

    stored: Stored
    fact: Fact
    signer: str

    def at(self, time_ns: int) -> Recorded:
        """As the core sees it."""
        stored = self.stored
        identity = stored.headers.get(EVENT_ID) or f"{stored.stream}.{stored.sequence}"
        return Recorded(
            stored.stream, stored.sequence, stored.subject, time_ns, self.fact, self.signer, identity
        )


async def read_input(
    reader: EventReader, processor: Processor[S], stored: Stored, dead: DeadLetters | None
) -> Read | None:
    """None for what the core must not see: its own event, or a message that cannot be used.

    The latter is buried, unless `dead` is None: then it was when it came first. Raises: BrokerUnavailable.
    """
    if is_own(processor, stored.stream, stored.subject):
        return None
    try:
        fact, signer = await reader.read(stored)
    except UNUSABLE as error:
        if dead is not None:
            await dead.bury(stored, f"{type(error).__name__}: {error}")
        return None
    return Read(stored, fact, signer)


@dataclass(slots=True)
class Restorer(Generic[S]):
    """One restart of a shell. `created` afterwards identifies the streams that were folded."""

    processor: Processor[S]
    bus: Bus
    reader: EventReader
    store: SnapshotStore
    outlet: Outlet
    inlets: Sequence[Inlet]
    created: dict[str, str] = field(default_factory=dict)

    async def restore(self) -> S:
        """Take over, and give the state after all own events and all inputs that they cover."""
        await self.store.claim()
        snapshot, state = await self._load()
        if self.processor.output_stream:
            await self.outlet.look()
        for inlet in self.inlets:
            inlet.position = snapshot.positions.get(inlet.key, 0)
            inlet.clock_ns = snapshot.clocks.get(inlet.key, 0)
        await self._check_streams(snapshot)
        if self.processor.output_stream:
            # Only now: a word of ours behind what was lost would hide that it was. And who was replaced
            # meanwhile must not end the one who did.
            await self.store.require_owner()
            await self.outlet.begin()
            state = await self._fold_own(state, snapshot.own)
        await self._open_inlets()
        for inlet in self.inlets:
            state = await self._catch_up(inlet, state)
        return state

    async def _open_inlets(self) -> None:
        """All at once: each takes several answers of the broker, and a stop may be waiting for them.

        All runs share one consumer. One that was replaced while it restored must not have the broker deliver
        to the new one from where it stands itself: what is before that would be skipped there.

        Returns or raises when none is under way any more.
        """
        await self.store.require_owner()
        opening = [inlet.open(self.bus) for inlet in self.inlets]
        for result in await asyncio.gather(*opening, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result

    async def _load(self) -> tuple[Snapshot, S]:
        try:
            snapshot = await self.store.load()
            if snapshot is not None:
                return snapshot, self._parse(snapshot)
        except SnapshotDamaged as error:
            log.error("snapshot.damaged", processor=self.processor.name, reason=error.message)  # noqa: TRY400
        return Snapshot(), self.processor.initial()

    def _parse(self, snapshot: Snapshot) -> S:
        try:
            return self.processor.load(snapshot.state)
        except ValueError as error:
            raise SnapshotDamaged(f"its state cannot be read: {error}") from error

    async def _check_streams(self, snapshot: Snapshot) -> None:
        """Raises: IntegrityError."""
        folded: dict[str, int] = {}
        for inlet in self.inlets:
            position = max(inlet.position, self.outlet.covered.get(inlet.key, 0))
            folded[inlet.reads.stream] = max(folded.get(inlet.reads.stream, 0), position)
        if self.processor.output_stream:
            folded.setdefault(self.processor.output_stream, 0)
        for stream, position in folded.items():
            state = await self.bus.state(stream)
            check_identity(stream, state, snapshot.created.get(stream, ""), position)
            self.created[stream] = state.created
            if stream == self.processor.output_stream:
                self._check_own(snapshot.own, state)

    def _check_own(self, folded: int, state: StreamState) -> None:
        # Expired is not lost: then everything up to there is older than what the stream keeps.
        if self.outlet.last < folded and state.first <= folded:
            raise IntegrityError(
                f"the last event on {self.processor.output_filter!r} is {self.outlet.last}, but {folded} was "
                f"stored already: stream {self.processor.output_stream!r} lost messages",
                path=self.processor.output_stream,
            )

    async def _fold_own(self, state: S, position: int) -> S:
        stream, own_filter = self.processor.output_stream, self.processor.output_filter
        while position < self.outlet.last:
            for stored in await self.bus.history(stream, own_filter, position + 1, _PAGE):
                if stored.sequence <= self.outlet.last:
                    state = self.processor.evolve(state, self._own(stored))
                position = stored.sequence
        return state

    def _own(self, stored: Stored) -> Recorded:
        try:
            fact = self.reader.read_own(stored)
            time_ns = nanoseconds(stored.headers.get(EVENT_TIME, ""))
        except UNUSABLE as error:
            raise IntegrityError(
                f"own event {stored.sequence} on {stored.subject!r} cannot be used ({error}): the state "
                "cannot be rebuilt without it",
                path=stored.stream,
            ) from error
        identity = stored.headers.get(EVENT_ID, "")
        return Recorded(stored.stream, 0, stored.subject, time_ns, fact, self.processor.name, identity)

    async def _catch_up(self, inlet: Inlet, state: S) -> S:
        """Evolve with the inputs up to the covered position: what follows from them is stored already."""
        target = self.outlet.covered.get(inlet.key, 0)
        while inlet.position < target:
            delivered = await inlet.fetch(_PAGE)
            fresh = inlet.accept(delivered)
            for stored in fresh:
                if stored.sequence <= target:
                    state = await self._evolve(inlet, state, stored)
            is_beyond = bool(fresh) and fresh[-1].sequence > target
            if is_beyond or await self._is_gone(inlet, delivered, target):
                inlet.position = target
            if inlet.is_adrift or is_beyond or not delivered:
                await self.store.require_owner()
                await inlet.rewind()
        return state

    async def _evolve(self, inlet: Inlet, state: S, stored: Stored) -> S:
        read = await read_input(self.reader, self.processor, stored, None)
        time_ns = inlet.time_of(stored)
        inlet.folded(stored)
        return state if read is None else self.processor.evolve(state, read.at(time_ns))

    async def _is_gone(self, inlet: Inlet, delivered: Sequence[Stored], target: int) -> bool:
        """Whether nothing up to `target` is left to be delivered: retention took it."""
        if delivered:
            return delivered[-1].pending == 0 and delivered[-1].sequence <= inlet.position
        first = (await self.bus.state(inlet.reads.stream)).first
        log.warning("input.catching_up", input=inlet.key, position=inlet.position, target=target, first=first)
        return first > target
