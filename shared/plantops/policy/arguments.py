"""The rules on arguments: type, bounds of model and policy, step from what stands in the device. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Final

from plantops.events.base import Scalar
from plantops.events.command_parts import Finding, Truth
from plantops.model.assets import Argument, Operation
from plantops.model.check import argument_of, is_of_type
from plantops.policy.conditions import Known, Sight, read
from plantops.policy.document import ArgumentLimit, OperationRule

# What every reader of JSON and msgpack takes as an integer: signed 64 bit at one end, unsigned at the other.
_INTEGERS: Final = (-(2**63), 2**64 - 1)
_MAX_SHOWN: Final = 128
_ARTICLES: Final = {
    "number": "a finite number",
    "integer": "a whole number",
    "boolean": "true or false",
    "string": "a text",
}


def is_writable_down(value: Scalar) -> bool:
    """Whether a record can hold the value: no NaN or infinity, no integer beyond 64 bit."""
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, int) or _INTEGERS[0] <= value <= _INTEGERS[1]


def argument_findings(
    operation: Operation, rule: OperationRule, arguments: Mapping[str, Scalar]
) -> Iterator[Finding]:
    """One finding per argument that the model, the policy or the request names, in the order of names."""
    for name in sorted({*operation.arguments, *rule.limits, *arguments}):
        argument = operation.arguments.get(name)
        label = f"argument:{name}"
        if argument is None and name in rule.limits:
            yield Finding(
                rule=label, verdict="unknown", text=f"the policy limits {name}, which the model lacks"
            )
        elif argument is None:
            yield Finding(rule=label, verdict="false", text=f"{name} is no argument of this operation")
        elif name not in arguments:
            yield Finding(
                rule=label, verdict="false", text=f"{name} is missing: give {_ARTICLES[argument.type]}"
            )
        else:
            problem = _problem(argument, rule.limits.get(name), arguments[name])
            text = f"{name} = {_shown(arguments[name])} {problem or argument.unit}".rstrip()
            yield Finding(rule=label, verdict="false" if problem else "true", text=text)


def change_findings(
    asset: str, operation: Operation, rule: OperationRule, arguments: Mapping[str, Scalar], sight: Sight
) -> Iterator[Finding]:
    """One finding per argument whose step from the value that stands in the device is bounded."""
    for name, limit in sorted(rule.limits.items()):
        if limit.max_change is None:
            continue
        label = f"change:{name}"
        targets = change_targets(asset, operation, name)
        value = arguments.get(name)
        if not targets or not _is_number(value):
            yield Finding(rule=label, verdict="unknown", text=f"the step of {name} cannot be judged")
            continue
        argument = operation.arguments.get(name)
        for target in targets:
            verdict, text = step_of(target, value, argument.unit if argument else "", sight)
            if isinstance(verdict, float):
                text = f"{text}, at most {limit.max_change:g} is allowed"
                verdict = "true" if verdict <= limit.max_change else "false"
            yield Finding(rule=label, verdict=verdict, text=text)


def change_targets(asset: str, operation: Operation, argument: str) -> tuple[str, ...]:
    """The properties, `asset.property`, that are set to an argument's value."""
    return tuple(
        dict.fromkeys(
            f"{asset}.{step.property}" for step in operation.steps if argument_of(step.value) == argument
        )
    )


def _problem(argument: Argument, limit: ArgumentLimit | None, value: Scalar) -> str:
    if not is_of_type(value, argument.type) or not is_writable_down(value):
        return f"is not {_ARTICLES[argument.type]}"
    if argument.choices and value not in argument.choices:
        return f"is none of {', '.join(map(repr, argument.choices))}"
    problem = _outside(value, argument.low, argument.high, argument.unit, "model")
    if problem or limit is None:
        return problem
    return _outside(value, limit.low, limit.high, argument.unit, "policy")


def _outside(value: Scalar, low: float | None, high: float | None, unit: str, whose: str) -> str:
    if low is None and high is None:
        return ""
    if not _is_number(value):
        return f"cannot be held against the bounds of the {whose}"
    assert isinstance(value, int | float)  # told by _is_number
    # Written so that a NaN as a bound is outside.
    inside = (low is None or value >= low) and (high is None or value <= high)
    if inside:
        return ""
    below = "" if low is None else f"{low:g} <= "
    above = "" if high is None else f" <= {high:g}"
    return f"{unit} is outside {below}x{above} of the {whose}".lstrip()


def step_of(target: str, value: Scalar | None, unit: str, sight: Sight) -> tuple[float | Truth, str]:
    """How far `value` is from what stands in the device; `unknown` when that cannot be told."""
    seen: Known | str = read(target, sight)
    if isinstance(seen, str):
        return "unknown", f"{seen}, needed to bound the step"
    if unit and seen.unit and unit != seen.unit:
        return "unknown", f"{target} is in {seen.unit}, the argument in {unit}"
    if not _is_number(seen.value):
        return "unknown", f"{target} is {seen}, no number to step from"
    assert isinstance(seen.value, int | float)  # told by _is_number
    if not _is_number(value):
        return "unknown", f"{target} is not set to a number"
    assert isinstance(value, int | float)  # told by _is_number
    step = float(abs(value - seen.value))
    return step, f"{target} is {seen}, the step is {step:g}"


def _shown(value: Scalar) -> str:
    """A value for people; the whole of a long text stands in the decision's arguments."""
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def _is_number(value: Scalar | None) -> bool:
    """One that can be calculated with: a longer integer than 64 bit is no float."""
    return value is not None and is_of_type(value, "number") and is_writable_down(value)
