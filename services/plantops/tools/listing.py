"""Tools as everybody is shown them: read tools out of structs, operations out of model and policy. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from plantops.events.tooling import Json, ToolListed, operation_name
from plantops.model.assets import Argument, Asset, Operation
from plantops.model.load import Plant
from plantops.policy.document import ArgumentLimit, OperationRule, Policy
from plantops.policy.needs import effective_risk, rule_for
from plantops.tools.clean import clean_text
from plantops.tools.contract import AnyTool

MAX_DESCRIPTION: Final = 1000
MAX_ARGUMENT_TEXT: Final = 300
MAX_REASON: Final = 500
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_MOST_CHOICES: Final = 200

SIMULATE: Final = "simulate"
REASON: Final = "reason"
"""What an operation takes beside its own arguments, where it has none of that name: only to be simulated, and
why it is asked for. They are the intent's `mode` and `reason`."""


def read_tool(tool: AnyTool) -> ToolListed:
    """A read tool with the schemas of both ends."""
    return ToolListed(
        name=tool.name,
        kind="read",
        description=tool.description,
        risk=tool.risk,
        arguments=schema_of(tool.arguments),
        result=schema_of(tool.result),
    )


def schema_of(struct: type[Any]) -> dict[str, Json]:
    """JSON Schema of a struct: closed at every depth, the struct itself at the top."""
    (top,), components = msgspec.json.schema_components((struct,), ref_template="#/$defs/{name}")
    schemas = {name: _closed(schema) for name, schema in components.items()}
    name = top["$ref"].rpartition("/")[2] if "$ref" in top else ""
    schema = {"$schema": _DIALECT, **(schemas[name] if name else _closed(top))}
    used = _referred(schema, schemas)
    return schema | ({"$defs": used} if used else {})


def operations(plant: Plant, policy: Policy) -> Iterator[ToolListed]:
    """One for each operation of the model, in the order of their names."""
    for asset_name, asset in sorted(plant.model.assets.items()):
        for name, operation in sorted(asset.operations.items()):
            yield _operation(asset_name, asset, name, operation, rule_for(policy, asset_name, name))


def _operation(
    asset_name: str, asset: Asset, name: str, operation: Operation, rule: OperationRule
) -> ToolListed:
    risk = effective_risk(rule, operation)
    is_simulated = not rule.safe_direction and (rule.simulate or risk in ("high", "critical"))
    words = [
        f"{name} of {asset_name}.",
        operation.description,
        f"{asset_name}: {asset.description}" if asset.description else "",
        f"Risk {risk}.",
        "It goes in the safe direction and waits for nothing." if rule.safe_direction else "",
        "It is simulated first." if is_simulated else "",
        "Other persons must approve it." if risk == "critical" and not rule.safe_direction else "",
    ]
    return ToolListed(
        name=operation_name(asset_name, name),
        kind="operation",
        description=clean_text(" ".join(filter(None, words)), MAX_DESCRIPTION),
        risk=risk,
        arguments=_arguments(operation.arguments, rule.limits),
        asset=asset_name,
        operation=name,
        safe_direction=rule.safe_direction,
        simulate_first=is_simulated,
    )


def _arguments(arguments: Mapping[str, Argument], limits: Mapping[str, ArgumentLimit]) -> dict[str, Json]:
    properties = {name: _argument(one, limits.get(name)) for name, one in arguments.items()}
    properties.setdefault(SIMULATE, {"type": "boolean", "description": "only simulate it, write nothing"})
    properties.setdefault(
        REASON, {"type": "string", "maxLength": MAX_REASON, "description": "why, for the record"}
    )
    return {
        "$schema": _DIALECT,
        "type": "object",
        "properties": properties,
        "required": list(arguments),
        "additionalProperties": False,
    }


def _argument(argument: Argument, limit: ArgumentLimit | None) -> dict[str, Json]:
    """Model and policy together: the narrower range of both."""
    limit = limit or ArgumentLimit()
    schema: dict[str, Json] = {"type": argument.type}
    lows = [low for low in (argument.low, limit.low) if low is not None]
    highs = [high for high in (argument.high, limit.high) if high is not None]
    if lows:
        schema["minimum"] = max(lows)
    if highs:
        schema["maximum"] = min(highs)
    # A choice that could not be shown as it is would be another one.
    choices = [one for one in argument.choices if not isinstance(one, str) or clean_text(one) == one]
    if choices and len(choices) <= _MOST_CHOICES:
        schema["enum"] = choices
    words = [argument.description, f"Unit: {argument.unit}." if argument.unit else ""]
    if limit.max_change is not None:
        words.append(f"At most {limit.max_change:g} from what stands there now.")
    if argument.unit:
        schema["x-unit"] = clean_text(argument.unit, 32)
    schema["description"] = clean_text(" ".join(filter(None, words)), MAX_ARGUMENT_TEXT)
    return schema


def _closed(schema: Any) -> Any:
    """The schema without room for what it does not name."""
    match schema:
        case dict():
            closed = {key: _closed(value) for key, value in schema.items()}
            if closed.get("type") == "object" and isinstance(closed.get("properties"), dict):
                closed.setdefault("additionalProperties", False)
            return closed
        case list():
            return [_closed(one) for one in schema]
        case _:
            return schema


def _referred(schema: Json, schemas: Mapping[str, Json]) -> dict[str, Json]:
    """All definitions that are reached from `schema`."""
    found: dict[str, Json] = {}
    waiting = [schema]
    while waiting:
        match waiting.pop():
            case dict() as inner:
                name = str(inner.get("$ref", "")).rpartition("/")[2]
                if name and name not in found:
                    found[name] = schemas[name]
                    waiting.append(schemas[name])
                waiting += inner.values()
            case list() as inner:
                waiting += inner
    return dict(sorted(found.items()))
