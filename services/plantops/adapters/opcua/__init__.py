"""OPC UA: subscriptions with status and source time, reads, writes, browsing and every current policy."""

from __future__ import annotations

from typing import Any

from plantops.adapters.contract import AdapterSpec, Capabilities, Connection, Secrets
from plantops.adapters.opcua.address import parse_address
from plantops.adapters.opcua.config import OpcUaSettings
from plantops.events.tags import SourceDefined


def build(definition: SourceDefined, settings: Any, timeout_seconds: float, secrets: Secrets) -> Connection:
    """As `AdapterSpec.build` says."""
    # The library costs a second and 60 MB; who only reads addresses does not need it.
    from plantops.adapters.opcua.connection import OpcUaConnection  # noqa: PLC0415

    return OpcUaConnection(definition, settings, timeout_seconds, secrets)


SPEC = AdapterSpec(
    name="opcua",
    settings=OpcUaSettings,
    capabilities=Capabilities(write=True, browse=True, subscribe=True, concurrent=True),
    kind_of=lambda address: parse_address(address).type.kind,
    build=build,
)
