"""Two processes for one source: one works, the other stands by, and no command is written twice."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from plantops.adapters.definition import definition_of
from plantops.adapters.host.claims import FINALS
from plantops.adapters.host.clock import SystemClock
from plantops.adapters.host.process import spec
from plantops.adapters.registry import adapter
from plantops.events import decode
from plantops.events.base import CommandId
from plantops.events.commands import CommandExecuted, CommandFailed, OutcomeUnknown
from plantops.events.sources import LeaseTaken
from plantops.flow.declaration import ProcessSpec, Writes
from plantops.flow.jetstream import JetStreamBus
from plantops.model.load import Plant
from support.devices import DEVICES
from support.host_ground import ME, MODEL, SITE, SOURCE, Ground, policy
from support.host_process import PLC, Order, spawn
from support.modbus_tally import Tally, tallied
from support.nats import StartBroker, until

GATE = ProcessSpec(
    "gate", writes=(Writes("COMMANDS", (f"cmd.{SITE}.*.gate.*",)),), lookups=("TAGS", "SOURCES")
)
TWIN = ProcessSpec("twin", serves=(f"twin.{SITE}.sightings",))
NOTARY = ProcessSpec("notary", account="AUDIT", serves=(f"head.{SITE}.*",))
LEASE_SECONDS = 2.0
# What a dead host had in hand comes to the other one while its permit still stands.
REDELIVERED_SECONDS = 3.0
KILLS = 2
COMMANDS = 15


@dataclass
class Pair:
    """`asked` maps each command to the one value that it may write."""

    ground: Ground
    gate: JetStreamBus
    tally: Tally
    order: Order
    folder: Path
    asked: dict[CommandId, float] = field(default_factory=dict)
    hosts: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self) -> None:
        """One more process."""
        owner = f"host{len(self.hosts)}"
        self.hosts[owner] = spawn(
            msgspec.structs.replace(self.order, owner=owner, state=str(self.folder / owner)), self.folder
        )

    async def active(self) -> str:
        """Who holds the lease, empty where nobody does."""
        last = await self.gate.last("SOURCES", f"source.{SITE}.{SOURCE}.lease")
        lease = None if last is None else decode(last.data)
        return lease.owner if isinstance(lease, LeaseTaken) and not lease.released else ""

    def kill(self, owner: str) -> None:
        host = self.hosts[owner]
        os.kill(host.pid, signal.SIGKILL)
        host.wait()

    async def ask(self) -> None:
        """A new command, with a value that no other has."""
        rpm = 100.0 + len(self.asked)
        command = await self.ground.say(self.ground.order("SetSpeed", {"RPM": rpm}))
        self.asked[command] = rpm

    async def ended(self) -> dict[CommandId, list[object]]:
        stored = await self.gate.history("COMMANDS", f"cmd.{SITE}.*.{ME}.*", 1, 1000)
        told: dict[CommandId, list[object]] = {}
        for one in stored:
            event = decode(one.data)
            if isinstance(event, FINALS):
                told.setdefault(event.command, []).append(event)
        return told

    def close(self) -> None:
        for host in self.hosts.values():
            if host.poll() is None:
                host.kill()
                host.wait()


@asynccontextmanager
async def pair(nats_server: StartBroker, folder: Path) -> AsyncIterator[Pair]:
    """Two hosts, the first of which holds the source."""
    chosen = adapter("modbus")
    ground = Ground(Plant.of(MODEL, [definition_of(SITE, SOURCE, PLC, chosen)]))
    clock: Any = SystemClock()
    ground.clock = clock
    host = spec(SITE, SOURCE)
    reads = tuple(dataclasses.replace(one, ack_seconds=REDELIVERED_SECONDS) for one in host.reads)
    host = dataclasses.replace(host, reads=reads)
    broker = await nats_server([host, GATE, TWIN, NOTARY])
    gate = await JetStreamBus.connect(broker.url, "gate", seed=broker.keys["gate"].seed)
    ground.gate_bus = gate  # type: ignore[assignment]  # the same contract
    key = folder / "adapter.key"
    ground.keys.adapter.save(key)
    async with DEVICES["modbus"].start(folder) as device, tallied(device.line.port) as tally:
        order = Order(
            url=broker.url,
            seed=broker.keys[ME].seed,
            key=str(key),
            root=ground.keys.root.public.to_base64(),
            policy=policy(ground.keys, plant=ground.plant),
            settings=PLC,
            port=tally.port,
            owner="",
            state="",
            lease_seconds=LEASE_SECONDS,
        )
        both = Pair(ground, gate, tally, order, folder)
        try:
            both.start()
            await until(both.active, seconds=30.0)
            both.start()
            yield both
        finally:
            both.close()
            await gate.close()


async def test_a_killed_host_is_followed_by_its_standby_and_no_command_is_written_twice(
    nats_server: StartBroker, tmp_path: Path
) -> None:
    async with pair(nats_server, tmp_path) as both:
        for _kill in range(KILLS):
            await _kill_in_the_middle(both)
        while len(both.asked) < COMMANDS:
            await both.ask()

        async def all_ended() -> bool:
            return (await both.ended()).keys() == both.asked.keys()

        await until(all_ended, seconds=60.0)
        told = await both.ended()
        assert all(len(words) == 1 for words in told.values()), told
        unknown = [word for (word,) in told.values() if isinstance(word, OutcomeUnknown)]
        assert len(unknown) >= KILLS
        times = Counter(both.tally.written)
        assert both.tally.others == 0
        assert not set(times) - set(both.asked.values())
        for command, rpm in both.asked.items():
            assert times[rpm] <= 1, f"{command} was written {times[rpm]} times"
            (word,) = told[command]
            if isinstance(word, CommandExecuted):
                assert times[rpm] == 1
            else:
                assert isinstance(word, (CommandFailed, OutcomeUnknown))
                assert isinstance(word, OutcomeUnknown) or word.written or times[rpm] == 0
        stored = await both.gate.history("SOURCES", f"source.{SITE}.{SOURCE}.lease", 1, 1000)
        leases = [lease for one in stored if isinstance(lease := decode(one.data), LeaseTaken)]
        epochs = dict.fromkeys((lease.epoch, lease.owner) for lease in leases)
        assert [epoch for epoch, _owner in epochs] == list(range(1, KILLS + 2))


async def _kill_in_the_middle(both: Pair) -> None:
    """Ask until the host in charge has a write under way, and kill it with that request on the wire."""
    owner = await both.active()
    killed = asyncio.Event()

    async def kill() -> None:
        if not killed.is_set():
            both.kill(owner)
            killed.set()

    for _command in range(2):
        await both.ask()
    count = len(both.tally.written)
    await until(lambda: len(both.tally.written) > count, seconds=30.0)
    both.tally.on_write = kill
    for _command in range(3):
        await both.ask()
    await asyncio.wait_for(killed.wait(), 30.0)
    both.start()

    async def followed() -> bool:
        return await both.active() not in ("", owner)

    await until(followed, seconds=30.0)
