"""The same host on a real broker, with exactly the rights it declares, before a simulated plant."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plantops.adapters.definition import definition_of
from plantops.adapters.host.clock import SystemClock
from plantops.adapters.host.process import spec
from plantops.adapters.host.rules import PolicyRules
from plantops.adapters.host.source_host import SourceHost
from plantops.adapters.registry import adapter
from plantops.events import Event, decode
from plantops.events.base import TagName, encode_json
from plantops.events.command_parts import Observation
from plantops.events.commands import CommandExecuted, CommandFailed, OutcomeUnknown, SafePermitted
from plantops.events.frames import decode_frame
from plantops.events.queries import BrowseTold, DeviceReadAsked, ProblemDetail, read_answer
from plantops.events.tags import TagFrame
from plantops.flow.bus import Bus
from plantops.flow.declaration import ProcessSpec, Writes
from plantops.flow.jetstream import JetStreamBus
from plantops.model.load import Plant
from plantops.runtime.errors import BrokerError
from plantops.runtime.secrets import Secret
from support.devices import DEVICES, RunningDevice
from support.host_ground import ME, MODEL, SITE, SOURCE, Ground
from support.host_process import PLC
from support.host_rig import Notary
from support.nats import Broker, StartBroker, until

GATE = ProcessSpec(
    "gate", writes=(Writes("COMMANDS", (f"cmd.{SITE}.*.gate.*",)),), lookups=("TAGS", "SOURCES")
)
TWIN = ProcessSpec("twin", serves=(f"twin.{SITE}.sightings",))
NOTARY = ProcessSpec("notary", account="AUDIT", serves=(f"head.{SITE}.*",))
FINALS = (CommandExecuted, CommandFailed, OutcomeUnknown)


@dataclass
class Real:
    """Everything real but the notary; what the broker forbids ends up in `fatal`."""

    ground: Ground
    broker: Broker
    device: RunningDevice
    gate: Bus
    fatal: list[BrokerError]
    running: asyncio.Task[None]

    async def frames(self) -> list[TagFrame]:
        ended_well(self.running)
        stored = await self.gate.history("TAGS", f"tag.{SITE}.{SOURCE}", 1, 10_000)
        return [decode_frame(one.data) for one in stored]

    async def finals(self) -> list[Event]:
        stored = await self.gate.history("COMMANDS", f"cmd.{SITE}.*.{ME}.*", 1, 100)
        return [event for one in stored if isinstance(event := decode(one.data), FINALS)]

    async def ask(self, area: str, question: bytes) -> bytes:
        client = await self.broker.connect("alice")
        return (await client.request(f"{area}.{SITE}.{SOURCE}", question, timeout=5)).data


def ended_well(running: asyncio.Task[None]) -> None:
    """Tell at once why a host gave up, instead of waiting for its frames."""
    if running.done():
        running.result()
        raise AssertionError("the host ended by itself")


async def nothing(tags: Sequence[TagName]) -> Observation:
    raise AssertionError(f"nobody asks for {tags}")


@asynccontextmanager
async def real(nats_server: StartBroker, folder: Path) -> AsyncIterator[Real]:
    chosen = adapter("modbus")
    definition = definition_of(SITE, SOURCE, PLC, chosen)
    plant = Plant.of(MODEL, [definition])
    ground = Ground(plant)
    clock: Any = SystemClock()
    ground.clock = clock
    broker = await nats_server([spec(SITE, SOURCE), GATE, TWIN, NOTARY], ["alice"])
    fatal: list[BrokerError] = []
    buses = [
        await JetStreamBus.connect(broker.url, name, seed=broker.keys[name].seed, on_fatal=fatal.append)
        for name in (ME, "gate")
    ]
    ground.gate_bus = buses[1]  # type: ignore[assignment]  # the same contract
    stopping = asyncio.Event()

    async def refresh() -> None:
        """The policy stands."""

    async with DEVICES["modbus"].start(folder) as device:
        host = SourceHost(
            definition=definition,
            settings=PLC,
            adapter=chosen,
            connection=chosen.settings(host="127.0.0.1", port=device.line.port),
            secrets=Secret,
            bus=buses[0],
            signer=ground.signer,
            trust=ground.in_force,
            rules=PolicyRules(plant, ground.in_force, refresh),
            auditor=Notary(),
            observe=nothing,
            state=folder / "state",
            owner="only",
            stopping=stopping,
        )
        running = asyncio.create_task(host.run())
        try:
            yield Real(ground, broker, device, buses[1], fatal, running)
            ended_well(running)
        finally:
            stopping.set()
            await running
            for bus in buses:
                await bus.close()
    assert fatal == []


async def test_a_real_plant_is_read_written_and_stopped(nats_server: StartBroker, tmp_path: Path) -> None:
    async with real(nats_server, tmp_path) as tested:

        async def polled() -> bool:
            return len(await tested.frames()) >= 5

        await until(polled)
        await tested.ground.say(tested.ground.order("SetSpeed", {"RPM": 900.0}))

        async def ended(count: int) -> bool:
            return len(await tested.finals()) >= count

        await until(lambda: ended(1))
        plant = tested.device.plant
        assert plant is not None
        assert plant.inputs.speed_setpoint_rpm == 900.0
        stop = tested.ground.order("Stop", generation=1)
        assert isinstance(stop, SafePermitted)
        await tested.ground.raise_generation(1)
        await tested.ground.say(stop)
        await until(lambda: ended(2))
        assert plant.inputs.speed_setpoint_rpm == 0.0
        finals = await tested.finals()
        assert [type(one) for one in finals] == [CommandExecuted, CommandExecuted], finals


async def test_frames_survive_a_restart_of_the_broker_without_a_hole(
    nats_server: StartBroker, tmp_path: Path
) -> None:
    async with real(nats_server, tmp_path) as tested:

        async def polled(count: int) -> bool:
            try:
                return len(await tested.frames()) >= count
            except BrokerError:
                return False

        await until(lambda: polled(5))
        await tested.broker.server.stop()
        await tested.broker.server.start(tested.broker.configuration())
        before = len(await tested.frames())
        await until(lambda: polled(before + 20), seconds=30.0)
        numbers = sorted(frame.sequence for frame in await tested.frames())
        assert numbers == list(range(1, len(numbers) + 1))


async def test_a_client_reads_the_device_itself_and_gets_clear_refusals(
    nats_server: StartBroker, tmp_path: Path
) -> None:
    async with real(nats_server, tmp_path) as tested:

        async def read(*names: str) -> Observation | ProblemDetail:
            asked = DeviceReadAsked(tags=tuple(TagName(name) for name in names))
            return read_answer(await tested.ask("read", encode_json(asked)), Observation)

        async def polled() -> bool:
            return len(await tested.frames()) >= 2

        await until(polled)
        told = await read("temperature", "run")
        assert isinstance(told, Observation)
        assert [one.tag for one in told.inputs] == ["temperature", "run"]
        unknown = await read("nonsense")
        assert isinstance(unknown, ProblemDetail)
        assert unknown.code == "unknown_tag"
        for question in (b"", b"{", b'{"tags": 7}', b'{"tags": []}'):
            refusal = read_answer(await tested.ask("read", question), Observation)
            assert isinstance(refusal, ProblemDetail)
            assert refusal.code == "bad_request"
        browsed = read_answer(await tested.ask("browse", b""), BrowseTold)
        assert isinstance(browsed, ProblemDetail)
        assert browsed.code == "not_supported"
