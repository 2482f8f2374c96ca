"""The same promises against an implementation that shares nothing with ours: libmodbus, in C."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from plantops.events.base import Scalar
from plantops.events.quality import Quality
from support.modbus_source import modbus_connection

SOURCE = Path(__file__).parents[2] / "peers" / "libmodbus_server.c"


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("gcc is not installed")
    target = tmp_path_factory.mktemp("peer") / "libmodbus_server"
    command = [compiler, "-O1", "-I/usr/include/modbus", str(SOURCE), "-lmodbus", "-o", str(target)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode != 0 and ("modbus.h" in built.stderr or "-lmodbus" in built.stderr):
        pytest.skip("libmodbus is not installed (apt-get install libmodbus-dev)")
    assert built.returncode == 0, built.stderr
    return target


@pytest.fixture
async def port(program: Path) -> AsyncIterator[int]:
    server = await asyncio.create_subprocess_exec(program, stdout=asyncio.subprocess.PIPE)
    assert server.stdout is not None
    try:
        async with asyncio.timeout(10):
            yield int(await server.stdout.readline())
    finally:
        server.kill()
        await server.wait()


async def test_reads_all_four_tables(port: int) -> None:
    connection = modbus_connection(port, "input:7", "input:8:uint32", "discrete:9", "discrete:10", "coil:3")
    await connection.connect()
    values = [sample.value for sample in await connection.read(range(5))]
    assert values == [7, 8 << 16 | 9, True, False, False]
    await connection.close()


async def test_reads_floats_in_the_four_orders_of_libmodbus(port: int) -> None:
    orders = ("ABCD", "BADC", "CDAB", "DCBA")
    addresses = [f"holding:{100 + 2 * place}:float32:{order}" for place, order in enumerate(orders)]
    connection = modbus_connection(port, *addresses)
    await connection.connect()
    assert [sample.value for sample in await connection.read(range(4))] == [1234.5] * 4
    await connection.close()


async def test_what_was_written_reads_back(port: int) -> None:
    addresses = ("holding:0", "coil:5", "holding:10:float64:CDAB", "holding:20:string.6", "holding:30:int64")
    values: tuple[Scalar, ...] = (65_535, True, -0.1, "Pumpe 7 ü", -(2**63))
    connection = modbus_connection(port, *addresses)
    await connection.connect()
    for tag, value in enumerate(values):
        await connection.write(tag, value)
    assert tuple(sample.value for sample in await connection.read(range(5))) == values
    await connection.close()


async def test_a_hole_in_the_table_is_bad_alone(port: int) -> None:
    connection = modbus_connection(port, *(f"holding:{place}" for place in range(40, 70)), "holding:500")
    await connection.connect()
    for _cycle in range(3):
        samples = await connection.read(range(31))
        refused = [sample.index for sample in samples if sample.quality == Quality.BAD_CONFIGURATION]
        assert refused == [*range(10, 20), 30]
        assert all(sample.quality == Quality.GOOD for sample in samples if sample.index not in refused)
    await connection.close()


async def test_the_longest_blocks_are_taken(port: int) -> None:
    registers, bits = range(200), range(200)
    connection = modbus_connection(
        port, *(f"input:{place}" for place in registers), *(f"discrete:{place}" for place in bits)
    )
    await connection.connect()
    values = [sample.value for sample in await connection.read(range(400))]
    assert values == [*registers, *(place % 3 == 0 for place in bits)]
    await connection.close()
