"""The control port, and the plant as a process of its own."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from plantops.simulation.control import ControlServer
from plantops.simulation.line import LOOPBACK
from plantops.simulation.simulated_plant import SimulatedPlant, SimulationSettings
from simulation.conditions import BOUND_SECONDS

Process = asyncio.subprocess.Process


@asynccontextmanager
async def process(*arguments: str) -> AsyncIterator[Process]:
    command = (sys.executable, "-m", "plantops.simulation", *arguments)
    started = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await started.communicate()


async def test_a_plant_in_another_process_can_be_told_to_fail_and_ends_on_sigterm() -> None:
    async with asyncio.timeout(3 * BOUND_SECONDS), process("--counters", "2", "--seed", "5") as started:
        assert started.stdout is not None
        ready = json.loads(await started.stdout.readline())
        assert ready["opcua"].startswith("opc.tcp://127.0.0.1:")
        reader, writer = await asyncio.open_connection(LOOPBACK, ready["control"])

        async def ask(request: dict[str, object]) -> dict[str, object]:
            writer.write(json.dumps(request).encode() + b"\n")
            answer = json.loads(await reader.readline())
            assert answer["ok"] is True
            state: dict[str, object] = answer["state"]
            return state

        assert (await ask({"tell": "temperature", "value": 96}))["temperature_celsius"] == 96.0
        before = datetime.now(UTC)
        for percent in (10.0, 20.0, 30.0):
            await ask({"command": "valve", "value": percent})
        written = (await ask({"written": 1}))["written"]
        assert isinstance(written, list)
        assert [(each["number"], each["name"], each["value"]) for each in written] == [
            (2, "valve", 20.0),
            (3, "valve", 30.0),
        ]
        assert before <= datetime.fromisoformat(written[0]["at"]) <= datetime.now(UTC)
        await ask({"silence": "modbus"})
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(LOOPBACK, ready["modbus"])
        assert (await ask({"resume": "modbus"}))["line_modbus"] == "connected"
        _, modbus = await asyncio.open_connection(LOOPBACK, ready["modbus"])
        started.send_signal(signal.SIGTERM)
        assert await started.wait() == 0
        modbus.close()
        writer.close()


async def test_a_taken_port_ends_the_process_with_one_clear_line() -> None:
    taken = await asyncio.start_server(lambda _reader, _writer: None, LOOPBACK, 0)
    port = taken.sockets[0].getsockname()[1]
    async with asyncio.timeout(3 * BOUND_SECONDS), process("--modbus-port", str(port)) as started:
        out, error = await started.communicate()
        assert started.returncode == 2
        assert out == b""
        assert error.startswith(b"the simulated plant cannot run:")
        assert error.count(b"\n") == 1
    taken.close()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"nonsense\n", "not JSON"),
        (b"[]\n", "no JSON object"),
        (b"{}\n", "must hold one of"),
        (b'{"tell": "trip", "clear": "trip"}\n', "must hold one of"),
        (b'{"tell": "odd"}\n', "knows no fault"),
        (b'{"tell": "temperature", "value": "hot"}\n', "degrees"),
        (b'{"tell": "temperature", "value": null}\n', "must be a number"),
        (b'{"command": "speed", "value": 9999}\n', "give 0 to 3600"),
        (b'{"command": "speed", "value": 1' + b"0" * 400 + b"}\n", "cannot command"),
        (b'{"silence": "carrier-pigeon"}\n', "cannot silence"),
    ],
)
async def test_a_wrong_control_line_gets_one_clear_error(tmp_path: Path, line: bytes, says: str) -> None:
    plant = SimulatedPlant(SimulationSettings(certificates=tmp_path, opcua_password="x"))
    answer = await ControlServer(plant).answer(line)
    assert answer["ok"] is False
    assert says in str(answer["error"])


async def test_clear_all_mends_the_plant(tmp_path: Path) -> None:
    control = ControlServer(SimulatedPlant(SimulationSettings(certificates=tmp_path, opcua_password="x")))
    await control.answer(b'{"tell": "local"}\n')
    assert '"local_mode": true' in json.dumps(await control.answer(b'{"state": true}\n'))
    assert '"local_mode": false' in json.dumps(await control.answer(b'{"clear": "all"}\n'))
