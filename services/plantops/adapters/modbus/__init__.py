"""Modbus TCP."""

from __future__ import annotations

from typing import Any

from plantops.adapters.contract import AdapterSpec, Capabilities, Connection, Secrets
from plantops.adapters.modbus.address import kind_of
from plantops.adapters.modbus.config import ModbusSettings
from plantops.events.tags import SourceDefined


def build(definition: SourceDefined, settings: Any, timeout_seconds: float, secrets: Secrets) -> Connection:
    """As `AdapterSpec.build` says."""
    # Who only reads addresses does not need the library.
    from plantops.adapters.modbus.connection import build as build_connection  # noqa: PLC0415

    return build_connection(definition, settings, timeout_seconds, secrets)


SPEC = AdapterSpec(
    name="modbus",
    settings=ModbusSettings,
    capabilities=Capabilities(write=True, concurrent=True),
    kind_of=kind_of,
    build=build,
)
