"""The whole simulated plant in one object: model, Modbus, OPC UA, wires that can fail, control port."""

import asyncio
import dataclasses
import math
from contextlib import AsyncExitStack
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

from plantops.runtime.errors import SettingsError
from plantops.simulation.image import ModbusImage
from plantops.simulation.line import Line, LineState
from plantops.simulation.modbus_map import COUNTER_BASE
from plantops.simulation.modbus_server import plant_modbus_server
from plantops.simulation.opcua_server import OpcUaServer
from plantops.simulation.plant import Plant
from plantops.simulation.state import Command, Fault, Parameters

LOOPBACK = "127.0.0.1"
# Two registers each from COUNTER_BASE to the last of 65,536 addresses.
MAX_COUNTERS = (65_536 - COUNTER_BASE) // 2


class Protocol(StrEnum):
    """The wires that can be cut."""

    MODBUS = "modbus"
    OPCUA = "opcua"


@dataclass(frozen=True, slots=True)
class SimulationSettings:
    """How a simulated plant is started; port 0 means a free one.

    It listens on `host`, and clients know it as `public_host`: OPC UA tells them its address.
    `counter_rate` is ticks per second of all `counters` counters; up to 20 each tick is visible for itself.
    """

    certificates: Path
    opcua_password: str
    modbus_port: int = 0
    opcua_port: int = 0
    opcua_anonymous: bool = False
    seed: int = 1
    counters: int = 0
    counter_rate: float = 10.0
    temperature_seconds: float = 20.0
    host: str = LOOPBACK
    public_host: str = LOOPBACK


class SimulatedPlant:
    """A plant that really listens inside `async with`; leaving it closes everything.

    Faults act on what the plant shows; `silence`, `hang`, `garbage` and `resume` on one wire only.
    """

    def __init__(self, settings: SimulationSettings) -> None:
        """Raises: SettingsError when the settings cannot work."""
        _check(settings)
        self._settings = settings
        parameters = Parameters(settings.temperature_seconds, settings.counter_rate)
        self.plant = Plant(seed=settings.seed, parameters=parameters)
        self._lines: dict[Protocol, Line] = {}
        self._opcua_server = self._opcua(0)
        self._stack = AsyncExitStack()

    @property
    def modbus_port(self) -> int:
        return self._lines[Protocol.MODBUS].port

    @property
    def opcua_port(self) -> int:
        return self._lines[Protocol.OPCUA].port

    @property
    def opcua_url(self) -> str:
        return f"opc.tcp://{self._settings.public_host}:{self.opcua_port}/plantops"

    def command(self, name: Command | str, value: float) -> None:
        """Write a command word as the local panel would. Raises: WriteRejected when out of range."""
        self.plant.command(Command(name), value)

    def tell(self, fault: Fault | str, value: float | bool | str = True) -> None:
        """Break something at the plant; see `Plant.tell`."""
        self.plant.tell(fault, value)

    def clear(self, fault: Fault | str | None = None) -> None:
        """Mend `fault`, or everything; see `Plant.clear`. Wires are mended by `resume`."""
        self.plant.clear(fault)

    async def silence(self, protocol: Protocol | str) -> None:
        """Close the port and every connection on it; the port number stays ours."""
        await self._lines[Protocol(protocol)].set_state(LineState.SILENT)

    async def hang(self, protocol: Protocol | str) -> None:
        """Keep and accept connections but answer nothing; held answers come late, after `resume`."""
        await self._lines[Protocol(protocol)].set_state(LineState.HANGING)

    async def garbage(self, protocol: Protocol | str) -> None:
        """Answer every request with meaningless bytes."""
        await self._lines[Protocol(protocol)].set_state(LineState.GARBAGE)

    async def resume(self, protocol: Protocol | str) -> None:
        """The wire works again, on the same port."""
        await self._lines[Protocol(protocol)].set_state(LineState.CONNECTED)

    async def failed(self) -> None:
        """Returns when a part has died by itself; leaving the plant then raises the reason."""
        parts = [asyncio.ensure_future(part.failed()) for part in (self.plant, self._opcua_server)]
        try:
            await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for part in parts:
                part.cancel()

    def state(self) -> dict[str, float | bool | int | str | None]:
        """State, command words, how often each was written, and wires, for JSON; NaN becomes None."""
        shown: dict[str, float | bool | int | str | None] = {}
        inputs = self.plant.inputs
        for record in (self.plant.state, inputs):
            for field in dataclasses.fields(record):
                value = getattr(record, field.name)
                if field.name not in ("noise", "faults"):
                    shown[field.name] = None if isinstance(value, float) and math.isnan(value) else value
        for fault in dataclasses.fields(inputs.faults):
            shown[f"told_{fault.name}"] = getattr(inputs.faults, fault.name)
        for name, count in self.plant.writes.items():
            shown[f"writes_{name}"] = count
        for protocol, line in self._lines.items():
            shown[f"line_{protocol}"] = line.state
        return shown

    def written(self, after: int, most: int) -> list[dict[str, float | str]]:
        """Up to `most` writes behind number `after`, oldest first, for JSON; `at` in ISO 8601."""
        later = (each for each in self.plant.written if each.number > after)
        return [
            {"number": each.number, "name": each.name, "value": each.value, "at": each.at.isoformat()}
            for each in islice(later, most)
        ]

    async def __aenter__(self) -> Self:
        """Raises: OSError when a port is taken."""
        settings = self._settings
        async with AsyncExitStack() as stack:
            modbus = await stack.enter_async_context(Line(settings.modbus_port, host=settings.host))
            opcua = await stack.enter_async_context(Line(settings.opcua_port, host=settings.host))
            self._lines = {Protocol.MODBUS: modbus, Protocol.OPCUA: opcua}
            image = ModbusImage(self.plant, counters=settings.counters)
            modbus_server = await stack.enter_async_context(plant_modbus_server(image))
            opcua_server = await stack.enter_async_context(self._opcua(opcua.port))
            self._opcua_server = opcua_server
            await modbus.open(modbus_server.port)
            await opcua.open(opcua_server.port)
            # Last in, first out: time passes only while everything serves.
            await stack.enter_async_context(self.plant)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    def _opcua(self, public_port: int) -> OpcUaServer:
        settings = self._settings
        return OpcUaServer(
            self.plant,
            certificates=settings.certificates,
            password=settings.opcua_password,
            anonymous=settings.opcua_anonymous,
            counters=settings.counters,
            public_port=public_port,
            public_host=settings.public_host,
        )


def _check(settings: SimulationSettings) -> None:
    bounds: tuple[tuple[str, float, float, float], ...] = (
        ("modbus_port", settings.modbus_port, 0, 65_535),
        ("opcua_port", settings.opcua_port, 0, 65_535),
        ("counters", settings.counters, 0, MAX_COUNTERS),
        ("counter_rate", settings.counter_rate, 0, 1_000),
        ("temperature_seconds", settings.temperature_seconds, 0.1, 86_400),
    )
    for name, value, low, high in bounds:
        if not low <= value <= high:
            message = f"simulation setting {name} is {value!r}: give {low:g} to {high:g}"
            raise SettingsError(message, setting=name)
