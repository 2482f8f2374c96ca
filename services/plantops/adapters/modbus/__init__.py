"""Modbus TCP."""

from plantops.adapters.contract import AdapterSpec, Capabilities
from plantops.adapters.modbus.address import kind_of
from plantops.adapters.modbus.config import ModbusSettings
from plantops.adapters.modbus.connection import build

SPEC = AdapterSpec(
    name="modbus",
    settings=ModbusSettings,
    capabilities=Capabilities(write=True, concurrent=True),
    kind_of=kind_of,
    build=build,
)
