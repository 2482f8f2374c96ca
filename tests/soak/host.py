"""One run of an adapter host's executor: the real one, on a device in the harness's hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from plantops.adapters.contract import Browsed, Capabilities, Sink
from plantops.adapters.host.claims import Claims
from plantops.adapters.host.deeds import Deeds
from plantops.adapters.host.executor import Executor, Place
from plantops.adapters.host.hands import Hands
from plantops.adapters.host.invoking import Invocations
from plantops.adapters.host.lanes import Device
from plantops.adapters.host.outcomes import Outcomes
from plantops.adapters.host.reconciling import Reconciler
from plantops.adapters.host.rehearsal import Rehearsals
from plantops.adapters.host.rules import PolicyRules
from plantops.adapters.host.standing import Generations
from plantops.events import Event
from plantops.events.base import Scalar, SourceName, TagName
from plantops.events.command_parts import Observation
from plantops.events.frames import Sample
from plantops.flow.bus import Stored
from plantops.flow.signing import Signer
from plantops.policy.in_force import InForce
from plantops.runtime.errors import BrokerUnavailable, DeviceUnavailable, PolicyRejected, WriteRejected
from soak import telling
from soak.broker import HookedBus
from soak.followers import Follower
from soak.ground import DEFINITIONS, PLANT, ROOT, SITE
from soak.words import Seen
from support.plant_samples import key

if TYPE_CHECKING:
    from soak.world import World

# Only the harness's clock counts; a real one that runs out would make runs differ.
_NEVER = 1e6
TIMEOUT = 3.0
"""What an answer to a read may take, in seconds of the harness's clock."""


class HostRun:
    """From a start to a crash. `name` is shared by all runs on one source; `run` is this one's number.

    `trap` is where it dies, stalls (one piece of work hangs) or freezes (all of it hangs) next.
    """

    def __init__(self, world: World, source: str, run: int, journal: Path) -> None:
        self.world, self.source, self.run = world, source, run
        self.name = f"adapter-{source}"
        self.is_dead = False
        self.trap: tuple[str, str] | None = None
        self.held: list[asyncio.Future[None]] = []
        self.frozen: asyncio.Future[None] | None = None
        self.follower = Follower()
        self.position = 0
        self.looks: dict[object, dict[str, Seen]] = {}
        self.commands: dict[object, str] = {}
        self.bus = HookedBus(world.broker, self.name, self.point)
        self.bus.on_claim = self._claimed
        self.bus.on_said = self._works_on
        self.in_force = InForce(ROOT, SITE, plant=PLANT)
        self.connection = HandConnection(self)
        clock, signer = world.clock, Signer(self.name, key(self.name))
        rules = PolicyRules(PLANT, self.in_force, self.refresh)
        self._device = Device(
            source,
            self.connection,
            Capabilities(write=True, concurrent=True),
            timeout_seconds=_NEVER,
        )
        hands = Hands(definition=DEFINITIONS[source], device=self._device, observe=self._observe, clock=clock)
        claims = Claims(self.bus, signer, clock, site=SITE, executor=self.name, epoch=run)
        self._outcomes = Outcomes(self.bus, clock, claims, journal)
        self._executor = self._made(hands, rules, signer, HandAuditor(self), claims)
        self._tasks: list[asyncio.Task[None]] = []

    def _made(
        self, hands: Hands, rules: PolicyRules, signer: Signer, auditor: HandAuditor, claims: Claims
    ) -> Executor:
        source = self.source
        return Executor(
            Place(SITE, SourceName(source), self.name),
            bus=self.bus,
            signer=signer,
            trust=self.in_force,
            rules=rules,
            auditor=auditor,
            deeds=Deeds(hands, rules=rules, clock=self.world.clock, seen=self.connection.sample),
            rehearsals=Rehearsals(hands, Invocations(hands, rules=rules, clock=self.world.clock), rules),
            reconciler=Reconciler(
                site=SITE,
                name=self.name,
                bus=self.bus,
                signer=signer,
                trust=self.in_force,
                auditor=auditor,
                hands=hands,
                claims=claims,
                clock=self.world.clock,
            ),
            claims=claims,
            outcomes=self._outcomes,
            generations=Generations(),
            clock=self.world.clock,
            is_ours=lambda: self.world.leases[source] == self.run,
        )

    def start(self) -> None:
        """As a host does: stops at once, the rest after what an earlier run left unsaid."""
        self.attach()
        self._tasks = [
            asyncio.create_task(self._normal()),
            asyncio.create_task(self._executor.run("safe")),
        ]

    async def _normal(self) -> None:
        await self._outcomes.recover()
        await self._executor.run("normal")

    def attach(self) -> None:
        """The session connects again when the device is there."""
        if not self._device.is_attached and not self.world.is_away(self.source):
            self._device.attach(self.connection)

    def deliver(self, stored: Stored, lane: str) -> None:
        """Give it an order."""
        feed = self.bus.feeds.get(lane)
        if feed is not None:
            feed.put(stored)

    async def crash(self) -> None:
        """As kill -9: nothing more is said or done."""
        if self.is_dead:
            return
        self.is_dead = True
        self.bus.disconnect()
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task

    async def refresh(self) -> None:
        """Read what is new on POLICY, as every process does; the model's follower reads the same."""
        for stored, offer in self.world.policies_after(self.position):
            self.position = stored.sequence
            self.follower.offered(offer, self.world.time_of(stored))
        with suppress(PolicyRejected):
            await self.world.refresh(self.in_force)

    # Where it may die or hang

    async def point(self, name: str) -> None:
        """Die or hang here, if the trap says so."""
        if self.is_dead:
            await asyncio.Future()
        if self.trap is not None and self.trap[0] == name:
            how, self.trap = self.trap[1], None
            self.world.count(f"trap {how} at {name}")
            await self._caught(how)
        if self.frozen is not None:
            await asyncio.shield(self.frozen)
        if self.is_dead:
            await asyncio.Future()

    async def _caught(self, how: str) -> None:
        if how == "crash":
            self.is_dead = True
            self.world.fell(self)
            await asyncio.Future()
        hang: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if how == "freeze":
            self.frozen = hang
        else:
            self.held.append(hang)
            await hang

    def resume(self) -> None:
        """What hangs goes on."""
        for hang in (*self.held, self.frozen):
            if hang is not None and not hang.done():
                hang.set_result(None)
        self.held, self.frozen = [], None

    # What the model is told of

    def look(self) -> dict[str, Seen]:
        """What the work that runs now has read."""
        return self.looks.setdefault(asyncio.current_task(), {})

    def command(self) -> str:
        """What the work that runs now is about; empty where it asked for no word on any command."""
        return self.commands.get(asyncio.current_task(), "")

    def _works_on(self, command: str) -> None:
        """Each work on an order begins with the question what was said of its command."""
        self.commands.setdefault(asyncio.current_task(), command)

    def _claimed(self, command: str) -> None:
        telling.claimed(self.world, self, command)

    async def _observe(self, tags: Sequence[TagName]) -> Observation:
        await self.point("observe")
        observation = self.world.observe(tags)
        for one in observation.inputs:
            self.look()[one.tag] = Seen(one.value, one.quality, one.age_seconds, observation.at)
        return observation


class HandAuditor:
    """An audit that acknowledges unless the harness took it away. See `ports.Auditor`."""

    def __init__(self, host: HostRun) -> None:
        self._host = host

    async def append(self, kind: str, body: Event, *, command: str = "") -> None:
        await self._host.point("audit-")
        if self._host.world.audit_is_away:
            raise BrokerUnavailable("the audit is away")
        telling.audited(self._host.world, kind, command)
        await self._host.point("audit+")

    async def append_or_journal(self, kind: str, body: Event, *, command: str = "") -> bool:
        telling.audited(self._host.world, kind, command)
        return not self._host.world.audit_is_away


class HandConnection:
    """The device of one source. See `Connection`."""

    def __init__(self, host: HostRun) -> None:
        self._host = host
        self._names = [tag.name for tag in DEFINITIONS[host.source].tags]

    def sample(self, tag: int) -> Sample | None:
        """The tag as the device gives it now."""
        told = self._host.world.truth[self._names[tag]]
        return Sample(tag, told.value, told.quality)

    async def connect(self) -> None:
        return

    async def read(self, tags: Sequence[int]) -> list[Sample]:
        world = self._host.world
        asked_at = world.clock.monotonic()
        await self._host.point("read-")
        if world.is_away(self._host.source):
            raise DeviceUnavailable("the device is away")
        samples = [self.sample(tag) for tag in tags]
        for tag, sample in zip(tags, samples, strict=True):
            assert sample is not None
            self._host.look()[self._names[tag]] = Seen(sample.value, sample.quality, 0.0, world.now)
        await self._host.point("read+")
        if world.clock.monotonic() - asked_at > TIMEOUT:
            raise DeviceUnavailable("no answer to a read in time")
        return [sample for sample in samples if sample is not None]

    def encode(self, tag: int, value: Scalar) -> str:
        return f"{self._names[tag]}={value!r}"

    async def write(self, tag: int, value: Scalar) -> None:
        world, source = self._host.world, self._host.source
        if self._host.is_dead:
            await asyncio.Future()  # whatever else of the process had not died yet has by now
        if world.is_away(source):
            raise DeviceUnavailable("the device is away")
        match world.take_fault(source):
            case "refuse":
                raise WriteRejected("the device says no")
            case "lose":
                telling.written(world, self._host, self._names[tag], value)
                raise DeviceUnavailable("the answer to the write never came")
            case _:
                telling.written(world, self._host, self._names[tag], value)
        await self._host.point("written")

    async def subscribe(self, sink: Sink) -> None:
        return

    async def browse(self) -> AsyncIterator[Browsed]:
        for name in self._names:
            yield Browsed(address=name, name=name, kind=None)

    async def close(self) -> None:
        return
