"""How the delegate reads arguments and writes results: lists of OperationVariable, or plain objects."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from plantops.simulation.delegate.http import BadRequest
from plantops.simulation.delegate.pump import Value

_READ: dict[str, Any] = {"xs:double": float, "xs:long": int, "xs:string": str, "xs:boolean": "true".__eq__}


def arguments_of(body: bytes) -> tuple[dict[str, Value], bool]:
    """The arguments, and whether the body's own context asks for a simulation. Raises: BadRequest."""
    try:
        told = json.loads(body)
        context = False
        if isinstance(told, dict):
            context = told.get("clientContext", {}).get("simulate", False) is True
            told = told["inputArguments"]
        return dict(_argument(one) for one in told), context
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadRequest(f"the arguments cannot be read: {error!r}") from error


def variables(outputs: Mapping[str, Value]) -> list[dict[str, Any]]:
    """A list of OperationVariable (AAS Part 1)."""
    return [
        {
            "value": {
                "modelType": "Property",
                "idShort": name,
                "valueType": _type_of(value),
                "value": str(value).lower() if isinstance(value, bool) else str(value),
            }
        }
        for name, value in outputs.items()
    ]


def _argument(one: dict[str, Any]) -> tuple[str, Value]:
    if "idShort" in one:
        value = one["value"]
        return one["idShort"], float(value) if isinstance(value, int) else value
    told = one["value"]
    return told["idShort"], _READ[told["valueType"]](told["value"])


def _type_of(value: Value) -> str:
    if isinstance(value, bool):
        return "xs:boolean"
    if isinstance(value, int):
        return "xs:int"
    return "xs:double" if isinstance(value, float) else "xs:string"
