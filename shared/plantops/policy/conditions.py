"""Conditions in Kleene's three-valued logic over observed inputs. Pure.

Unknown is what cannot be judged: it denies, and negation keeps it. Taking information away can turn
`true` or `false` into `unknown`, never one into the other.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal

from plantops.events.base import Scalar, TagName
from plantops.events.command_parts import ObservedInput, Truth
from plantops.events.quality import is_bad, is_good, is_override, quality_name
from plantops.model.load import Plant
from plantops.policy.document import Compare, Condition, Either, Every, Negate

_OPERATORS: Final[Mapping[str, Callable[[Any, Any], bool]]] = MappingProxyType(
    {
        "<": operator.lt,
        "<=": operator.le,
        ">": operator.gt,
        ">=": operator.ge,
        "==": operator.eq,
        "!=": operator.ne,
    }
)


@dataclass(frozen=True, slots=True)
class Sight:
    """What a judgement sees: the observed inputs by tag, and how old they may be by default."""

    plant: Plant
    inputs: Mapping[TagName, ObservedInput]
    max_age_seconds: float


@dataclass(frozen=True, slots=True)
class Known:
    """An input that may be used, with its unit."""

    value: Scalar
    unit: str

    def __str__(self) -> str:
        return f"{shown(self.value)} {self.unit}".rstrip()


def evaluate(condition: Condition, sight: Sight) -> tuple[Truth, str]:
    """Whether the condition holds, and why, for people."""
    match condition:
        case Compare():
            return _compare(condition, sight)
        case Negate():
            truth, text = evaluate(condition.of, sight)
            return _NEGATED[truth], f"not ({text})"
        case Every():
            return _join([evaluate(each, sight) for each in condition.of], decides="false", word="and")
        case Either():
            return _join([evaluate(each, sight) for each in condition.of], decides="true", word="or")
        case _:
            return "unknown", f"a condition of the unknown kind {type(condition).__name__}"


def read(
    property_: str,
    sight: Sight,
    *,
    max_age_seconds: float | None = None,
    quality: Literal["good", "uncertain"] = "good",
) -> Known | str:
    """The value of `asset.property` when it may be used; else why not."""
    tag = sight.plant.tag_of(property_)
    if tag is None:
        return f"{property_} is no property of the model"
    observed = sight.inputs.get(tag)
    if observed is None:
        return f"{property_} was not observed"
    limit = sight.max_age_seconds if max_age_seconds is None else max_age_seconds
    problem = _quality_problem(observed.quality, quality) or _age_problem(observed.age_seconds, limit)
    if not problem and observed.value is None:
        problem = "has no value"
    if not problem and isinstance(observed.value, float) and not math.isfinite(observed.value):
        problem = "is not a finite number"
    if problem:
        return f"{property_} {problem}"
    assert observed.value is not None
    return Known(observed.value, sight.plant.unit_of(property_))


def equals(value: Scalar, wanted: Scalar) -> Truth:
    """Equality of the same type only; a number equals a number, a bool is none."""
    if _sort(value) != _sort(wanted) or not (_is_finite(value) and _is_finite(wanted)):
        return "unknown"
    return "true" if value == wanted else "false"


def _compare(condition: Compare, sight: Sight) -> tuple[Truth, str]:
    name, op, bound = condition.property, condition.op, condition.value
    seen = read(name, sight, max_age_seconds=condition.max_age_seconds, quality=condition.quality)
    if isinstance(seen, str):
        return "unknown", f"{seen}, must be {op} {shown(bound)}"
    text = f"{name} is {seen}, must be {op} {shown(bound)}"
    apply = _OPERATORS.get(op)
    sort = _sort(seen.value)
    if apply is None:
        return "unknown", f"{text}: unknown operator"
    if condition.unit and condition.unit != seen.unit:
        return "unknown", f"{text} {condition.unit}: the model's unit is {seen.unit or 'not given'}"
    if sort != _sort(bound) or not _is_finite(bound):
        return "unknown", f"{text}: they cannot be compared"
    if sort != "number" and op not in ("==", "!="):
        return "unknown", f"{text}: a {sort} has no order"
    return ("true" if apply(seen.value, bound) else "false"), text


def _quality_problem(quality: int, demanded: str) -> str:
    if not 0 <= quality <= 255:
        return f"has the impossible quality {quality}"
    if is_override(quality):
        return "is overridden by hand"
    if demanded not in ("good", "uncertain"):
        return f"is asked for in the unknown quality {demanded!r}"
    sufficient = is_good(quality) or (demanded == "uncertain" and not is_bad(quality))
    return "" if sufficient else f"has quality {quality_name(quality)}"


def _age_problem(age: float | None, limit: float) -> str:
    if age is None:
        return "was never confirmed"
    # Written so that a NaN on either side is a problem.
    if 0 <= age <= limit:
        return ""
    return f"was confirmed {age:g} s ago, at most {limit:g} s are allowed"


def _join(parts: list[tuple[Truth, str]], *, decides: Truth, word: str) -> tuple[Truth, str]:
    if not parts:
        return "unknown", f"nothing is joined by '{word}'"
    truths = [truth for truth, _text in parts]
    text = f" {word} ".join(text for _truth, text in parts)
    if len(parts) > 1:
        text = f"({text})"
    if decides in truths:
        return decides, text
    return ("unknown" if "unknown" in truths else _NEGATED[decides]), text


_NEGATED: Final[Mapping[Truth, Truth]] = MappingProxyType(
    {"true": "false", "false": "true", "unknown": "unknown"}
)


def _sort(value: Scalar) -> str:
    if isinstance(value, bool):
        return "switch"
    return "text" if isinstance(value, str) else "number"


def _is_finite(value: Scalar) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def shown(value: Scalar) -> str:
    """A value as people write it in a condition."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value)
