"""Tool schemas in the subset that providers can hold a model to (strict), and in the plain form else.

Grammar-constrained sampling takes no bounds on numbers, lengths or items: they are said in the description,
and checked by the agent and by the gate in any case.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from plantops.events.base import encode_json
from plantops.events.tooling import ToolListed

_NOT_STRICT: Final = (
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "uniqueItems",
    "default",
    "x-unit",
)
_NEVER: Final = ("$schema",)


def plain_schema(tool: ToolListed) -> dict[str, Any]:
    """The schema as the catalogue has it."""
    return {key: value for key, value in tool.arguments.items() if key not in _NEVER}


def can_be_strict(tool: ToolListed) -> bool:
    """Operations with closed, flat arguments; free maps and references are left to the plain form."""
    properties = tool.arguments.get("properties") or {}
    flat = ("number", "integer", "boolean", "string")
    return tool.kind == "operation" and all(one.get("type") in flat for one in properties.values())


def strict_schema(tool: ToolListed, *, all_required: bool = False) -> dict[str, Any]:
    """The strict form of a tool for which `can_be_strict` holds. `all_required`: every argument is
    required, and null stands for one that is left out (`without_nulls` takes it away again)."""
    required = list(tool.arguments.get("required") or ())
    properties = {
        name: _strict(one, nullable=all_required and name not in required)
        for name, one in (tool.arguments.get("properties") or {}).items()
    }
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties) if all_required else required,
        "additionalProperties": False,
    }


def without_nulls(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What a model left out by saying null."""
    return {name: value for name, value in arguments.items() if value is not None}


def _strict(schema: Mapping[str, Any], *, nullable: bool) -> dict[str, Any]:
    kept = {key: value for key, value in schema.items() if key not in _NOT_STRICT}
    said = {key: value for key, value in schema.items() if key in _NOT_STRICT}
    if said:
        kept["description"] = f"{kept.get('description', '')} {encode_json(said).decode()}".strip()
    if nullable:
        kept["type"] = [schema.get("type"), "null"]
        if "enum" in kept:
            kept["enum"] = [*kept["enum"], None]
    return kept
