"""Between one value in engineering units and the registers that carry it; pure."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from plantops.adapters.modbus.address import NUMBERS, Address, Area, Order
from plantops.events.base import Scalar
from plantops.events.quality import Quality
from plantops.events.tags import Range, TagDefinition
from plantops.runtime.errors import WriteRejected

# Plain numbers: they are compared and packed for every sample.
GOOD = int(Quality.GOOD)
_NO_NUMBER = (None, int(Quality.BAD_SENSOR_FAILURE))
_NO_TEXT = (None, int(Quality.BAD))
_RANGE = int(Quality.UNCERTAIN_RANGE)

# Modbus Application Protocol 1.1b3, 6.12: a request of function 16 holds at most 123 registers.
MAX_WRITE_REGISTERS = 123

Reading: TypeAlias = tuple[Scalar | None, int]
"""A value, None where the quality beside it carries none."""


@dataclass(frozen=True, slots=True)
class Wire:
    """One write request: `function` 5 with a bit, 6 with one register, 16 with several."""

    function: int
    start: int
    cells: tuple[int, ...]
    text: str


def byte_order(order: Order) -> tuple[bool, str]:
    """Whether the bytes of each register are swapped before the whole is read, and then as `>` or `<`."""
    return {
        Order.ABCD: (False, ">"),
        Order.DCBA: (False, "<"),
        Order.BADC: (True, ">"),
        Order.CDAB: (True, "<"),
    }[order]


def swap_bytes(data: bytes) -> bytes:
    """The two bytes of each register exchanged; its own inverse."""
    swapped = bytearray(len(data))
    swapped[0::2], swapped[1::2] = data[1::2], data[0::2]
    return bytes(swapped)


def unpack(address: Address, data: bytes) -> Any:
    """The number or the bytes in the registers of one address, before bit, scaling and text."""
    swapped, endian = byte_order(address.order)
    (raw,) = struct.unpack(endian + address.code, swap_bytes(data) if swapped else data)
    return raw


def pack(address: Address, raw: int | float | bytes) -> bytes:
    """The inverse of `unpack`. Raises: struct.error or OverflowError when `raw` does not fit."""
    swapped, endian = byte_order(address.order)
    data = struct.pack(endian + address.code, raw)
    return swap_bytes(data) if swapped else data


def converter(address: Address, tag: TagDefinition) -> Callable[[Any], Reading] | None:
    """What makes a reading of an unpacked value; None where the value stands for itself and is good."""
    if address.type == "bit":
        mask = 1 << address.bit
        return lambda raw: (raw & mask != 0, GOOD)
    if address.type == "string":
        return _text
    if tag.raw is not None and tag.engineering is not None:
        return _scaling(tag.raw, tag.engineering, clamp=tag.clamp)
    return real if address.kind == "f8" else None


def real(raw: float) -> Reading:
    """A number that stands for itself; not a number is a sensor that failed."""
    if math.isfinite(raw):
        return raw, GOOD
    return _NO_NUMBER if math.isnan(raw) else (raw, _RANGE)


def _text(raw: bytes) -> Reading:
    try:
        return raw.rstrip(b"\0 ").decode(), GOOD
    except UnicodeDecodeError:
        return _NO_TEXT


def _scaling(raw_range: Range, engineering: Range, *, clamp: bool) -> Callable[[Any], Reading]:
    """Linear; a clamped value is not what the device gave, so its quality is uncertain."""
    low, span = raw_range.low, raw_range.high - raw_range.low
    base, height = engineering.low, engineering.high - engineering.low
    bottom, top = min(raw_range.low, raw_range.high), max(raw_range.low, raw_range.high)

    def scale(raw: float) -> Reading:
        quality = GOOD
        if clamp and not bottom <= raw <= top and not math.isnan(raw):
            raw, quality = (bottom if raw < bottom else top), _RANGE
        value = base + (raw - low) * height / span
        return (value, quality) if math.isfinite(value) else real(value)

    return scale


def encode(address: Address, tag: TagDefinition, value: Scalar) -> Wire:
    """The request that writes `value`. Nothing is rounded unless the tag is scaled to an integer.

    Raises: WriteRejected when the tag cannot be written or the value does not fit its type or range.
    """
    if not tag.writable or not address.area.is_writable or address.type == "bit":
        raise _rejected(tag, "it is not writable; nothing was sent")
    if address.area is Area.COIL:
        if not isinstance(value, bool):
            raise _rejected(tag, f"{value!r} is neither true nor false")
        on = int(value)
        return Wire(5, address.start, (on,), f"function 5: coil {address.start} = {'on' if on else 'off'}")
    raw = _bytes_of(address, tag, value) if address.type == "string" else _number(address, tag, value)
    try:
        data = pack(address, raw)
    except (struct.error, OverflowError) as error:
        raise _rejected(tag, f"{raw!r} does not fit {address.type}") from error
    cells = struct.unpack(f">{address.cells}H", data)
    function = 6 if len(cells) == 1 else 16
    words = " ".join(f"{cell:#06x}" for cell in cells)
    text = f"function {function}: holding {address.start} = {words} ({_explain(address, tag, value, data)})"
    return Wire(function, address.start, cells, text)


def _number(address: Address, tag: TagDefinition, value: Scalar) -> int | float:
    if isinstance(value, (bool, str)):
        raise _rejected(tag, f"{value!r} is no number")
    # An integer too large for a float is finite all the same.
    if isinstance(value, float) and not math.isfinite(value):
        raise _rejected(tag, f"{value!r} is not finite")
    is_integer = NUMBERS[address.type][2] != "f8"
    raw: int | float = value
    if tag.raw is not None and tag.engineering is not None:
        _check(tag, "engineering", tag.engineering, value)
        span = tag.raw.high - tag.raw.low
        raw = tag.raw.low + (value - tag.engineering.low) * span / (
            tag.engineering.high - tag.engineering.low
        )
        raw = round(raw) if is_integer else raw
        _check(tag, "raw", tag.raw, raw)
    if is_integer:
        if raw != int(raw):
            raise _rejected(tag, f"{value!r} is no whole number and the tag has no scaling")
        return int(raw)
    return raw


def _check(tag: TagDefinition, name: str, allowed: Range, value: int | float) -> None:
    low, high = min(allowed.low, allowed.high), max(allowed.low, allowed.high)
    if not low <= value <= high:
        raise _rejected(tag, f"{value!r} is outside the {name} range {low!r} to {high!r}")


def _bytes_of(address: Address, tag: TagDefinition, value: Scalar) -> bytes:
    if not isinstance(value, str):
        raise _rejected(tag, f"{value!r} is no text")
    try:
        data = value.encode()
    except UnicodeEncodeError as error:
        raise _rejected(tag, f"{value!r} has no UTF-8 form") from error
    if data != data.rstrip(b"\0 "):
        raise _rejected(tag, f"{value!r} ends with a space or NUL, which reading would cut off")
    if len(data) > 2 * address.cells:
        raise _rejected(tag, f"{value!r} has {len(data)} bytes, there is room for {2 * address.cells}")
    return data


def _explain(address: Address, tag: TagDefinition, value: Scalar, data: bytes) -> str:
    raw = unpack(address, data)
    convert = converter(address, tag)
    will_read = raw if convert is None else convert(raw)[0]
    told = f"{address.type} {raw!r}"
    return told if will_read == value else f"{told}, which reads back as {will_read!r}"


def _rejected(tag: TagDefinition, reason: str) -> WriteRejected:
    return WriteRejected(f"tag {tag.name!r} ({tag.address}) was not written: {reason}", tag=tag.name)
