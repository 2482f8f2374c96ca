"""The demo plant's catalogue as the tools process lists it, written out."""

from __future__ import annotations

from typing import Any

import msgspec

from plantops.events.command_parts import Risk
from plantops.events.tooling import ToolListed

_ABOUT = {
    "pump-001": "pump-001: Feed pump with a variable-speed drive",
    "valve-001": "valve-001: Inlet valve of the tank",
}
_MORE = {
    True: "It goes in the safe direction and waits for nothing.",
    False: "It is simulated first. Other persons must approve it.",
}


def operation(
    asset: str,
    name: str,
    description: str = "",
    risk: Risk = "high",
    *,
    is_safe: bool = False,
    can_simulate: bool = True,
    **arguments: dict[str, Any],
) -> ToolListed:
    """One operation; each keyword is an argument's schema."""
    properties: dict[str, Any] = dict(arguments)
    if can_simulate:
        properties["simulate"] = {"type": "boolean", "description": "only simulate it, write nothing"}
    properties["reason"] = {"type": "string", "maxLength": 500, "description": "why, for the record"}
    return ToolListed(
        name=f"{asset}__{name}",
        kind="operation",
        description=f"{name} of {asset}. {description} {_ABOUT.get(asset, '')} Risk {risk}. {_MORE[is_safe]}",
        risk=risk,
        arguments={
            "type": "object",
            "properties": properties,
            "required": list(arguments),
            "additionalProperties": False,
        },
        asset=asset,
        operation=name,
        safe_direction=is_safe,
        simulate_first=risk in ("high", "critical"),
    )


def number(low: float, high: float, unit: str, description: str = "", kind: str = "number") -> dict[str, Any]:
    """The schema of a bounded number."""
    return {"type": kind, "minimum": low, "maximum": high, "x-unit": unit, "description": description}


RPM = number(0, 3600, "rpm", "speed set-point", "integer")
PERCENT = number(0, 100, "%", "opening")

PUMP = (
    operation("pump-001", "StartPump", "Start the pump at the speed set-point that stands in the drive"),
    operation("pump-001", "SetSpeed", "Set the speed of the pump", RPM=RPM),
    operation("pump-001", "StopPump", "Stop the pump; the safe direction", "medium", is_safe=True),
    operation(
        "pump-001", "EmergencyStop", "Request the safe state: the same as StopPump.", "medium", is_safe=True
    ),
    operation("pump-001", "ResetFault", "Reset a latched trip of the drive", "critical"),
)
VALVE = (
    operation("valve-001", "SetPosition", "Move the valve", "medium", PERCENT=PERCENT),
    operation("valve-001", "CloseValve", "Close the inlet; the safe direction", "low", is_safe=True),
)
DEMO = (*PUMP, *VALVE)
"""What `plantops demo` has."""

SECOND_PUMP = tuple(
    msgspec.structs.replace(tool, name=tool.name.replace("001", "002"), asset="pump-002") for tool in PUMP
)
TWO_PUMPS = (*DEMO, *SECOND_PUMP)


def read(name: str, **arguments: dict[str, Any]) -> ToolListed:
    """A read tool, none of whose arguments is required."""
    schema = {"type": "object", "properties": dict(arguments), "required": [], "additionalProperties": False}
    return ToolListed(name=name, kind="read", description=name, risk="low", arguments=schema)


_TEXT = {"type": "string"}
READS = (
    read("twin-list", asset=_TEXT),
    read("twin-get", tags={"type": "array", "items": _TEXT}, prefix=_TEXT),
    read("twin-find", words=_TEXT, kind=_TEXT),
    read("tag-history", tag=_TEXT, since=_TEXT, until=_TEXT, step=_TEXT),
    read("alarm-list", after={"type": "integer"}),
    read("finding-list", after={"type": "integer"}),
    read("source-health", source=_TEXT),
    read("command-status", command=_TEXT),
    read("command-list", open_only={"type": "boolean"}),
    read("approvals-list"),
    read("holds-list", asset=_TEXT),
    read("policy-explain", asset=_TEXT, operation=_TEXT, arguments={"type": "object"}, mode=_TEXT),
)
"""The read tools that a question may need."""
