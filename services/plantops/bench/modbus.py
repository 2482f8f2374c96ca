"""Modbus: polled values/s through our adapter and host, beside bare pymodbus block reads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from pymodbus.client import AsyncModbusTcpClient

from plantops.adapters.contract import SourceSettings
from plantops.adapters.definition import definition_of
from plantops.adapters.modbus import SPEC
from plantops.adapters.modbus.config import ModbusSettings
from plantops.adapters.modbus.connection import ModbusConnection
from plantops.bench.delivered import deliver, delivered_figures, through_host
from plantops.bench.figures import Bench, Figure, Load, Tell, figure
from plantops.bench.ground import SOURCE, child, tail, temporary_folder
from plantops.runtime.errors import DeviceUnavailable
from plantops.runtime.settings import load_toml

BLOCK = 125  # registers in one answer (Modbus Application Protocol 1.1b3, 6.3)
BLOCKS = 28
GOAL_VALUES = 150_000.0
PART_SECONDS = 3.0
START_SECONDS = 20.0


@asynccontextmanager
async def _device(registers: int, log: Path) -> AsyncIterator[tuple[int, int]]:
    """A counting device in a process of its own; its port and process id."""
    words = ["plantops.bench.modbus_device", "--registers", str(registers)]
    async with child(words, log, pipe=True) as process:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), START_SECONDS)
        if not line:
            raise DeviceUnavailable(f"the Modbus device did not start: {tail(log)}")
        yield int(line), process.pid


def _source_file(port: int, registers: int) -> str:
    head = f'adapter = "modbus"\n[connection]\nhost = "127.0.0.1"\nport = {port}\n'
    group = '[[groups]]\nname = "all"\nperiod_ms = 10\n'
    one = '[[tags]]\nname = "bench.r{0:05d}"\naddress = "holding:{0}:uint16"\n'
    return head + group + "".join(one.format(number) for number in range(registers))


async def _bare(port: int, registers: int, seconds: float) -> float:
    """Values/s of the library alone, one request after the other."""
    client = AsyncModbusTcpClient("127.0.0.1", port=port)
    if not await client.connect():
        raise DeviceUnavailable(f"pymodbus cannot connect to port {port}")
    try:
        begun, count = time.perf_counter(), 0
        while time.perf_counter() - begun < seconds:
            for start in range(0, registers, BLOCK):
                count += len((await client.read_holding_registers(start, count=BLOCK)).registers)
        return count / (time.perf_counter() - begun)
    finally:
        client.close()


async def _adapter(folder: Path, port: int, registers: int, seconds: float) -> float:
    """Values/s of our connection alone, as samples with their quality."""
    path = folder / "source.toml"
    path.write_text(_source_file(port, registers))
    definition = definition_of("demo", SOURCE, load_toml(path, SourceSettings), SPEC)
    connection = ModbusConnection(definition, ModbusSettings(host="127.0.0.1", port=port), 5.0)
    await connection.connect()
    try:
        tags = range(registers)
        begun, count = time.perf_counter(), 0
        while time.perf_counter() - begun < seconds:
            count += len(await connection.read(tags))
        return count / (time.perf_counter() - begun)
    finally:
        await connection.close()


async def run(load: Load, tell: Tell) -> list[Figure]:
    """The library, our connection, and the whole way to a reader of the log."""
    registers = BLOCK * load.count(BLOCKS, least=2)
    part = load.bounded(PART_SECONDS)
    bare: list[float] = []
    alone: list[float] = []
    async with AsyncExitStack() as stack:
        folder = await stack.enter_async_context(temporary_folder())
        port, pid = await stack.enter_async_context(_device(registers, folder / "device.log"))
        for number in range(load.runs):
            tell(f"bare pymodbus and our connection, run {number + 1} of {load.runs}")
            bare.append(await _bare(port, registers, part))
            alone.append(await _adapter(folder, port, registers, part))
        ceiling = figure("ceiling.modbus", "bare pymodbus: blocks of 125", bare, "values/s", better="higher")
        tell(f"through host and broker for {load.seconds:g} s")
        way = through_host(_source_file(port, registers), step=registers // BLOCK, modulus=1 << 16)
        here, reader = await stack.enter_async_context(way)
        told = await deliver(here, reader, load.seconds, load.runs, {"device": pid})
    return [
        ceiling,
        figure(
            "modbus.connection",
            "our Modbus connection alone: samples",
            alone,
            "values/s",
            better="higher",
            ceiling=ceiling,
        ),
        *delivered_figures(
            "modbus", "Modbus -> host -> broker -> reader", told, goal=GOAL_VALUES, ceiling=ceiling
        ),
    ]


BENCH = Bench("modbus", "Modbus: polled values", run)
