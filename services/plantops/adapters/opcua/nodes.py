"""Addresses as node ids on a server, and back."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Sequence
from typing import Final

from asyncua import ua

from plantops.adapters.opcua.address import TYPES, Address, Identifier, ValueType

TYPE_OF_VARIANT: Final[dict[ua.VariantType, ValueType]] = {
    ua.VariantType(kind.code): kind for kind in TYPES.values()
}


def node_id(address: Address, namespaces: Sequence[str]) -> ua.NodeId | None:
    """The node id on a server with these namespaces; None where the server does not know the URI."""
    if isinstance(address.namespace, int):
        return node_id_of(address.namespace, address.identifier)
    if address.namespace not in namespaces:
        return None
    return node_id_of(namespaces.index(address.namespace), address.identifier)


def variant_type(kind: ValueType) -> ua.VariantType:
    """The library's name of a type."""
    return ua.VariantType(kind.code)


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
