"""A whole host on a ground: device, session, executor, as a process would run it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

from plantops.adapters.contract import GroupSettings, SourceSettings
from plantops.adapters.host.rules import PolicyRules
from plantops.adapters.host.source_host import SourceHost
from plantops.events import Event
from plantops.events.base import TagName
from plantops.events.command_parts import Observation, ObservedInput
from plantops.events.frames import Frame, resolve
from plantops.events.sources import LeaseTaken
from plantops.flow.policies import refresh
from plantops.runtime.errors import BrokerUnavailable
from plantops.runtime.secrets import Secret
from support.fake_device import FakeDevice, FakeSettings
from support.host_ground import DEFINITION, RUN, SETPOINT, SPEED, TEMPERATURE, Ground

SETTINGS = SourceSettings(
    adapter="fake", groups=(GroupSettings(name="all", period_ms=1000),), tags=(), timeout_seconds=0.3
)


class Notary:
    """An audit that acknowledges, or is away. `records` is what it has, `journal` what stood in for it."""

    def __init__(self) -> None:
        self.is_away = False
        self.records: list[str] = []
        self.journal: list[str] = []

    async def append(self, kind: str, body: Event, *, command: str = "") -> None:
        if self.is_away:
            raise BrokerUnavailable("the audit is away")
        self.records.append(f"{kind} {command}")

    async def append_or_journal(self, kind: str, body: Event, *, command: str = "") -> bool:
        if self.is_away:
            self.journal.append(f"{kind} {command}")
            return False
        await self.append(kind, body, command=command)
        return True


def device() -> FakeDevice:
    """A cool pump at rest."""
    return FakeDevice({RUN: False, SETPOINT: 100.0, SPEED: 0.0, TEMPERATURE: 40.0})


def no_secrets(reference: str) -> Secret:
    raise AssertionError(f"nobody asks for {reference}")


class Rig:
    """One host. `crash` ends it as kill -9 would: nothing is said, the lease stays."""

    def __init__(
        self,
        state: Path,
        *,
        ground: Ground | None = None,
        plant: FakeDevice | None = None,
        owner: str = "first",
        subscribe: bool = False,
        concurrent: bool = False,
        write: bool = True,
        settings: SourceSettings = SETTINGS,
        notary: Notary | None = None,
    ) -> None:
        self.ground = ground or Ground()
        self.device = plant or device()
        self.bus = self.ground.bus()
        self.notary = notary or Notary()
        self.foreign: dict[str, float] = {}
        self.in_force = self.ground.trust()
        self.stopping = asyncio.Event()
        self.host = SourceHost(
            definition=DEFINITION,
            settings=settings,
            adapter=self.device.adapter(subscribe=subscribe, concurrent=concurrent, write=write),
            connection=FakeSettings(),
            secrets=no_secrets,
            bus=self.bus,
            signer=self.ground.signer,
            trust=self.in_force,
            rules=PolicyRules(self.ground.plant, self.in_force, self._refresh),
            auditor=self.notary,
            observe=self._observe,
            state=state,
            owner=owner,
            clock=self.ground.clock,
            random=lambda: 0.5,
            stopping=self.stopping,
        )
        self.task = asyncio.create_task(self.host.run())

    async def _refresh(self) -> bool:
        return await refresh(self.bus, self.in_force)

    async def _observe(self, tags: object) -> Observation:
        inputs = tuple(
            ObservedInput(tag=TagName(name), value=value, quality=192, age_seconds=0.5)
            for name, value in self.foreign.items()
        )
        return Observation(at=self.ground.now(), inputs=inputs)

    @property
    def owners(self) -> list[str]:
        told = self.ground.told(LeaseTaken, stream="SOURCES")
        return [one.owner for one in told if isinstance(one, LeaseTaken)]

    def seen(self) -> list[Frame]:
        """All frames, as a core sees them."""
        return [resolve(frame, DEFINITION) for frame in self.ground.frames()]

    async def up(self) -> Rig:
        """Once it polls."""
        await self.ground.clock.advance_until(lambda: bool(self.ground.frames()) or self.task.done())
        assert not self.task.done(), self.task
        return self

    async def crash(self) -> None:
        self.bus.disconnect()
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task

    async def stop(self) -> None:
        self.stopping.set()
        stopping = asyncio.create_task(asyncio.wait([self.task]))
        await self.ground.clock.advance_until(stopping.done)
        self.task.result()
