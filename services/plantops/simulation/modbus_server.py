"""Modbus TCP servers on loopback: the plant's own, and a fast one for throughput."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice
from pymodbus.simulator.simcore import SimCore

from plantops.runtime.errors import WriteRejected
from plantops.simulation.image import ILLEGAL_ADDRESS, ModbusImage
from plantops.simulation.modbus_map import UNIT

LOOPBACK = "127.0.0.1"


def _placeholder() -> SimDevice:
    """pymodbus wants a device of its own description; every request goes to our tables instead."""
    return SimDevice(id=UNIT, simdata=SimData(0, datatype=DataType.REGISTERS))


class _PlantTables(SimCore):
    """Answers pymodbus' requests from a `ModbusImage`; errors become exception codes."""

    def __init__(self, image: ModbusImage) -> None:
        super().__init__(_placeholder())
        self._image = image
        self._echo: list[int] | list[bool] = []

    async def async_getValues(  # noqa: N802 - pymodbus' name
        self, device_id: int, func_code: int, address: int, count: int = 1
    ) -> list[int] | list[bool] | ExcCodes:
        if device_id != UNIT:
            return ExcCodes.GATEWAY_NO_RESPONSE
        try:
            return self._read(func_code, address, count)
        except WriteRejected as error:
            return ExcCodes(error.code or ILLEGAL_ADDRESS)

    def _read(self, func_code: int, address: int, count: int) -> list[int] | list[bool]:
        match func_code:
            case 1:
                return self._image.coils(address, count)
            case 2:
                return self._image.discrete(address, count)
            case 4:
                return self._image.input(address, count)
            case 5 | 6:
                # pymodbus reads back what it answers; the protocol wants an echo of the request
                # (1.1b3, 6.5 and 6.6), also where the PLC ignored the write or consumed the bit.
                return self._echo
            case _:
                return self._image.holding(address, count)

    async def async_setValues(  # noqa: N802 - pymodbus' name
        self, device_id: int, func_code: int, address: int, values: list[int] | list[bool]
    ) -> ExcCodes | None:
        if device_id != UNIT:
            return ExcCodes.GATEWAY_NO_RESPONSE
        try:
            if func_code in (5, 15):
                self._image.write_coils(address, [bool(value) for value in values])
            else:
                self._image.write_holding(address, [int(value) for value in values])
        except WriteRejected as error:
            return ExcCodes(error.code or ILLEGAL_ADDRESS)
        self._echo = values
        return None


class _CounterTables(SimCore):
    """Holding register a at tick t holds (t + a) modulo 65536: one slice of a ready ramp per request."""

    def __init__(self, registers: int, ticks: Callable[[], int]) -> None:
        super().__init__(_placeholder())
        self._registers = registers
        self._ticks = ticks
        self._ramp = [value & 0xFFFF for value in range(0x10000 + registers)]

    async def async_getValues(  # noqa: N802 - pymodbus' name
        self, device_id: int, func_code: int, address: int, count: int = 1
    ) -> list[int] | list[bool] | ExcCodes:
        if device_id != UNIT:
            return ExcCodes.GATEWAY_NO_RESPONSE
        if func_code not in (3, 4):
            return ExcCodes.ILLEGAL_FUNCTION
        if address + count > self._registers:
            return ExcCodes.ILLEGAL_ADDRESS
        start = (self._ticks() & 0xFFFF) + address
        return self._ramp[start : start + count]

    async def async_setValues(  # noqa: N802 - pymodbus' name
        self, device_id: int, func_code: int, address: int, values: list[int] | list[bool]
    ) -> ExcCodes | None:
        return ExcCodes.ILLEGAL_FUNCTION


class ModbusServer:
    """A pymodbus server on a loopback port; `port` is known inside `async with`."""

    def __init__(self, tables: SimCore, *, port: int = 0) -> None:
        self.port = port
        self._tables = tables
        self._server: ModbusTcpServer | None = None

    async def __aenter__(self) -> Self:
        """Raises: RuntimeError when the port cannot be bound."""
        server = ModbusTcpServer(_placeholder(), address=(LOOPBACK, self.port))
        server.context = self._tables
        await server.serve_forever(background=True)
        self.port = server.transport.sockets[0].getsockname()[1]  # type: ignore[attr-defined]  # a Server
        self._server = server
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            await self._server.shutdown()  # type: ignore[no-untyped-call]  # pymodbus' gap


def plant_modbus_server(image: ModbusImage, *, port: int = 0) -> ModbusServer:
    """The plant as Modbus unit 1; other units answer exception 11."""
    return ModbusServer(_PlantTables(image), port=port)


@asynccontextmanager
async def counter_server(
    n_registers: int, *, port: int = 0, rate: float = 0.0, clock: Callable[[], float] = time.monotonic
) -> AsyncIterator[int]:
    """A fast Modbus server for benches; yields its loopback port.

    Holding and input registers 0..n-1 of unit 1; register a at tick t reads (t + a) modulo 65536, with
    `rate` ticks per second (0: constant). Nothing can be written.
    """
    begun = clock()

    def ticks() -> int:
        return int((clock() - begun) * rate)

    async with ModbusServer(_CounterTables(n_registers, ticks), port=port) as server:
        yield server.port
