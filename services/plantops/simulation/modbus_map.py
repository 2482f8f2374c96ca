"""The Modbus map of the simulated plant as data: what stands at which address, in which form."""

import math
import struct
from dataclasses import dataclass
from enum import StrEnum

from plantops.simulation.state import Command

UNIT = 1
# Holding registers 40..49 answer exception 2, so that a client's block splitting can be tried.
HOLE = range(40, 50)
HOLDING_END = 74
COUNTER_BASE = 1000


class Kind(StrEnum):
    """The value's form; 16 bits to a register."""

    UINT16 = "uint16"
    INT16 = "int16"
    UINT32 = "uint32"
    INT32 = "int32"
    UINT64 = "uint64"
    INT64 = "int64"
    FLOAT32 = "float32"
    FLOAT64 = "float64"
    STRING16 = "string16"  # 16 ASCII characters, two to a register, the first in the high byte, NUL padded


class Order(StrEnum):
    """Order of the bytes of a 32-bit value on the wire, A being the most significant."""

    ABCD = "ABCD"
    CDAB = "CDAB"
    BADC = "BADC"
    DCBA = "DCBA"


_FORMATS = {
    Kind.UINT16: ">H",
    Kind.INT16: ">h",
    Kind.UINT32: ">I",
    Kind.INT32: ">i",
    Kind.UINT64: ">Q",
    Kind.INT64: ">q",
    Kind.FLOAT32: ">f",
    Kind.FLOAT64: ">d",
    Kind.STRING16: ">16s",
}


@dataclass(frozen=True, slots=True)
class Point:
    """One value in the map; the register holds the value in `unit` times `factor`.

    `value` names what of the plant is shown (see `view.py`), or is the constant itself.
    """

    address: int
    name: str
    kind: Kind
    value: str | int | float
    order: Order = Order.ABCD
    factor: float = 1.0
    unit: str = ""
    command: Command | None = None

    @property
    def registers(self) -> range:
        return range(self.address, self.address + struct.calcsize(_FORMATS[self.kind]) // 2)


@dataclass(frozen=True, slots=True)
class Bit:
    """One coil or discrete input."""

    address: int
    name: str
    value: str
    command: Command | None = None


SAMPLE_INT32 = -123_456_789
SAMPLE_UINT32 = 3_735_928_559
SAMPLE_FLOAT32 = -118.625
SAMPLE_FLOAT64 = 3.141592653589793
SAMPLE_INT64 = -9_007_199_254_740_995
SAMPLE_UINT64 = 9_007_199_254_740_993  # 2^53 + 1: lost by whoever goes through a float
SAMPLE_INT16 = -12_345

_ORDERS = tuple(Order)

HOLDING = (
    Point(0, "speed_setpoint", Kind.UINT16, "speed_setpoint", unit="RPM", command=Command.SPEED),
    Point(1, "run", Kind.UINT16, "run_command", command=Command.RUN),
    Point(2, "valve_command", Kind.UINT16, "valve_command", factor=10.0, unit="%", command=Command.VALVE),
    Point(10, "temperature", Kind.FLOAT32, "temperature", unit="degC"),
    Point(12, "flow", Kind.FLOAT32, "flow", Order.CDAB, unit="l/min"),
    Point(14, "speed_setpoint_float", Kind.FLOAT32, "speed_setpoint", unit="RPM", command=Command.SPEED),
    *(
        Point(20 + 2 * i, f"int32_{order.lower()}", Kind.INT32, SAMPLE_INT32, order)
        for i, order in enumerate(_ORDERS)
    ),
    *(
        Point(28 + 2 * i, f"float32_{order.lower()}", Kind.FLOAT32, SAMPLE_FLOAT32, order)
        for i, order in enumerate(_ORDERS)
    ),
    Point(36, "uint32_abcd", Kind.UINT32, SAMPLE_UINT32),
    Point(38, "uint32_cdab", Kind.UINT32, SAMPLE_UINT32, Order.CDAB),
    Point(50, "float64_sample", Kind.FLOAT64, SAMPLE_FLOAT64),
    Point(54, "int64_sample", Kind.INT64, SAMPLE_INT64),
    Point(58, "int16_sample", Kind.INT16, SAMPLE_INT16),
    Point(59, "status_word", Kind.UINT16, "status_word"),
    Point(60, "device_name", Kind.STRING16, "device_name"),
    Point(70, "uint64_sample", Kind.UINT64, SAMPLE_UINT64),
)
INPUT = (
    Point(0, "speed", Kind.UINT16, "speed", unit="RPM"),
    Point(1, "temperature_tenths", Kind.INT16, "temperature", factor=10.0, unit="degC"),
    Point(2, "level", Kind.UINT16, "level", factor=100.0, unit="%"),
    Point(3, "valve_position", Kind.UINT16, "valve_position", factor=10.0, unit="%"),
    Point(4, "flow_tenths", Kind.UINT16, "flow", factor=10.0, unit="l/min"),
)
COILS = (
    Bit(0, "reset_fault", "reset", Command.RESET),
    Bit(1, "run_coil", "run", Command.RUN),
)
DISCRETE = (
    Bit(0, "running", "running"),
    Bit(1, "fault", "fault"),
    Bit(2, "local_mode", "local_mode"),
    Bit(3, "maintenance", "maintenance"),
    Bit(4, "plc_running", "plc_running"),
)

_INTEGER_NO_VALUE = -32768


def encode(point: Point, value: float | str) -> list[int]:
    """The registers that show `value`; NaN in an integer register is 0x8000, the usual mark for no value."""
    form = _FORMATS[point.kind]
    if isinstance(value, str):
        packed = struct.pack(form, value.encode("ascii"))
    elif point.kind in (Kind.FLOAT32, Kind.FLOAT64):
        packed = struct.pack(form, value * point.factor)
    elif math.isnan(value):
        packed = struct.pack(">h", _INTEGER_NO_VALUE)
    else:
        # A factor of 1 must not turn a 64-bit integer into a float.
        packed = struct.pack(form, round(value if point.factor == 1.0 else value * point.factor))
    return _words(packed, point.order)


def decode(point: Point, words: list[int]) -> float | int:
    """The value in the point's unit that a client wrote; the inverse of `encode` for numbers."""
    straight = struct.pack(f">{len(words)}H", *words)
    packed = struct.pack(f">{len(words)}H", *_words(straight, point.order))
    value: float | int = struct.unpack(_FORMATS[point.kind], packed)[0]
    return value if point.factor == 1.0 else value / point.factor


def _words(packed: bytes, order: Order) -> list[int]:
    """16-bit words in wire order; each order is its own inverse."""
    words = list(struct.unpack(f">{len(packed) // 2}H", packed))
    if order in (Order.CDAB, Order.DCBA):
        words.reverse()
    if order in (Order.BADC, Order.DCBA):
        words = [(word >> 8) | ((word & 0xFF) << 8) for word in words]
    return words
