"""OPC UA: subscriptions with status and source time, reads, writes, browsing and every current policy."""

from __future__ import annotations

from plantops.adapters.contract import AdapterSpec, Capabilities
from plantops.adapters.opcua.address import parse_address
from plantops.adapters.opcua.config import OpcUaSettings
from plantops.adapters.opcua.connection import OpcUaConnection

SPEC = AdapterSpec(
    name="opcua",
    settings=OpcUaSettings,
    capabilities=Capabilities(write=True, browse=True, subscribe=True, concurrent=True),
    kind_of=lambda address: parse_address(address).type.kind,
    build=OpcUaConnection,
)
