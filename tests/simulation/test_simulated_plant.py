"""The whole plant: OPC UA with its security, both protocols at once, wires that fail and come back."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from asyncua import ua
from asyncua.client.client import Client
from asyncua.common.node import Node
from asyncua.ua.status_codes import StatusCodes
from asyncua.ua.uaerrors import (
    BadIdentityTokenRejected,
    BadOutOfRange,
    BadTypeMismatch,
    BadUserAccessDenied,
)
from pymodbus.client import AsyncModbusTcpClient

from plantops.runtime.errors import SettingsError
from plantops.simulation.certificate import application_certificate
from plantops.simulation.line import LOOPBACK
from plantops.simulation.opcua_map import NAMESPACE, VARIABLES, counter_path
from plantops.simulation.simulated_plant import SimulatedPlant, SimulationSettings
from simulation.conditions import BOUND_SECONDS, until

# One plant for the module: filling the standard address space takes seconds.
pytestmark = pytest.mark.asyncio(loop_scope="module")

PASSWORD = "a-password"
CLIENT_URI = "urn:plantops:simulation:test-client"
COUNTERS = 3


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_plant(certificates: Path) -> AsyncIterator[SimulatedPlant]:
    settings = SimulationSettings(
        certificates=certificates, opcua_password=PASSWORD, counters=COUNTERS, counter_rate=20.0
    )
    async with SimulatedPlant(settings) as plant:
        yield plant


@pytest_asyncio.fixture(loop_scope="module")
async def plant(shared_plant: SimulatedPlant) -> AsyncIterator[SimulatedPlant]:
    yield shared_plant
    shared_plant.clear()
    shared_plant.command("run", 0)
    for protocol in ("modbus", "opcua"):
        await shared_plant.resume(protocol)


@asynccontextmanager
async def connected(plant: SimulatedPlant, mode: str = "", password: str = PASSWORD) -> AsyncIterator[Client]:
    client = Client(plant.opcua_url, timeout=BOUND_SECONDS)
    client.application_uri = CLIENT_URI
    client.set_user("plantops")
    client.set_password(password)
    if mode:
        folder = plant._settings.certificates
        files = await asyncio.to_thread(application_certificate, folder, "client", CLIENT_URI)
        security = f"Basic256Sha256,{mode},{files.certificate},{files.private_key}"
        await client.set_security_string(security)
    async with client:
        yield client


async def node_of(client: Client, path: str) -> Node:
    return client.get_node(f"ns={await client.get_namespace_index(NAMESPACE)};s={path}")


def reads(node: Node, accept: Callable[[float], bool]) -> Callable[[], Awaitable[bool]]:
    async def condition() -> bool:
        return accept(await node.read_value())

    return condition


async def status_of(node: Node) -> int:
    status = (await node.read_data_value(raise_on_bad_status=False)).StatusCode
    assert status is not None
    return int(status.value)


async def test_written_set_points_turn_the_pump_and_a_stop_slows_it(plant: SimulatedPlant) -> None:
    async with connected(plant) as client:
        set_point = await node_of(client, "Pump001.SpeedSetpoint")
        await set_point.write_value(1200.0)
        assert await set_point.read_value() == 1200.0
        run, speed = await node_of(client, "Pump001.Run"), await node_of(client, "Pump001.Speed")
        await run.write_value(True)
        await until(reads(speed, lambda rpm: rpm > 200))
        await run.write_value(False)
        await until(reads(speed, lambda rpm: rpm < 150))


async def test_a_write_that_does_not_fit_is_refused_with_its_own_status(plant: SimulatedPlant) -> None:
    async with connected(plant) as client:
        set_point = await node_of(client, "Pump001.SpeedSetpoint")
        before = await set_point.read_value()
        with pytest.raises(BadOutOfRange):
            await set_point.write_value(3601.0)
        with pytest.raises(BadOutOfRange):
            await set_point.write_value(float("nan"))
        with pytest.raises(BadTypeMismatch):
            await set_point.write_value(True)
        with pytest.raises(BadUserAccessDenied):
            await (await node_of(client, "Pump001.Speed")).write_value(1.0)
        assert await set_point.read_value() == before


async def test_a_write_in_local_mode_is_taken_and_changes_nothing(plant: SimulatedPlant) -> None:
    plant.tell("local")
    async with connected(plant) as client:
        command = await node_of(client, "Valve001.Command")
        await command.write_value(77.0)
        assert await command.read_value() == 0.0


async def test_every_variable_of_the_map_is_there_with_type_unit_and_access(plant: SimulatedPlant) -> None:
    async with connected(plant) as client:
        for variable in VARIABLES:
            node = await node_of(client, variable.path)
            value = await node.read_data_value()
            assert value.Value is not None
            assert value.Value.VariantType.name == variable.type.value
            assert value.SourceTimestamp is not None
            is_writable = ua.AccessLevel.CurrentWrite in await node.get_access_level()
            assert is_writable == (variable.command is not None)
            properties = {
                str((await each.read_browse_name()).Name): each for each in await node.get_properties()
            }
            if variable.unit is None:
                assert not properties
                continue
            limits = await properties["EURange"].read_value()
            assert (limits.Low, limits.High) == (variable.low, variable.high)
            assert (await properties["EngineeringUnits"].read_value()).UnitId == variable.unit.unit_id


async def test_told_faults_show_as_value_and_status(plant: SimulatedPlant) -> None:
    async with connected(plant) as client:
        temperature = await node_of(client, "Pump001.MotorTemperature")

        def has(status: int) -> Callable[[], Awaitable[bool]]:
            async def condition() -> bool:
                return await status_of(temperature) == status

            return condition

        plant.tell("temperature", 96.0)
        await until(reads(temperature, lambda celsius: celsius == 96.0))
        plant.tell("sensor", "uncertain")
        await until(has(StatusCodes.UncertainLastUsableValue))
        plant.tell("sensor", "broken")
        await until(has(StatusCodes.BadSensorFailure))
        assert (await temperature.read_data_value(raise_on_bad_status=False)).Value == ua.Variant()
        plant.clear()
        await until(has(StatusCodes.Good))


async def test_both_protocols_show_the_same_plant(plant: SimulatedPlant) -> None:
    client = AsyncModbusTcpClient(LOOPBACK, port=plant.modbus_port, timeout=BOUND_SECONDS)
    assert await client.connect()
    plant.tell("temperature", 88.5)
    assert (await client.read_input_registers(1, count=1, device_id=1)).registers == [885]
    await client.write_register(2, 255, device_id=1)
    client.close()
    async with connected(plant) as opcua:
        await until(reads(await node_of(opcua, "Pump001.MotorTemperature"), lambda value: value == 88.5))
        await until(reads(await node_of(opcua, "Valve001.Command"), lambda value: value == 25.5))


class _Seen:
    """Collects what a subscription delivers, per node."""

    def __init__(self) -> None:
        self.values: dict[str, list[int]] = {}

    def datachange_notification(self, node: Node, value: int, _data: object) -> None:
        self.values.setdefault(str(node.nodeid.Identifier), []).append(value)


async def test_subscribed_counters_have_no_holes(plant: SimulatedPlant) -> None:
    seen = _Seen()
    async with connected(plant) as client:
        nodes = [await node_of(client, counter_path(index)) for index in range(COUNTERS)]
        subscription = await client.create_subscription(50, seen)
        await subscription.subscribe_data_change(nodes, queuesize=1000)

        async def is_enough() -> bool:
            return len(seen.values) == COUNTERS and all(len(each) > 20 for each in seen.values.values())

        await until(is_enough)
        await subscription.delete()
    for index in range(COUNTERS):
        values = seen.values[counter_path(index)]
        assert values == list(range(values[0], values[0] + len(values)))
        assert values[0] // 1_000_000 == index


@pytest.mark.parametrize("mode", ["", "Sign", "SignAndEncrypt"])
async def test_the_right_password_opens_every_endpoint_and_a_wrong_one_none(
    plant: SimulatedPlant, mode: str
) -> None:
    async with connected(plant, mode) as client:
        assert await (await node_of(client, "Pump001.Name")).read_value() == "PUMP-001"
    with pytest.raises(BadUserAccessDenied):
        async with connected(plant, mode, "wrong"):
            pass


async def test_nobody_comes_in_without_a_user(plant: SimulatedPlant) -> None:
    with pytest.raises(BadIdentityTokenRejected):
        async with Client(plant.opcua_url, timeout=BOUND_SECONDS):
            pass


async def test_an_opcua_line_that_was_cut_or_hung_comes_back_on_the_same_port(plant: SimulatedPlant) -> None:
    port = plant.opcua_port
    await plant.silence("opcua")
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(LOOPBACK, port)
    await plant.hang("opcua")
    _reader, writer = await asyncio.open_connection(LOOPBACK, port)
    writer.close()
    await plant.resume("opcua")
    assert plant.opcua_port == port
    async with connected(plant) as client:
        assert await (await node_of(client, "Pump001.PlcRunning")).read_value() is True


@pytest.mark.parametrize(
    "wrong",
    [
        {"opcua_password": ""},
        {"modbus_port": 65_536},
        {"counters": -1},
        {"counters": 40_000},
        {"counter_rate": float("nan")},
        {"temperature_seconds": 0.0},
    ],
)
async def test_settings_that_cannot_work_are_refused_before_anything_opens(
    tmp_path: Path, wrong: dict[str, Any]
) -> None:
    good = SimulationSettings(certificates=tmp_path, opcua_password="x")
    with pytest.raises(SettingsError):
        SimulatedPlant(replace(good, **wrong))
