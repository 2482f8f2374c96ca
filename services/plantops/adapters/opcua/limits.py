"""What a server says of itself: namespaces, and how many operations it takes in one call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from asyncua import ua
from asyncua.client.ua_session import UaSession

from plantops.adapters.opcua.nodes import node_id_of

_LIMITS: Final = (
    ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead,
    ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall,
    ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse,
)


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """Read once per connection; a limit that the server leaves open is ours (`max_nodes_per_call`)."""

    namespaces: tuple[str, ...]
    nodes_per_read: int
    items_per_call: int
    nodes_per_browse: int


async def read_facts(session: UaSession, ours: int) -> ServerFacts:
    """One Read each, since a server may allow a single node per call."""
    namespaces = await _value(session, ua.ObjectIds.Server_NamespaceArray)
    limits = [_limit(await _value(session, node), ours) for node in _LIMITS]
    known = namespaces if isinstance(namespaces, list) else []
    return ServerFacts(tuple(str(uri) for uri in known), *limits)


async def _value(session: UaSession, node: int) -> object:
    (data,) = await session.read_attributes([node_id_of(0, node)], ua.AttributeIds.Value)
    good = data.StatusCode is None or data.StatusCode.is_good()
    return data.Value.Value if good and data.Value is not None else None


def _limit(value: object, ours: int) -> int:
    # OPC UA Part 5, 6.3.11: zero or an absent node means that the server states no limit.
    return min(value, ours) if isinstance(value, int) and value > 0 else ours
