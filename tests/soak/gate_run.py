"""One run of the gate: the real core and the real door, in a shell of the harness's own.

It keeps the order of the real shell (decide, evolve, store the answers as one batch that is fenced by
compare-and-set, with the positions that they stand for), without its snapshots in a bucket and its pulling.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from plantops.events import Event, encode
from plantops.events.base import TagName
from plantops.events.command_parts import Observation
from plantops.events.envelope import EVENT_ID, EVENT_TIME, POSITION, Message
from plantops.flow.bus import Stored
from plantops.flow.patterns import covers
from plantops.flow.processor import Recorded
from plantops.flow.reading import UNUSABLE, read_event
from plantops.flow.signing import Signer
from plantops.flow.step import is_own, step
from plantops.flow.wire import nanoseconds
from plantops.gate.core import Gate
from plantops.gate.door import Door
from plantops.gate.state import GateState
from plantops.policy.in_force import InForce
from plantops.runtime.errors import Conflict
from soak import telling
from soak.broker import of_stream
from soak.ground import PLANT, ROOT, SITE
from support.plant_samples import key

if TYPE_CHECKING:
    from soak.world import World

STREAMS = ("POLICY", "INTENTS", "APPROVALS", "COMMANDS", "TIMERS")
GATE = Gate(SITE, PLANT, ROOT)


@dataclass(frozen=True)
class Snapshot:
    """What a gate wrote down: its state, and how far it had read and said."""

    state: bytes
    positions: dict[str, int]
    own: int


EMPTY = Snapshot(b"", {}, 0)


@dataclass
class GateRun:
    """From a start to a crash. One that hangs knows nothing of the next until the broker refuses it."""

    world: World
    snapshot: Snapshot = EMPTY
    state: GateState = field(init=False)
    positions: dict[str, int] = field(init=False)
    own: int = 0
    is_fenced: bool = False
    shut_off: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self.bus = self.world.broker.bus("gate")
        self.signer = Signer("gate", key("gate"))
        self.in_force = InForce(ROOT, SITE, plant=PLANT)
        self.positions = {stream: self.snapshot.positions.get(stream, 0) for stream in STREAMS}
        self.state = GATE.load(self.snapshot.state) if self.snapshot.state else GATE.initial()
        self.door = Door(
            site=SITE,
            bus=self.bus,
            signer=self.signer,
            plant=PLANT,
            state=lambda: self.state,
            observe=self._observe,
            refuse=self._refuse,
            now=lambda: self.world.now,
        )

    async def _observe(self, tags: tuple[TagName, ...]) -> Observation:
        return self.world.observe(tags)

    async def _refuse(self, login: str, subject: str, reason: str) -> None:
        self.world.count(f"door: {reason.partition(':')[0]}")

    async def restore(self) -> None:
        """Bring the state to where the log stands: own events, then the inputs that they stand for."""
        await self.world.refresh_quietly(self.in_force)
        covered: dict[str, int] = {}
        for stored in of_stream(self.world.broker, "COMMANDS", self.snapshot.own):
            if not covers(GATE.output_filter, stored.subject):
                continue
            self.own = stored.sequence
            covered |= json.loads(stored.headers.get(POSITION, "{}"))
            fact, _signer = read_event(stored, self.in_force.ever)
            time_ns = nanoseconds(stored.headers[EVENT_TIME])
            identity = stored.headers[EVENT_ID]
            self.state = GATE.evolve(
                self.state, Recorded("COMMANDS", 0, stored.subject, time_ns, fact, "gate", identity)
            )
        self.own = max(self.own, self.snapshot.own)
        for stream, position in covered.items():
            for stored in of_stream(self.world.broker, stream, self.positions[stream]):
                if stored.sequence > position:
                    break
                self.positions[stream] = stored.sequence
                recorded = self._read(stored)
                if recorded is not None:
                    self.state = GATE.evolve(self.state, recorded)

    def write_down(self) -> Snapshot:
        """A snapshot of now."""
        return Snapshot(GATE.dump(self.state), dict(self.positions), self.own)

    def waiting(self) -> list[Stored]:
        """What it has not read yet, in the order of storage."""
        found: list[Stored] = []
        for stream in STREAMS:
            if stream not in self.shut_off:
                found += of_stream(self.world.broker, stream, self.positions[stream])
        return sorted(found, key=lambda each: (each.time_ns, STREAMS.index(each.stream), each.sequence))

    async def pump(self) -> bool:
        """Read what is there. False when there was nothing."""
        waiting = self.waiting()
        for stored in waiting:
            if self.is_fenced:
                return False
            await self.take(stored)
        return bool(waiting)

    async def take(self, stored: Stored) -> None:
        """One input."""
        await self.world.refresh_quietly(self.in_force)
        recorded = self._read(stored)
        self.positions[stored.stream] = stored.sequence
        if recorded is None:
            return
        if self.world.gate is self:
            telling.gate_reads(self.world, recorded)
        self.state, own = step(GATE, self.state, recorded)
        told = [each.fact for each in own if isinstance(each.fact, Event)]
        if (own and not await self._store(own, recorded)) or self.world.gate is not self:
            return
        self.world.history.append((recorded, tuple(encode(event) for event in told)))
        for event in told:
            telling.gate_said(self.world, event, recorded)

    def _read(self, stored: Stored) -> Recorded | None:
        if is_own(GATE, stored.stream, stored.subject):
            return None
        if not any(
            each.stream == stored.stream and any(covers(one, stored.subject) for one in each.subjects)
            for each in GATE.consumes
        ):
            return None
        try:
            fact, signer = read_event(stored, self.in_force)
        except UNUSABLE:
            self.world.count("gate: buried")
            return None
        identity = stored.headers.get(EVENT_ID, "")
        return Recorded(
            stored.stream, stored.sequence, stored.subject, stored.time_ns, fact, signer, identity
        )

    async def _store(self, own: Iterable[Recorded], cause: Recorded) -> bool:
        """Whether the answers are stored; another gate's word since makes this run end."""
        where = json.dumps({name: at for name, at in self.positions.items() if at})
        messages = [
            self.signer.message(
                each.subject, _event(each), id=each.id, time=cause.time_ns, headers={POSITION: where}
            )
            for each in own
        ]
        try:
            self.own = await self.bus.publish_batch(
                [Message(each.subject, each.data, each.headers) for each in messages],
                stream="COMMANDS",
                expected_last=self.own,
                expected_subject=GATE.output_filter,
            )
        except Conflict:
            self.is_fenced = True
            self.world.count("gate: fenced")
            return False
        return True


def _event(recorded: Recorded) -> Event:
    assert isinstance(recorded.fact, Event)
    return recorded.fact
