"""The plant seen through Modbus: register and bit tables made from its state, writes turned into commands."""

from dataclasses import dataclass
from typing import TypeVar

from plantops.runtime.errors import WriteRejected
from plantops.simulation.modbus_map import (
    COILS,
    COUNTER_BASE,
    DISCRETE,
    HOLDING,
    HOLDING_END,
    HOLE,
    INPUT,
    Bit,
    Point,
    decode,
    encode,
)
from plantops.simulation.plant import Plant
from plantops.simulation.process import counter_value
from plantops.simulation.state import Command, check_command
from plantops.simulation.view import Shown, shown

ILLEGAL_ADDRESS = 2
ILLEGAL_VALUE = 3

Value = TypeVar("Value", int, bool)


class AddressRefused(WriteRejected):
    """Nothing stands at this address, it is read-only, or only half of a value was written."""


@dataclass(frozen=True, slots=True)
class _Write:
    command: Command
    value: float


class ModbusImage:
    """The four tables of one device, always in step with the plant; addresses are those on the wire.

    Reads raise AddressRefused (exception 2). Writes are all or nothing: AddressRefused for an address that
    cannot be written, WriteRejected with code 3 for a value out of range.
    """

    def __init__(self, plant: Plant, *, counters: int = 0) -> None:
        self._plant = plant
        self._counters = counters
        self._ticks = -1
        self._counter_words: list[int] = []
        self._holding: list[int] = []
        self._input: list[int] = []
        self._coils: list[bool] = []
        self._discrete: list[bool] = []
        self._refresh()
        plant.subscribe(self._refresh)

    def holding(self, address: int, count: int) -> list[int]:
        if address >= COUNTER_BASE:
            return _slice(self._counter_words, address - COUNTER_BASE, count, address)
        words = _slice(self._holding, address, count, address)
        if address < HOLE.stop and address + count > HOLE.start:
            raise _refused(address, count)
        return words

    def input(self, address: int, count: int) -> list[int]:
        return _slice(self._input, address, count, address)

    def coils(self, address: int, count: int) -> list[bool]:
        return _slice(self._coils, address, count, address)

    def discrete(self, address: int, count: int) -> list[bool]:
        return _slice(self._discrete, address, count, address)

    def write_holding(self, address: int, words: list[int]) -> None:
        writes, position = [], 0
        while position < len(words):
            point = _writable_point(address + position)
            part = words[position : position + len(point.registers)]
            if len(part) < len(point.registers) or point.command is None:
                raise _refused(address, len(words))
            writes.append(_Write(point.command, decode(point, part)))
            position += len(part)
        self._apply(writes)

    def write_coils(self, address: int, bits: list[bool]) -> None:
        writes = []
        for position, bit in enumerate(bits):
            command = next((coil.command for coil in COILS if coil.address == address + position), None)
            if command is None:
                raise _refused(address, len(bits))
            writes.append(_Write(command, float(bit)))
        self._apply(writes)

    def _apply(self, writes: list[_Write]) -> None:
        try:
            for write in writes:
                check_command(write.command, write.value)
        except WriteRejected as error:
            raise WriteRejected(error.message, tag=error.tag, code=ILLEGAL_VALUE) from error
        for write in writes:
            self._plant.command(write.command, write.value)

    def _refresh(self) -> None:
        values = shown(self._plant)
        self._holding = _table(HOLDING, HOLDING_END, values)
        self._input = _table(INPUT, INPUT[-1].registers.stop, values)
        self._coils = _bits(COILS, values)
        self._discrete = _bits(DISCRETE, values)
        ticks = self._plant.state.counter_ticks
        if ticks != self._ticks:
            self._ticks = ticks
            numbers = [counter_value(ticks, index) for index in range(self._counters)]
            self._counter_words = [word for n in numbers for word in (n >> 16, n & 0xFFFF)]


def _table(points: tuple[Point, ...], size: int, values: Shown) -> list[int]:
    table = [0] * size
    for point in points:
        value = values[point.value] if isinstance(point.value, str) else point.value
        table[point.registers.start : point.registers.stop] = encode(point, value)
    return table


def _bits(bits: tuple[Bit, ...], values: Shown) -> list[bool]:
    return [values[bit.value] == 1.0 for bit in bits]


def _writable_point(address: int) -> Point:
    for point in HOLDING:
        if point.address == address and point.command is not None:
            return point
    raise _refused(address, 1)


def _slice(table: list[Value], start: int, count: int, address: int) -> list[Value]:
    if start < 0 or start + count > len(table):
        raise _refused(address, count)
    return table[start : start + count]


def _refused(address: int, count: int) -> AddressRefused:
    message = f"the simulated device refused {count} at address {address}: see the map for what stands where"
    return AddressRefused(message, code=ILLEGAL_ADDRESS)
