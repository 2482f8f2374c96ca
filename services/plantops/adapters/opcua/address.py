"""Addresses of tags: a node id, and the type of its value, so that a tag's kind is known without a server.

`ns=2;s=Pump.Speed|float`, `nsu=urn:plant;i=1001|uint16`, `i=2258|string`; without a type it is a double.
"""

from __future__ import annotations

import base64
import binascii
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from asyncua import ua

from plantops.events.tags import Kind
from plantops.runtime.errors import SettingsError


@dataclass(frozen=True, slots=True)
class ValueType:
    """One of the scalar types that a tag may have; `low` and `high` bound the integers."""

    name: str
    kind: Kind
    variant: ua.VariantType
    low: int = 0
    high: int = 0

    @property
    def is_integer(self) -> bool:
        return self.kind in ("i8", "u8")


def _integer(name: str, kind: Kind, variant: ua.VariantType, bits: int) -> ValueType:
    if kind == "u8":
        return ValueType(name, kind, variant, 0, 2**bits - 1)
    return ValueType(name, kind, variant, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


TYPES: Final[dict[str, ValueType]] = {
    kind.name: kind
    for kind in (
        ValueType("double", "f8", ua.VariantType.Double),
        ValueType("float", "f8", ua.VariantType.Float),
        _integer("int8", "i8", ua.VariantType.SByte, 8),
        _integer("uint8", "u8", ua.VariantType.Byte, 8),
        _integer("int16", "i8", ua.VariantType.Int16, 16),
        _integer("uint16", "u8", ua.VariantType.UInt16, 16),
        _integer("int32", "i8", ua.VariantType.Int32, 32),
        _integer("uint32", "u8", ua.VariantType.UInt32, 32),
        _integer("int64", "i8", ua.VariantType.Int64, 64),
        _integer("uint64", "u8", ua.VariantType.UInt64, 64),
        ValueType("bool", "b1", ua.VariantType.Boolean),
        ValueType("string", "s", ua.VariantType.String),
    )
}
TYPE_OF_VARIANT: Final[dict[ua.VariantType, ValueType]] = {kind.variant: kind for kind in TYPES.values()}

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

    def node_id(self, namespaces: Sequence[str]) -> ua.NodeId | None:
        """The node id on a server with these namespaces; None where the server does not know the URI."""
        if isinstance(self.namespace, int):
            return node_id_of(self.namespace, self.identifier)
        if self.namespace not in namespaces:
            return None
        return node_id_of(namespaces.index(self.namespace), self.identifier)


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


def format_address(node: ua.NodeId, namespaces: Sequence[str], kind: ValueType) -> str:
    """The address of `node` by the URI of its namespace, which outlives a restart of the server.

    An index that has no URI stands as it is.
    """
    index = int(node.NamespaceIndex)
    if index == 0:
        prefix = ""
    elif index < len(namespaces):
        prefix = f"nsu={namespaces[index].replace('%', '%25').replace(';', '%3B')};"
    else:
        prefix = f"ns={index};"
    return f"{prefix}{_letter_and_text(node.Identifier)}|{kind.name}"


def node_id_of(index: int, identifier: Identifier) -> ua.NodeId:
    """A node id whose encoding follows from the identifier's own type."""
    namespace = ua.Int16(index)
    if isinstance(identifier, int):
        return ua.NodeId(ua.Int32(identifier), namespace, ua.NodeIdType.Numeric)
    if isinstance(identifier, str):
        return ua.NodeId(ua.String(identifier), namespace, ua.NodeIdType.String)
    if isinstance(identifier, uuid.UUID):
        return ua.NodeId(ua.Guid(str(identifier)), namespace, ua.NodeIdType.Guid)
    return ua.NodeId(ua.ByteString(identifier), namespace, ua.NodeIdType.ByteString)


def _letter_and_text(identifier: object) -> str:
    if isinstance(identifier, int):
        return f"i={int(identifier)}"
    if isinstance(identifier, bytes):
        return f"b={base64.b64encode(identifier).decode()}"
    return f"g={identifier}" if isinstance(identifier, uuid.UUID) else f"s={identifier}"


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
