"""The Modbus face of the plant, asked by a real client over a real wire."""

import asyncio
import math
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import pytest_asyncio
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.pdu import ModbusPDU

from plantops.runtime.errors import WriteRejected
from plantops.simulation.image import ModbusImage
from plantops.simulation.line import LOOPBACK, Line, LineState
from plantops.simulation.modbus_map import HOLDING, Kind, Order, Point
from plantops.simulation.modbus_server import counter_server, plant_modbus_server
from plantops.simulation.plant import Plant
from simulation.conditions import BOUND_SECONDS, until

COUNTERS = 3


@dataclass
class Rig:
    """A plant that stands still unless advanced, its server, the wire, and a client on it."""

    plant: Plant
    line: Line
    client: AsyncModbusTcpClient

    async def input(self, address: int) -> int:
        return (await self.client.read_input_registers(address, count=1, device_id=1)).registers[0]

    async def holding(self, address: int, count: int) -> list[int]:
        return list((await self.client.read_holding_registers(address, count=count, device_id=1)).registers)


@asynccontextmanager
async def client_of(port: int) -> AsyncIterator[AsyncModbusTcpClient]:
    client = AsyncModbusTcpClient(LOOPBACK, port=port, timeout=BOUND_SECONDS, retries=0)
    assert await client.connect()
    try:
        yield client
    finally:
        client.close()


@pytest_asyncio.fixture
async def rig() -> AsyncIterator[Rig]:
    plant = Plant()
    async with plant_modbus_server(ModbusImage(plant, counters=COUNTERS)) as server, Line() as line:
        await line.open(server.port)
        async with client_of(line.port) as client:
            yield Rig(plant, line, client)


def exception_code(answer: ModbusPDU) -> int:
    assert answer.isError()
    return answer.exception_code


async def test_a_written_set_point_and_start_make_the_pump_turn_and_a_stop_slows_it(rig: Rig) -> None:
    async with rig.plant:
        assert not (await rig.client.write_register(0, 1200, device_id=1)).isError()
        assert not (await rig.client.write_register(1, 1, device_id=1)).isError()

        async def is_fast() -> bool:
            return await rig.input(0) > 200

        async def is_slow() -> bool:
            return await rig.input(0) < 150

        await until(is_fast)
        assert not (await rig.client.write_coil(1, False, device_id=1)).isError()
        await until(is_slow)


async def test_every_write_function_changes_the_model(rig: Rig) -> None:
    await rig.client.write_registers(0, [900, 1, 505], device_id=1)
    inputs = rig.plant.inputs
    assert (inputs.speed_setpoint_rpm, inputs.run, inputs.valve_command_percent) == (900.0, True, 50.5)
    await rig.client.write_registers(14, list(struct.unpack(">2H", struct.pack(">f", 1234.5))), device_id=1)
    assert rig.plant.inputs.speed_setpoint_rpm == 1234.5
    rig.plant.tell("trip")
    rig.plant.clear("trip")
    assert rig.plant.state.fault
    answer = await rig.client.write_coils(0, [True, True], device_id=1)
    assert not answer.isError()
    assert rig.plant.state.running
    assert not rig.plant.state.fault


async def test_the_answer_to_a_write_echoes_the_request_even_where_the_plc_ignored_it(rig: Rig) -> None:
    rig.plant.tell("local")
    assert (await rig.client.write_register(0, 700, device_id=1)).registers == [700]
    assert (await rig.client.write_coil(0, True, device_id=1)).bits[0]
    assert await rig.holding(0, 1) == [0]


async def test_a_value_out_of_range_is_refused_and_none_of_the_request_is_done(rig: Rig) -> None:
    for address, words in ((0, [3601]), (1, [2]), (2, [1001]), (0, [1200, 2, 0]), (14, [0x7FC0, 0])):
        answer = await rig.client.write_registers(address, words, device_id=1)
        assert exception_code(answer) == 3
    assert rig.plant.inputs == Plant().inputs


@pytest.mark.parametrize(
    ("address", "count"), [(38, 3), (40, 1), (49, 2), (0, 74), (74, 1), (999, 2), (1006, 1)]
)
async def test_an_address_where_nothing_stands_is_refused(rig: Rig, address: int, count: int) -> None:
    answer = await rig.client.read_holding_registers(address, count=count, device_id=1)
    assert exception_code(answer) == 2


async def test_other_tables_end_where_the_map_ends_and_other_units_do_not_exist(rig: Rig) -> None:
    client = rig.client
    assert exception_code(await client.read_input_registers(4, count=2, device_id=1)) == 2
    assert exception_code(await client.read_discrete_inputs(4, count=2, device_id=1)) == 2
    assert exception_code(await client.read_coils(1, count=2, device_id=1)) == 2
    assert exception_code(await client.read_input_registers(0, count=1, device_id=2)) == 11


async def test_read_only_registers_and_half_values_cannot_be_written(rig: Rig) -> None:
    for address, words in ((10, [0, 0]), (14, [0]), (15, [0]), (3, [0]), (1000, [1])):
        answer = await rig.client.write_registers(address, words, device_id=1)
        assert exception_code(answer) == 2


def independent(point: Point, words: list[int]) -> float | int | str:
    """Decodes by byte positions, not by the server's own code."""
    wire = struct.pack(f">{len(words)}H", *words)
    if point.kind is Kind.STRING16:
        return wire.rstrip(b"\0").decode("ascii")
    forms = {"uint16": "H", "int16": "h", "uint32": "I", "int32": "i", "uint64": "Q", "int64": "q"}
    form = forms.get(point.kind) or {"float32": "f", "float64": "d"}[point.kind]
    if point.order is not Order.ABCD:
        wire = bytes(wire[point.order.value.index(letter)] for letter in "ABCD")
    value: float | int = struct.unpack(f">{form}", wire)[0]
    return value


async def test_every_constant_reads_back_in_the_type_and_order_that_the_map_states(rig: Rig) -> None:
    constants = [point for point in HOLDING if not isinstance(point.value, str)]
    assert {point.order for point in constants} == set(Order)
    for point in constants:
        assert independent(point, await rig.holding(point.address, len(point.registers))) == point.value
    (name,) = (point for point in HOLDING if point.kind is Kind.STRING16)
    assert independent(name, await rig.holding(name.address, 8)) == "PUMP-001"


async def test_a_told_temperature_shows_and_a_broken_sensor_shows_no_value(rig: Rig) -> None:
    async def shown() -> float:
        words = await rig.holding(10, 2)
        return float(struct.unpack(">f", struct.pack(">2H", *words))[0])

    rig.plant.tell("temperature", 96.0)
    assert await shown() == 96.0
    assert await rig.input(1) == 960
    rig.plant.tell("sensor", "broken")
    assert math.isnan(await shown())
    assert await rig.input(1) == 0x8000
    rig.plant.clear()
    assert await shown() == pytest.approx(22.0, abs=0.1)


async def test_discrete_inputs_show_the_switches(rig: Rig) -> None:
    for fault in ("local", "maintenance", "plc_stopped", "trip"):
        rig.plant.tell(fault)
    bits = (await rig.client.read_discrete_inputs(0, count=5, device_id=1)).bits[:5]
    assert bits == [False, True, True, True, False]
    assert await rig.holding(59, 1) == [0b01110]


async def test_counters_rise_one_by_one_and_are_told_apart(rig: Rig) -> None:
    seen = []
    for _ in range(50):
        rig.plant.advance(0.1)
        words = await rig.holding(1000, 2 * COUNTERS)
        seen.append([(words[2 * i] << 16) | words[2 * i + 1] for i in range(COUNTERS)])
    assert seen == [[tick, 1_000_000 + tick, 2_000_000 + tick] for tick in range(1, 51)]


async def test_a_frozen_plant_answers_but_stands_still(rig: Rig) -> None:
    await rig.client.write_registers(0, [1200, 1], device_id=1)
    rig.plant.advance(1.0)
    rig.plant.tell("frozen")
    before = await rig.holding(0, 40)
    rig.plant.advance(1.0)
    await rig.client.write_register(0, 600, device_id=1)
    assert await rig.holding(0, 40) == before
    rig.plant.clear("frozen")
    rig.plant.advance(0.1)
    assert await rig.holding(0, 40) != before


async def test_a_silent_line_refuses_and_comes_back_on_the_same_port(rig: Rig) -> None:
    reader, writer = await asyncio.open_connection(LOOPBACK, rig.line.port)
    await rig.line.set_state(LineState.SILENT)
    async with asyncio.timeout(BOUND_SECONDS):
        assert await reader.read() == b""
    writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(LOOPBACK, rig.line.port)
    await rig.line.set_state(LineState.CONNECTED)
    async with client_of(rig.line.port) as client:
        assert not (await client.read_coils(0, count=2, device_id=1)).isError()


READ_ONE = struct.pack(">HHHBBHH", 7, 0, 6, 1, 3, 0, 1)
ONE_READ = struct.pack(">HHHBBBH", 7, 0, 5, 1, 3, 2, 0)


async def test_a_hanging_line_accepts_but_answers_only_after_the_resume(rig: Rig) -> None:
    await rig.line.set_state(LineState.HANGING)
    reader, writer = await asyncio.open_connection(LOOPBACK, rig.line.port)
    writer.write(READ_ONE)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.2)
    await rig.line.set_state(LineState.CONNECTED)
    async with asyncio.timeout(BOUND_SECONDS):
        assert await reader.readexactly(len(ONE_READ)) == ONE_READ
    writer.close()


async def test_a_raving_line_answers_bytes_that_mean_nothing(rig: Rig) -> None:
    await rig.line.set_state(LineState.GARBAGE)
    reader, writer = await asyncio.open_connection(LOOPBACK, rig.line.port)
    writer.write(READ_ONE)
    async with asyncio.timeout(BOUND_SECONDS):
        answer = await reader.readexactly(len(READ_ONE))
    assert answer[:4] != READ_ONE[:4]
    writer.close()


async def test_the_fast_server_serves_a_moving_ramp_and_refuses_writes() -> None:
    now = 0.0
    async with counter_server(300, rate=10.0, clock=lambda: now) as port, client_of(port) as client:
        first = await client.read_holding_registers(100, count=125, device_id=1)
        assert first.registers == list(range(100, 225))
        now = 6553.5
        later = await client.read_holding_registers(0, count=3, device_id=1)
        assert later.registers == [0xFFFF, 0, 1]
        assert exception_code(await client.read_holding_registers(299, count=2, device_id=1)) == 2
        assert exception_code(await client.write_register(0, 1, device_id=1)) == 1


def test_the_plant_refuses_what_the_map_cannot_even_say() -> None:
    with pytest.raises(WriteRejected):
        ModbusImage(Plant()).write_holding(0, [65535])
