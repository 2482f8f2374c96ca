"""Requests and replies as bytes, from the function code on (Modbus Application Protocol 1.1b3, 6); pure."""

from __future__ import annotations

import struct

from plantops.adapters.modbus.address import Area
from plantops.adapters.modbus.codec import Wire

READ_FUNCTIONS = {Area.COIL: 1, Area.DISCRETE: 2, Area.HOLDING: 3, Area.INPUT: 4}
WRITE_FUNCTIONS = (5, 6, 16)
EXCEPTION_BIT = 0x80
COIL_ON = 0xFF00


def read_request(area: Area, start: int, count: int) -> bytes:
    """Functions 1 to 4."""
    return struct.pack(">BHH", READ_FUNCTIONS[area], start, count)


def write_request(wire: Wire) -> bytes:
    """Functions 5, 6 and 16."""
    if wire.function == 5:
        return struct.pack(">BHH", 5, wire.start, COIL_ON if wire.cells[0] else 0)
    if wire.function == 6:
        return struct.pack(">BHH", 6, wire.start, wire.cells[0])
    count = len(wire.cells)
    return struct.pack(f">BHHB{count}H", 16, wire.start, count, 2 * count, *wire.cells)


def read_data(reply: bytes, size: int) -> bytes | None:
    """What a reply to a read carries, None unless it is exactly `size` bytes and says so itself."""
    return reply[2:] if len(reply) == size + 2 and reply[1] == size else None


def is_echo(request: bytes, reply: bytes) -> bool:
    """Whether a reply to a write repeats function, address and value or count."""
    return reply == request[:5]


_EXCEPTIONS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "accepted, but not finished yet",
    6: "device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "the device behind the gateway does not answer",
}


def exception_text(code: int) -> str:
    """Code and name (1.1b3, 7)."""
    return f"exception {code} ({_EXCEPTIONS.get(code, 'unknown to the protocol')})"
