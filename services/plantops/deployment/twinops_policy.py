"""A TwinOps policy (CovenantTwin JSON) as a document of ours: stricter where the two differ, and told so.

There an interlock denies when its condition holds, and a value that is missing, no number or compared by an
unknown word does not deny. Here the same rule is its negation, which must be known to hold. What cannot be
carried over denies and is told; nothing is dropped silently.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

import msgspec

from plantops.events.base import Scalar, is_token
from plantops.events.command_parts import RISKS, Risk
from plantops.model.load import Plant
from plantops.policy.acts import is_act
from plantops.policy.document import Compare, OperationRule, Permissive, Policy, Role
from plantops.runtime.errors import SettingsError

Op: TypeAlias = Literal["<", "<=", ">", ">=", "==", "!="]
_NEGATED: Final[Mapping[str, Op]] = {">": "<=", "<": ">=", ">=": "<", "<=": ">", "==": "!=", "!=": "=="}
_KNOWN: Final = frozenset(
    (
        "require_simulation_for_risk",
        "require_approval_for_risk",
        "approval_roles",
        "role_bindings",
        "interlocks",
    )
)
# No model can have it: `unbound` is no asset of a site that is asked for it here.
_UNBOUND: Final = "unbound"
_NUMBERS: Final = ("f", "i", "u")


@dataclass
class Imported:
    """The document, and what a person must know or do before he signs it."""

    policy: Policy
    told: list[str] = field(default_factory=list)


def import_twinops(data: bytes, base: Policy, plant: Plant, bound: Mapping[str, str]) -> Imported:
    """Carry a TwinOps policy over into `base`, a document for this plant.

    `bound` says which `asset.property` is meant by a TwinOps `SUBMODEL#PATH`; nothing is guessed.
    Raises: SettingsError when it is no JSON object, a part of it has another shape, or a binding leads
    nowhere.
    """
    source = _decoded(data)
    for name, property_ in bound.items():
        if plant.tag_of(property_) is None:
            raise SettingsError(
                f"{name} is bound to {property_!r}, which the model does not have", setting="bind"
            )
    told = [f"{key!r} has no place here and was left out" for key in source if key not in _KNOWN]
    roles = _roles(source, plant, told)
    approving = _approving(source, roles, told)
    policy = msgspec.structs.replace(
        base,
        roles={**base.roles, **roles},
        operations=_operations(source, base, approving, told),
        permissives=(*base.permissives, *_permissives(source, plant, bound, told)),
    )
    told.append("people: TwinOps has none, it takes roles from a header; enter principals with their keys")
    told.append("safe directions: TwinOps has none; mark the stop operations with safe_direction")
    return Imported(policy, told)


def _decoded(data: bytes) -> dict[str, Any]:
    try:
        source = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SettingsError(f"the TwinOps policy is no JSON: {error}") from error
    if not isinstance(source, dict):
        raise SettingsError("the TwinOps policy is no JSON object: give the value of PolicyJson")
    return source


def _given(source: Mapping[str, Any], key: str, default: object) -> Any:
    """What stands there; null is as good as nothing, any other emptiness must have the right shape."""
    found = source.get(key)
    return default if found is None else found


def _roles(source: Mapping[str, Any], plant: Plant, told: list[str]) -> dict[str, Role]:
    bindings = _given(source, "role_bindings", {})
    if not isinstance(bindings, dict):
        raise SettingsError(
            "role_bindings is no object: write role -> {allow: [names]}", setting="role_bindings"
        )
    if not bindings:
        told.append(
            "role_bindings is empty: in TwinOps everybody may do everything, here nobody may do anything"
        )
    roles = {}
    for name, binding in bindings.items():
        allow = binding.get("allow", []) if isinstance(binding, dict) else None
        if not isinstance(allow, list) or not all(isinstance(each, str) for each in allow):
            raise SettingsError(f"role {name!r}: write {{allow: [names]}}", setting="role_bindings")
        told += [
            f"role {name!r}: {key!r} has no place here and was left out" for key in binding if key != "allow"
        ]
        roles[name] = Role(operations=tuple(_patterns(name, allow, plant, told)))
    return roles


def _patterns(role: str, allow: list[str], plant: Plant, told: list[str]) -> Iterator[str]:
    there = {operation for asset in plant.model.assets.values() for operation in asset.operations}
    for tool in allow:
        if tool == "*":
            yield "*"
        elif not is_token(tool) or is_act(tool):
            told.append(f"role {role!r}: {tool!r} can be no operation here and gives no right")
        else:
            if tool not in there:
                told.append(f"role {role!r}: no asset of the model has {tool!r}")
            yield f"*.{tool}"


def _approving(source: Mapping[str, Any], roles: dict[str, Role], told: list[str]) -> tuple[str, ...]:
    given = _given(source, "approval_roles", [])
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, list) or not all(isinstance(each, str) and each for each in names):
        raise SettingsError("approval_roles is no list of names: write one", setting="approval_roles")
    if not names:
        told.append("approval_roles is empty: nobody can approve, so nothing critical can be done")
    for name in names:
        if name not in roles:
            told.append(f"role {name!r} approves and has no binding: it was entered without any operation")
            roles[name] = Role()
    return tuple(dict.fromkeys(names))


def _operations(
    source: Mapping[str, Any], base: Policy, approving: tuple[str, ...], told: list[str]
) -> dict[str, OperationRule]:
    simulation = _level(source, "require_simulation_for_risk", "high", told)
    approval = _level(source, "require_approval_for_risk", "critical", told)
    if RISKS.index(simulation) > RISKS.index("high"):
        told.append(f"simulation was asked for from risk {simulation}: here it is from high")
    rules = {}
    for name, rule in base.operations.items():
        risk = rule.risk or "critical"
        if RISKS.index(risk) >= RISKS.index(approval):
            if risk != "critical":
                told.append(f"{name}: risk {risk} needed approval, so it is critical here")
            rule = msgspec.structs.replace(rule, risk="critical", approval_roles=approving)  # noqa: PLW2901
        elif risk in ("low", "medium") and RISKS.index(risk) >= RISKS.index(simulation):
            rule = msgspec.structs.replace(rule, simulate=True)  # noqa: PLW2901
        rules[name] = rule
    return rules


def _level(source: Mapping[str, Any], key: str, default: Risk, told: list[str]) -> Risk:
    text = source.get(key, default)
    for risk in RISKS:
        if isinstance(text, str) and text.lower() == risk:
            return risk
    told.append(f"{key} is {text!r}, which is no risk: taken for the lowest, so that it holds for all")
    return "low"


def _permissives(
    source: Mapping[str, Any], plant: Plant, bound: Mapping[str, str], told: list[str]
) -> Iterator[Permissive]:
    interlocks = _given(source, "interlocks", [])
    if not isinstance(interlocks, list) or not all(isinstance(each, dict) for each in interlocks):
        raise SettingsError("interlocks is no list of objects: write one", setting="interlocks")
    taken: set[str] = set()
    for number, interlock in enumerate(interlocks, start=1):
        name = interlock.get("id")
        if not isinstance(name, str) or not name or name in taken:
            name = _free(f"interlock-{number}", taken)
            told.append(f"interlock {number} has no id of its own: it is {name} here")
        taken.add(name)
        known = ("id", "deny_when", "message")
        told += [f"interlock {name!r}: {key!r} was left out" for key in interlock if key not in known]
        condition = _condition(interlock.get("deny_when"), plant, bound)
        if isinstance(condition, str):
            told.append(f"interlock {name!r} {condition}; until you write it anew it denies every operation")
            condition = Compare(property=f"{_UNBOUND}.interlock-{number}", op="==", value=True)
        message = interlock.get("message")
        yield Permissive(
            id=name, applies=("*",), require=condition, text=message if isinstance(message, str) else ""
        )
    if interlocks:
        told.append("interlocks held back every tool, also a stop: here none holds back a safe direction")


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "-"
    return name


def _condition(deny_when: object, plant: Plant, bound: Mapping[str, str]) -> Compare | str:
    """What must be true instead, or why that cannot be said."""
    if not isinstance(deny_when, dict):
        return "has no deny_when"
    place = f"{deny_when.get('submodel')}#{deny_when.get('path')}"
    extra = sorted(set(deny_when) - {"submodel", "path", "op", "value"})
    if extra:
        return f"says {', '.join(extra)}, which is not known here"
    op = deny_when.get("op")
    if not isinstance(op, str) or op not in _NEGATED:
        return f"compares by {op!r}, which is not known here (in TwinOps it never denied)"
    property_ = bound.get(place)
    if property_ is None:
        return f"looks at {place!r}, which no --bind names"
    tag = plant.tag_of(property_)
    kind = plant.tags[tag].kind if tag is not None else ""
    value = _value(deny_when.get("value"), is_number=op not in ("==", "!=") or kind.startswith(_NUMBERS))
    if value is None:
        return f"compares with {deny_when.get('value')!r}, which is no value for it"
    return Compare(property=property_, op=_NEGATED[op], value=value)


def _value(value: object, *, is_number: bool) -> Scalar | None:
    """As TwinOps would compare it: numbers as numbers, also where they are written as text."""
    if not is_number:
        return value if isinstance(value, bool | int | float | str) else None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
