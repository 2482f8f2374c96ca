"""Operation delegation of Eclipse BaSyx V2, as it is asked of us: a list of OperationVariable, and one back.

AAS Part 1 (OperationVariable of one Property each); the other direction is the delegate adapter's. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from plantops.events.base import Scalar
from plantops.gateway.problems import HttpProblem
from plantops.model.xsd import from_text, to_text, type_of

# AAS Part 1, constraint AASd-002: letters, digits and underscores, a letter first.
_ID_SHORT: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,127}")
_MOST: Final = 64


class Property(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The one kind of element that is taken: a property with a value. What else stands there is not read."""

    model_type: str
    id_short: str
    value_type: str
    value: str | None = None


class OperationVariable(msgspec.Struct, frozen=True):
    """AAS Part 1, 5.3.7.10."""

    value: Property


def arguments_of(body: bytes) -> dict[str, Scalar]:
    """The arguments by name. Raises: HttpProblem 400 naming what is wrong in it."""
    try:
        variables = msgspec.json.decode(body or b"[]", type=list[OperationVariable])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HttpProblem(400, "bad_request", f"this is no list of OperationVariable: {error}") from error
    if len(variables) > _MOST:
        raise HttpProblem(400, "bad_request", f"{len(variables)} variables: at most {_MOST} are taken")
    found: dict[str, Scalar] = {}
    for variable in variables:
        name, value = _argument(variable.value)
        if name in found:
            raise HttpProblem(400, "bad_request", f"the variable {name!r} stands there twice")
        found[name] = value
    return found


def _argument(one: Property) -> tuple[str, Scalar]:
    name = one.id_short
    if _ID_SHORT.fullmatch(name) is None:
        raise HttpProblem(400, "bad_request", f"{name[:100]!r} is no idShort")
    if one.model_type != "Property":
        raise HttpProblem(400, "bad_request", f"variable {name!r} is a {one.model_type[:100]!r}, no Property")
    if one.value is None:
        raise HttpProblem(400, "missing_field", f"variable {name!r} has no value", details={"field": name})
    try:
        return name, from_text(one.value, one.value_type)
    except ValueError as error:
        raise HttpProblem(400, "bad_request", f"variable {name!r}: {error}") from error


def variables_of(outputs: Mapping[str, Scalar]) -> bytes:
    """Outputs as a list of OperationVariable; what can be no idShort is left out."""
    told: list[dict[str, Any]] = []
    for name, value in outputs.items():
        if _ID_SHORT.fullmatch(name) is not None:
            kind = type_of(value)
            told.append(
                {
                    "value": {
                        "modelType": "Property",
                        "idShort": name,
                        "valueType": kind,
                        "value": to_text(value, kind),
                    }
                }
            )
    return msgspec.json.encode(told)
