"""Operations as a language model is offered them: made from names, units, ranges and risk alone. Pure.

Descriptions in the model file were written by somebody else than the person who asks. They can be read with
a tool, as data with its origin; a tool that is offered with them would be an instruction to whoever sees it.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from plantops.events.base import is_token
from plantops.events.tooling import Json, ToolListed

_BESIDE: Final = ("simulate", "reason")
_KEPT: Final = ("type", "minimum", "maximum", "maxLength")
_UNIT: Final = re.compile(r"[^\s\"'<>{}\[\]\\]{1,12}")


def plainly(tool: ToolListed) -> ToolListed:
    """The tool without a free text. Read tools are our own and stay as they are."""
    if tool.kind != "operation":
        return tool
    required = tool.arguments.get("required") or ()
    arguments: dict[str, Json] = {
        "type": "object",
        "properties": {
            name: schema if name in _BESIDE and name not in required else _argument(schema)
            for name, schema in (tool.arguments.get("properties") or {}).items()
        },
        "required": list(required),
        "additionalProperties": False,
    }
    return msgspec.structs.replace(tool, description=_description(tool), arguments=arguments)


def _description(tool: ToolListed) -> str:
    is_approved = tool.risk == "critical" and not tool.safe_direction
    sentences = (
        f"{tool.operation} of {tool.asset}.",
        f"Risk {tool.risk}.",
        "It goes in the safe direction and waits for nothing." if tool.safe_direction else "",
        "It is simulated first." if tool.simulate_first else "",
        "Other persons must approve it." if is_approved else "",
    )
    return " ".join(filter(None, sentences))


def _argument(schema: dict[str, Any]) -> dict[str, Json]:
    plain: dict[str, Json] = {key: schema[key] for key in _KEPT if key in schema}
    choices = schema.get("enum")
    if choices and all(not isinstance(one, str) or is_token(one) for one in choices):
        plain["enum"] = list(choices)
    words = []
    unit = schema.get("x-unit", "")
    if isinstance(unit, str) and _UNIT.fullmatch(unit):
        plain["x-unit"] = unit
        words.append(f"Unit: {unit}.")
    if choices and "enum" not in plain:
        words.append(f"One of {len(choices)} texts: read what the asset's operations take.")
    if words:
        plain["description"] = " ".join(words)
    return plain
