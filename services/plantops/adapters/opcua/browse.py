"""What a server offers: breadth first, bounded, and never in a circle."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

from asyncua import ua
from asyncua.client.ua_session import UaSession

from plantops.adapters.contract import Browsed
from plantops.adapters.opcua.address import ValueType
from plantops.adapters.opcua.limits import ServerFacts
from plantops.adapters.opcua.nodes import TYPE_OF_VARIANT, format_address, node_id_of

_CLASSES: Final = int(ua.NodeClass.Object) | int(ua.NodeClass.Variable)
_RESULT: Final = int(ua.BrowseResultMask.NodeClass) | int(ua.BrowseResultMask.BrowseName)
_ATTRIBUTES: Final = (
    ua.AttributeIds.DataType,
    ua.AttributeIds.ValueRank,
    ua.AttributeIds.UserAccessLevel,
    ua.AttributeIds.Description,
    ua.AttributeIds.Value,
)
# OPC UA Part 3, 8.57: bits 0 and 1 of an access level.
_CURRENT_READ: Final = 1
_CURRENT_WRITE: Final = 2


@dataclass(frozen=True, slots=True)
class _Found:
    node: ua.NodeId
    path: str


async def browse(
    session: UaSession, facts: ServerFacts, root: ua.NodeId, limit: int
) -> AsyncIterator[Browsed]:
    """Scalar variables below `root`, level by level, until `limit` nodes were seen.

    The server's own description of itself is left out. Several paths to a node give it once.
    """
    seen = {root.to_string(), node_id_of(0, ua.ObjectIds.Server).to_string()}
    level = [_Found(root, "")]
    while level and len(seen) <= limit:
        below: list[_Found] = []
        for start in range(0, len(level), facts.nodes_per_browse):
            part = level[start : start + facts.nodes_per_browse]
            variables: list[_Found] = []
            for parent, references in zip(part, await _references(session, part), strict=True):
                for reference in references:
                    node = _local(reference.NodeId, facts)
                    if node is None or node.to_string() in seen or len(seen) > limit:
                        continue
                    seen.add(node.to_string())
                    found = _Found(node, _join(parent.path, reference))
                    below.append(found)
                    if reference.NodeClass == ua.NodeClass.Variable:
                        variables.append(found)
            for browsed in await _described(session, facts, variables):
                yield browsed
        level = below


async def _references(session: UaSession, parents: Sequence[_Found]) -> list[list[ua.ReferenceDescription]]:
    parameters = ua.BrowseParameters(
        NodesToBrowse=[
            ua.BrowseDescription(
                NodeId=parent.node,
                BrowseDirection=ua.BrowseDirection.Forward,
                ReferenceTypeId=node_id_of(0, ua.ObjectIds.HierarchicalReferences),
                IncludeSubtypes=True,
                NodeClassMask=_CLASSES,
                ResultMask=_RESULT,
            )
            for parent in parents
        ]
    )
    parameters.View.Timestamp = ua.get_win_epoch()
    results = await session.browse(parameters)
    found = [list(result.References or ()) for result in results]
    open_points = {
        place: result.ContinuationPoint for place, result in enumerate(results) if result.ContinuationPoint
    }
    while open_points:
        more = await session.browse_next(
            ua.BrowseNextParameters(
                ReleaseContinuationPoints=False, ContinuationPoints=list(open_points.values())
            )
        )
        places, open_points = list(open_points), {}
        for place, result in zip(places, more, strict=True):
            found[place] += result.References or ()
            if result.ContinuationPoint:
                open_points[place] = result.ContinuationPoint
    return found


async def _described(session: UaSession, facts: ServerFacts, variables: Sequence[_Found]) -> list[Browsed]:
    wanted = [
        ua.ReadValueId(NodeId=found.node, AttributeId=attribute)
        for found in variables
        for attribute in _ATTRIBUTES
    ]
    answers: list[ua.DataValue] = []
    for start in range(0, len(wanted), facts.nodes_per_read):
        answers += await session.read(
            ua.ReadParameters(NodesToRead=wanted[start : start + facts.nodes_per_read])
        )
    width = len(_ATTRIBUTES)
    rows = (answers[place : place + width] for place in range(0, len(answers), width))
    described = (_browsed(found, row, facts) for found, row in zip(variables, rows, strict=True))
    return [browsed for browsed in described if browsed is not None]


def _browsed(found: _Found, row: Sequence[ua.DataValue], facts: ServerFacts) -> Browsed | None:
    data_type, rank, access, description = (_content(data) for data in row[:4])
    level = access if isinstance(access, int) else _CURRENT_READ
    kind = _type_of(data_type, row[4])
    is_array = isinstance(rank, int) and rank >= 0
    if kind is None or is_array or not level & (_CURRENT_READ | _CURRENT_WRITE):
        return None
    text = description.Text if isinstance(description, ua.LocalizedText) else None
    return Browsed(
        address=format_address(found.node, facts.namespaces, kind),
        name=found.path,
        kind=kind.kind,
        writable=bool(level & _CURRENT_WRITE),
        description=text or "",
    )


def _type_of(data_type: object, value: ua.DataValue) -> ValueType | None:
    """By the built-in data type; a derived one (an enumeration, a duration) by the value that it has now."""
    if isinstance(data_type, ua.NodeId) and data_type.NamespaceIndex == 0:
        for variant, kind in TYPE_OF_VARIANT.items():
            # Part 6, 5.1.2: the built-in types' ids are those of their nodes in namespace 0.
            if data_type.Identifier == variant.value:
                return kind
    if value.Value is None or value.Value.is_array:
        return None
    return TYPE_OF_VARIANT.get(value.Value.VariantType)


def _content(data: ua.DataValue) -> object:
    good = data.StatusCode is None or data.StatusCode.is_good()
    return data.Value.Value if good and data.Value is not None else None


def _local(node: ua.NodeId, facts: ServerFacts) -> ua.NodeId | None:
    """The node on this server; None for one that lies on another, or in a namespace that is not listed."""
    if not isinstance(node, ua.ExpandedNodeId):
        return node
    if node.ServerIndex or (node.NamespaceUri and node.NamespaceUri not in facts.namespaces):
        return None
    index = facts.namespaces.index(node.NamespaceUri) if node.NamespaceUri else node.NamespaceIndex
    return ua.NodeId(node.Identifier, ua.Int16(index), node.NodeIdType)


def _join(path: str, reference: ua.ReferenceDescription) -> str:
    name = str(reference.BrowseName.Name)
    return f"{path}.{name}" if path else name
