"""The address notation `<area>:<address>[:<type>[:<order>]]`; pure.

Addresses count from zero, as on the wire. `holding:10:float32:CDAB` is registers 10 and 11 by function 3.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from plantops.events.tags import Kind
from plantops.runtime.errors import SettingsError

CELLS = 65_536
MAX_STRING_REGISTERS = 125


class Area(StrEnum):
    """The four tables of a device (Modbus Application Protocol 1.1b3, 4.3)."""

    HOLDING = "holding"
    INPUT = "input"
    COIL = "coil"
    DISCRETE = "discrete"

    @property
    def is_bits(self) -> bool:
        """Whether a cell is one bit instead of a register of 16."""
        return self in (Area.COIL, Area.DISCRETE)

    @property
    def is_writable(self) -> bool:
        """Whether the protocol can write there at all."""
        return self in (Area.HOLDING, Area.COIL)


class Order(StrEnum):
    """Order of the bytes on the wire, A being the most significant, for 32 bits; 64 bits are alike.

    `ABCD` big-endian, `DCBA` little-endian, `BADC` the two bytes of each register swapped, `CDAB` the
    registers in reverse order.
    """

    ABCD = "ABCD"
    DCBA = "DCBA"
    BADC = "BADC"
    CDAB = "CDAB"


# Type -> code of the struct module, registers, kind of the tag.
NUMBERS: dict[str, tuple[str, int, Kind]] = {
    "uint16": ("H", 1, "u8"),
    "int16": ("h", 1, "i8"),
    "uint32": ("I", 2, "u8"),
    "int32": ("i", 2, "i8"),
    "uint64": ("Q", 4, "u8"),
    "int64": ("q", 4, "i8"),
    "float32": ("f", 2, "f8"),
    "float64": ("d", 4, "f8"),
}
_TYPES = f"{', '.join(NUMBERS)}, bit.<0..15>, string.<registers>"
_PARAMETER = re.compile(r"(bit|string)\.([0-9]{1,3})")
# 40001 or 400001: the entity number of old manuals, one-based, its first digit the table.
_ENTITY = re.compile(r"([0134])([0-9]{4,5})")
_ENTITY_AREAS = {"0": Area.COIL, "1": Area.DISCRETE, "3": Area.INPUT, "4": Area.HOLDING}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a value stands and in which form.

    `type` is one of `NUMBERS`, `bit`, `string` or `bool` (the cell of a bit table); `code` is the form in
    the struct module; `cells` counts registers or bits; `bit` is 0 for the least significant one.
    """

    area: Area
    start: int
    type: str
    order: Order
    code: str
    cells: int
    kind: Kind
    bit: int = 0


def parse(text: str) -> Address:
    """Read an address. Raises: SettingsError that says what is wrong and what would be right."""
    parts = text.split(":")
    if entity := _ENTITY.fullmatch(text):
        area, number = _ENTITY_AREAS[entity[1]], int(entity[2])
        hint = f"write {f'{area}:{number - 1}'!r}" if number else "count from zero"
        raise _wrong(text, f"entity numbers are not taken, since they hide what is counted from one: {hint}")
    if not 2 <= len(parts) <= 4 or parts[0] not in list(Area):
        raise _wrong(text, f"write <area>:<address>[:<type>[:<order>]] with one of {', '.join(Area)}")
    if not re.fullmatch(r"[0-9]{1,5}", parts[1]):
        raise _wrong(text, f"the address {parts[1]!r} is not a number from 0 to {CELLS - 1}")
    area = Area(parts[0])
    address = (_bits if area.is_bits else _registers)(text, area, int(parts[1]), parts[2:])
    if address.start + address.cells > CELLS:
        raise _wrong(text, f"it ends behind the last cell {CELLS - 1}")
    return address


def kind_of(text: str) -> Kind:
    """Kind of the tag at an address. Raises: SettingsError."""
    return parse(text).kind


def _bits(text: str, area: Area, start: int, rest: list[str]) -> Address:
    if rest not in ([], ["bool"]):
        raise _wrong(text, f"a cell of {area} is one bit: leave out type and order, or write bool")
    return Address(area, start, "bool", Order.ABCD, "?", 1, "b1")


def _registers(text: str, area: Area, start: int, rest: list[str]) -> Address:
    name = rest[0] if rest else "uint16"
    order = Order.ABCD
    if len(rest) == 2:
        if rest[1] not in list(Order):
            raise _wrong(text, f"the order {rest[1]!r} is none of {', '.join(Order)}")
        order = Order(rest[1])
    if name in NUMBERS:
        code, cells, kind = NUMBERS[name]
        address = Address(area, start, name, order, code, cells, kind)
    else:
        address = _parametrised(text, area, start, name, order)
    if (address.cells == 1 or address.type == "string") and order not in (Order.ABCD, Order.BADC):
        raise _wrong(text, f"{name} knows no order of registers: use ABCD or BADC")
    return address


def _parametrised(text: str, area: Area, start: int, name: str, order: Order) -> Address:
    match = _PARAMETER.fullmatch(name)
    if match is None:
        raise _wrong(text, f"the type {name!r} is none of {_TYPES}")
    number = int(match[2])
    if match[1] == "bit":
        if number > 15:
            raise _wrong(text, f"a register has the bits 0 to 15, not {number}")
        return Address(area, start, "bit", order, "H", 1, "b1", bit=number)
    if not 1 <= number <= MAX_STRING_REGISTERS:
        raise _wrong(text, f"a string has 1 to {MAX_STRING_REGISTERS} registers, not {number}")
    return Address(area, start, "string", order, f"{2 * number}s", number, "s")


def _wrong(text: str, reason: str) -> SettingsError:
    return SettingsError(f"Modbus address {text!r}: {reason}", setting="address")
