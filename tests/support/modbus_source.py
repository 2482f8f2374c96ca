"""A Modbus connection with the tags that a test names by their addresses."""

from __future__ import annotations

from typing import Any

from plantops.adapters.contract import GroupSettings, SourceSettings, TagSettings
from plantops.adapters.definition import definition_of
from plantops.adapters.modbus import SPEC
from plantops.adapters.modbus.config import ModbusSettings
from plantops.adapters.modbus.connection import ModbusConnection, build
from plantops.runtime.secrets import Secret


def modbus_connection(
    port: int, *addresses: str | TagSettings, timeout: float = 5.0, **settings: Any
) -> ModbusConnection:
    """Tags in the order given; those of holding registers and coils are writable where they can be."""
    tags = tuple(
        address if isinstance(address, TagSettings) else _tag(place, address)
        for place, address in enumerate(addresses)
    )
    groups = (GroupSettings(name="all", period_ms=100),)
    definition = definition_of(
        "demo", "device", SourceSettings(adapter="modbus", groups=groups, tags=tags), SPEC
    )
    return build(definition, ModbusSettings(host="127.0.0.1", port=port, **settings), timeout, Secret)


def _tag(place: int, address: str) -> TagSettings:
    is_writable = address.startswith(("holding", "coil")) and ":bit." not in address
    return TagSettings(name=f"t{place}", address=address, writable=is_writable)
