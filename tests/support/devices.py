"""What the adapter conformance suite needs to know about each adapter, as data: one entry per adapter.

Each device is one face of the simulated plant, behind a wire that can be cut, can hang and can rave.
"""

from __future__ import annotations

import tomllib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from plantops.events.base import Scalar
from plantops.simulation.delegate.server import DelegateServer
from plantops.simulation.image import ModbusImage
from plantops.simulation.line import Line
from plantops.simulation.modbus_server import plant_modbus_server
from plantops.simulation.opcua_server import OpcUaServer
from plantops.simulation.plant import Plant

KEY_ID = "pump-2026"
# What the suite resolves `secret:pump` to.
SECRET = "what secret:pump stands for, as far as tests go"


@dataclass(frozen=True)
class RunningDevice:
    """The plant behind the protocol, and the wire in front of it; clients use the wire's port."""

    plant: Plant
    line: Line


@dataclass(frozen=True)
class DeviceUnderTest:
    """How to reach one adapter's device, and what is there.

    `start` gets a folder that all tests of a run share. `connection` gives the settings for a port.
    `readable`: addresses that answer well; `missing`: well-formed and refused by the device; `writable`: an
    address with numbers to write and read back; `command`: the plant's own name for the same thing.
    `exempt`: promise (the test's name without `test_`) to the reason why it does not hold here. A device
    without `readable` and `writable` has no tags at all.
    """

    start: Callable[[Path], AbstractAsyncContextManager[RunningDevice]]
    connection: Callable[[int], Mapping[str, Any]]
    readable: tuple[str, ...] = ()
    missing: str = ""
    writable: str = ""
    values: tuple[float, ...] = ()
    command: str = ""
    wrong_value: Scalar = ""
    timeout_seconds: float = 2.0
    exempt: Mapping[str, str] = field(default_factory=dict)


@asynccontextmanager
async def _modbus(_folder: Path) -> AsyncIterator[RunningDevice]:
    plant = Plant()
    async with Line() as line, plant_modbus_server(ModbusImage(plant)) as server, plant:
        await line.open(server.port)
        yield RunningDevice(plant, line)


@asynccontextmanager
async def _opcua(folder: Path) -> AsyncIterator[RunningDevice]:
    plant = Plant()
    async with Line() as line:
        served = OpcUaServer(
            plant, certificates=folder, password="not-a-secret", anonymous=True, public_port=line.port
        )
        async with served as server, plant:
            await line.open(server.port)
            yield RunningDevice(plant, line)


@asynccontextmanager
async def _delegate(_folder: Path) -> AsyncIterator[RunningDevice]:
    async with Line() as line, DelegateServer({KEY_ID: SECRET}) as server:
        await line.open(server.port)
        yield RunningDevice(Plant(), line)  # nothing of it shows here


def _exempt(package: str) -> dict[str, str]:
    """The promises that the adapter's own scale takes it out of, and why."""
    rules = tomllib.loads((files(package) / "quality.toml").read_text())["rules"]
    return {rule: entry["reason"] for rule, entry in rules.items() if entry["status"] == "exempt"}


DEVICES: dict[str, DeviceUnderTest] = {
    "delegate": DeviceUnderTest(
        start=_delegate,
        connection=lambda port: {
            "url": f"http://127.0.0.1:{port}",
            "key_id": KEY_ID,
            "secret": "secret:pump",
        },
        exempt=_exempt("plantops.adapters.delegate"),
    ),
    "modbus": DeviceUnderTest(
        start=_modbus,
        connection=lambda port: {"host": "127.0.0.1", "port": port},
        readable=("holding:39", "input:0", "holding:60:string.8", "discrete:4", "holding:50:float64"),
        missing="holding:45",
        writable="holding:0:uint16",
        values=(1200, 0, 3600),
        command="speed",
        wrong_value="fast",
        timeout_seconds=1.0,
    ),
    "opcua": DeviceUnderTest(
        start=_opcua,
        connection=lambda port: {"endpoint_url": f"opc.tcp://127.0.0.1:{port}/plantops"},
        readable=tuple(
            f"nsu=urn:plantops:simulation;s={node}"
            for node in ("Pump001.Speed|double", "Pump001.PlcRunning|bool", "Pump001.Name|string")
        ),
        missing="nsu=urn:plantops:simulation;s=Pump001.Missing|double",
        writable="nsu=urn:plantops:simulation;s=Pump001.SpeedSetpoint|double",
        values=(1200.0, 0.0, 3600.0),
        command="speed",
        wrong_value="fast",
    ),
}
