"""How values went: which time is meant, and what the history of a tag is told as."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from plantops.agent.models.rules.results import rows
from plantops.agent.models.rules.text import Token, words
from plantops.agent.models.rules.values import unit_told

PAST: Final = words(
    "history trend past yesterday ago average mean since last week earlier before were lately"
)
_UNCLEAR: Final = words("yesterday ago today since week before earlier")
_LETTERS: Final = {"second": "s", "sec": "s", "minute": "m", "min": "m", "hour": "h", "day": "d", "h": "h"}
_HOUR: Final = "1h"


def age_of(tokens: Sequence[Token]) -> str:
    """The age that a history begins at, as `tag-history` takes it; an hour when nothing is said, and "" for a
    time that depends on the site's clock or calendar."""
    if any(token.text in _UNCLEAR for token in tokens):
        return ""
    for place, token in enumerate(tokens):
        letter = _LETTERS.get(token.text.removesuffix("s"))
        before = tokens[place - 1] if place else None
        if letter and before is not None and before.kind == "figure" and before.text.isdecimal():
            return f"{before.text}{letter}"
        if letter and before is not None and before.text in ("last", "past", "an", "one"):
            return f"1{letter}"
        if token.kind == "figure" and token.text.isdecimal() and token.glued in ("s", "m", "min", "h", "d"):
            return f"{token.text}{token.glued[0]}"
    return _HOUR


def history_told(title: str, result: Any) -> str:
    """One tag's history in a line: its bounds, its last value and how old what is told is."""
    points = rows(result, "points")
    if not points:
        return f"{title}: nothing is kept of that time."
    unit = unit_told(str(result.get("unit") or ""))
    lows, highs = _numbers(points, "low"), _numbers(points, "high")
    last = points[-1]
    span = f"{_clock(points[0].get('at'))} to {_clock(last.get('at'))} UTC"
    bounds = f"{min(lows):g} to {max(highs):g}{unit}, " if lows and highs else ""
    good, every = sum(map(_count("good"), points)), sum(map(_count("samples"), points))
    bad = f"; {every - good} of {every} samples were not good" if good < every else ""
    return f"{title}, {span}: {bounds}last {_value(last.get('last'))}{unit}{bad}."


def _numbers(points: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    return [value for one in points if isinstance(value := one.get(name), int | float)]


def _count(name: str) -> Any:
    def count(point: Mapping[str, Any]) -> int:
        value = point.get(name)
        return value if isinstance(value, int) else 0

    return count


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _clock(moment: Any) -> str:
    return str(moment)[:16].replace("T", " ")
