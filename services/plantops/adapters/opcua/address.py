"""Addresses of tags: a node id, and the type of its value, so that a tag's kind is known without a server.

`ns=2;s=Pump.Speed|float`, `nsu=urn:plant;i=1001|uint16`, `i=2258|string`; without a type it is a double.
"""

from __future__ import annotations

import base64
import binascii
import re
import uuid
from dataclasses import dataclass
from typing import Final

from plantops.events.tags import Kind
from plantops.runtime.errors import SettingsError


@dataclass(frozen=True, slots=True)
class ValueType:
    """One of the scalar types that a tag may have; `low` and `high` bound the integers.

    `code` is the built-in type's number (OPC UA Part 6, 5.1.2).
    """

    name: str
    kind: Kind
    code: int
    low: int = 0
    high: int = 0

    @property
    def is_integer(self) -> bool:
        return self.kind in ("i8", "u8")


def _integer(name: str, kind: Kind, code: int, bits: int) -> ValueType:
    if kind == "u8":
        return ValueType(name, kind, code, 0, 2**bits - 1)
    return ValueType(name, kind, code, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


TYPES: Final[dict[str, ValueType]] = {
    kind.name: kind
    for kind in (
        ValueType("double", "f8", 11),
        ValueType("float", "f8", 10),
        _integer("int8", "i8", 2, 8),
        _integer("uint8", "u8", 3, 8),
        _integer("int16", "i8", 4, 16),
        _integer("uint16", "u8", 5, 16),
        _integer("int32", "i8", 6, 32),
        _integer("uint32", "u8", 7, 32),
        _integer("int64", "i8", 8, 64),
        _integer("uint64", "u8", 9, 64),
        ValueType("bool", "b1", 1),
        ValueType("string", "s", 12),
    )
}

# OPC UA Part 6, 5.3.1.10 and 5.3.1.11: `nsu` in place of the index; `;` and `%` in the URI are escaped.
_PATTERN = re.compile(
    r"(?:ns=(?P<index>[0-9]{1,5});|nsu=(?P<uri>[^;]+);)?(?P<letter>[isgb])=(?P<identifier>.+)", re.DOTALL
)
_UINT16 = 2**16 - 1
_UINT32 = 2**32 - 1

Identifier = int | str | bytes | uuid.UUID


@dataclass(frozen=True, slots=True)
class Address:
    """A node id whose namespace is an index or, better, a URI, and the type of its value."""

    namespace: int | str
    identifier: Identifier
    type: ValueType


def parse_address(address: str) -> Address:
    """Raises: SettingsError saying what is wrong with `address`."""
    node, bar, name = address.rpartition("|")
    if not bar:
        node, name = address, "double"
    if name not in TYPES:
        raise _malformed(
            address, f"after the last '|' stands the type, one of {', '.join(TYPES)}; {name!r} is none"
        )
    match = _PATTERN.fullmatch(node)
    if match is None:
        raise _malformed(
            address, "write 'ns=2;s=Name|double', 'nsu=urn:plant;i=1001|int16' or 'i=2259|int32'"
        )
    index = int(match["index"] or 0)
    if index > _UINT16:
        raise _malformed(address, "a namespace index is at most 65535")
    namespace = _unescaped(match["uri"]) if match["uri"] else index
    return Address(namespace, _identifier(address, match["letter"], match["identifier"]), TYPES[name])


def _identifier(address: str, letter: str, text: str) -> Identifier:
    try:
        match letter:
            case "i":
                if not text.isascii() or not text.isdigit() or int(text) > _UINT32:
                    raise _malformed(address, "after 'i=' stands a number up to 4294967295")
                return int(text)
            case "g":
                return uuid.UUID(text)
            case "b":
                return base64.b64decode(text, validate=True)
            case _:
                return text
    except (ValueError, binascii.Error) as error:
        raise _malformed(address, f"{text!r} is no {'GUID' if letter == 'g' else 'base64'}") from error


def _unescaped(uri: str) -> str:
    return uri.replace("%3B", ";").replace("%3b", ";").replace("%25", "%")


def _malformed(address: str, why: str) -> SettingsError:
    return SettingsError(f"OPC UA address {address!r}: {why}", setting="address")
