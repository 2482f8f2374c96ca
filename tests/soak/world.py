"""The world of the soak: one site, its clock, plant, gate and executors; it tells the model what happens."""

from __future__ import annotations

import math
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from plantops.events import Event
from plantops.events.base import Scalar, TagName, from_nanoseconds
from plantops.events.command_parts import Observation, ObservedInput
from plantops.events.envelope import Message
from plantops.flow.bus import Stored
from plantops.flow.policies import refresh
from plantops.flow.processor import Recorded
from plantops.flow.signing import Signer
from plantops.policy.in_force import InForce
from plantops.runtime.errors import PolicyRejected
from plantops.timer.core import Timer, TimerState
from soak import telling
from soak.broker import HandClock, broker_of, calm
from soak.gate_run import GateRun
from soak.ground import SITE, SOURCES, TAGS
from soak.host import HostRun
from soak.model import Model
from soak.words import Offer, Seen, Vote
from support.plant_samples import key

# How old an observation is at least: a poll and a way.
LAG: Final = 0.2


@dataclass(frozen=True)
class Broken:
    """Something that must not happen, with the step at which it did."""

    step: int
    what: str
    rules: tuple[str, ...]

    def __str__(self) -> str:
        return f"step {self.step}: {self.what}: {'; '.join(self.rules)}"


class World:
    """Everything of one episode. `folder` takes the executors' journals."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = HandClock()
        self.model = Model()
        self.broken: list[Broken] = []
        self.counts: Counter[str] = Counter()
        self.step = 0
        self.is_forging = False
        self.audit_is_away = False
        self.offers: dict[int, Offer] = {}
        self.votes: dict[str, Vote] = {}
        self.truth: dict[str, Seen] = {}
        self.feed_stopped: dict[str, datetime | None] = dict.fromkeys(SOURCES)
        self.away: set[str] = set()
        self.faults: dict[str, str] = {}
        self.leases: dict[str, int] = dict.fromkeys(SOURCES, 0)
        self.orders: defaultdict[str, deque[tuple[str, Stored]]] = defaultdict(deque)
        self.kept_back: set[str] = set()
        self.seen_orders: defaultdict[str, list[tuple[str, Stored]]] = defaultdict(list)
        self.broker = broker_of(self.clock, lambda stored: telling.stored(self, stored))
        self.hosts: dict[str, HostRun | None] = dict.fromkeys(SOURCES)
        self.old_hosts: list[HostRun] = []
        self.timer = Timer(SITE)
        self.ringing: TimerState = self.timer.initial()
        self.rung_by = {subject.split(".")[2] for reads in self.timer.consumes for subject in reads.subjects}
        self.history: list[tuple[Recorded, tuple[bytes, ...]]] = []
        self.gate: GateRun = GateRun(self)
        self.old_gates: list[GateRun] = []
        self.last_snapshot = self.gate.snapshot
        self.sent: dict[str, tuple[str, str, dict[str, Scalar]]] = {}
        self.ended: set[str] = set()
        self.last_key: dict[str, str] = {}
        self.stops_owed: list[str] = []
        self.told: defaultdict[type[Event], list[Event]] = defaultdict(list)
        self._fill()

    def _fill(self) -> None:
        for tag in TAGS:
            value: Scalar = 0.0
            if tag.endswith((".run", ".reset", ".local")):
                value = False
            elif tag.endswith((".temperature", ".level")):
                value = 50.0
            self.truth[tag] = Seen(value, 192, LAG, self.now)

    # Time and voices

    @property
    def now(self) -> datetime:
        """The one time of this world."""
        return from_nanoseconds(self.clock.now_ns())

    def time_of(self, stored: Stored) -> datetime:
        """When the broker stored it."""
        return from_nanoseconds(stored.time_ns)

    def count(self, what: str) -> None:
        """One more of it."""
        self.counts[what] += 1

    def breaks(self, what: str, rules: Sequence[str]) -> None:
        """Keep what must not happen."""
        if rules:
            self.broken.append(Broken(self.step, what, tuple(rules)))

    async def publish(self, stream: str, subject: str, event: Event, signer: str, name: str = "") -> int:
        """Anybody stores an event, signed by anybody's key; `name` is whom he claims to be."""
        message = Signer(name or signer, key(signer)).message(
            subject, event, id=f"{stream}.{self.broker.stream(stream).last}", time=self.clock.now_ns()
        )
        return await self.store(stream, message)

    async def store(self, stream: str, message: Message) -> int:
        """Bytes on a stream."""
        return self.broker.store([message], stream, None, "")

    # The plant

    def observe(self, tags: Sequence[TagName]) -> Observation:
        """What the observer tells of tags: signed frames as old as they are."""
        inputs = []
        for tag in tags:
            seen, source = self.truth[tag], self._source(tag)
            value = seen.value
            if isinstance(value, float) and not math.isfinite(value):
                value = None
            inputs.append(
                ObservedInput(tag=tag, value=value, quality=seen.quality, age_seconds=self.age(source))
            )
        return Observation(at=self.now, inputs=tuple(inputs))

    def age(self, source: str) -> float:
        """How long ago the source was heard last."""
        stopped = self.feed_stopped[source]
        return LAG if stopped is None else LAG + (self.now - stopped).total_seconds()

    def _source(self, tag: str) -> str:
        return "plc1" if tag.startswith("pump") else "opc1"

    def is_away(self, source: str) -> bool:
        """Whether the device answers nobody."""
        return source in self.away

    def take_fault(self, source: str) -> str:
        """What goes wrong with the next write; then it is gone."""
        return self.faults.pop(source, "")

    # Policies

    def policies_after(self, position: int) -> Iterator[tuple[Stored, Offer]]:
        """What was put on POLICY since, as the harness knows it."""
        stream = self.broker.stream("POLICY")
        for sequence in range(position + 1, stream.last + 1):
            yield stream.messages[sequence], self.offers[sequence]

    async def refresh(self, in_force: InForce) -> None:
        """A process reads what is new on POLICY. Raises: PolicyRejected."""
        if in_force.position < self.broker.stream("POLICY").last:
            await refresh(self.broker.bus("reader"), in_force)

    async def refresh_quietly(self, in_force: InForce) -> None:
        """The same; what does not hold is not its business."""
        with suppress(PolicyRejected):
            await self.refresh(in_force)

    # The flow

    def fell(self, host: HostRun) -> None:
        """A trap killed a run in the middle of its work."""
        self.old_hosts.append(host)
        if self.hosts[host.source] is host:
            self.hosts[host.source] = None

    async def start_host(self, source: str) -> None:
        """A run that takes the source over; orders that nobody acknowledged come again."""
        self.leases[source] += 1
        before = [each for each in self.old_hosts if each.source == source]
        host = HostRun(self, source, self.leases[source], self.folder / f"{source}.jsonl")
        self.hosts[source] = host
        await host.refresh()
        host.start()
        await calm()
        for each in before:
            for lane, feed in each.bus.feeds.items():
                for stored in feed.open.values():
                    host.deliver(stored, lane)

    async def restart_gate(self) -> None:
        """A new run of the gate from the last snapshot and the log; it must come to the same state."""
        old, new = self.gate, GateRun(self, self.last_snapshot)
        await new.restore()
        self.hand_over(new)
        self.old_gates.remove(old)
        self.count("gate restarted")
        if old.is_fenced:
            return
        for stored in new.waiting():
            if stored.sequence <= old.positions[stored.stream]:
                await new.take(stored)
        if new.write_down().state != old.write_down().state:
            self.breaks("restart of the gate", ["rebuilt: another state than the one that was lost"])

    def hand_over(self, run: GateRun) -> None:
        """Another run is at work. What the one before had read without a word is decided upon once more."""
        self.history = [each for each in self.history if each[0].sequence <= run.positions[each[0].stream]]
        self.old_gates.append(self.gate)
        self.gate = run

    def deadlines(self) -> list[datetime]:
        """When something runs out."""
        found = [due.due for due in self.ringing.open.values()]
        found += [permit.until for permit in self.model.permits.values() if permit.until > self.now]
        if self.model.gate.standing is not None:
            found.append(self.model.gate.standing.offer.ends)
        return found

    def owe_stop(self, command: str, actor: str, asset: str, operation: str) -> None:
        """A stop was asked rightly: it must be permitted at once, whatever else there is."""
        standing = self.model.gate.standing
        is_free = not self.kept_back and not self.gate.shut_off and standing is not None
        if is_free and standing is not None and standing.may(actor, asset, operation):
            self.stops_owed.append(command)

    def check_stops(self) -> None:
        """Each stop that is owed was permitted."""
        for command in self.stops_owed:
            permit = self.model.permits.get(command)
            self.count("stop permitted at once")
            if permit is None or not permit.safe:
                self.breaks(f"stop {command}", ["stop: asked by who may, and not permitted"])
        self.stops_owed.clear()

    async def settle(self) -> None:
        """Deliver what is on its way and let everybody work until nothing moves."""
        for _round in range(200):
            moved = await self.gate.pump() if "gate" not in self.kept_back else False
            for source, host in self.hosts.items():
                if host is None:
                    continue
                if host.frozen is None:
                    await host.refresh()
                    host.attach()
                if source not in self.kept_back:
                    while self.orders[source]:
                        lane, stored = self.orders[source].popleft()
                        host.deliver(stored, lane)
                        moved = True
            await calm()
            if not moved:
                break
        await self._bury_the_dead()
        self.check_stops()

    async def _bury_the_dead(self) -> None:
        for host in self.old_hosts:
            if host.is_dead and host.bus._connected:
                host.is_dead = False
                await host.crash()

    async def end(self) -> None:
        """Stop everything."""
        for host in (*self.hosts.values(), *self.old_hosts):
            if host is not None:
                await host.crash()

    def said(self, kind: str) -> int:
        """How many events of a kind the log holds."""
        return self.counts[kind]
