"""What a bench measures: figures with goal, ceiling of the same run, and how far runs differed."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import msgspec

from plantops.runtime.errors import SettingsError

Tell: TypeAlias = Callable[[str], None]
Better: TypeAlias = Literal["higher", "lower", "neither"]


class Figure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One number. `name` is stable for programs and starts with its bench's name and a dot.

    `value` is the median of `runs` where there are several. `ceiling` is what the bare libraries reach in
    the same run, in the same unit, and `ceiling_name` says which figure that is. A `goal` is met from above
    or below, as `better` says.
    """

    name: str
    title: str
    value: float
    unit: str
    better: Better = "neither"
    goal: float | None = None
    ceiling: float | None = None
    ceiling_name: str = ""
    ratio: float | None = None
    met: bool | None = None
    runs: tuple[float, ...] = ()
    spread: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Load:
    """How much a bench may do: seconds of each timed part, repetitions, and a factor on all counts."""

    seconds: float = 20.0
    runs: int = 3
    size: float = 1.0

    def count(self, full: int, *, least: int = 1) -> int:
        """`full`, made smaller with `size`."""
        return max(least, round(full * self.size))

    def bounded(self, seconds: float) -> float:
        """At most `seconds`, less under a small load."""
        return min(seconds, self.seconds)


@dataclass(frozen=True, slots=True)
class Bench:
    """A bench: its figures come whole or not at all. What `run` starts ends with it.

    One with `more_seconds` takes so much longer than the others, and is run only when it is named.
    """

    name: str
    title: str
    run: Callable[[Load, Tell], Awaitable[list[Figure]]]
    more_seconds: float = 0.0


def figure(
    name: str,
    title: str,
    runs: float | Sequence[float],
    unit: str,
    *,
    better: Better = "neither",
    goal: float | None = None,
    ceiling: Figure | None = None,
    note: str = "",
) -> Figure:
    """A figure from one run or several; the spread is (highest - lowest) / median.

    Raises: SettingsError when there was no run or a value is not finite: such a number says nothing.
    """
    values = tuple(map(float, runs)) if isinstance(runs, Sequence) else (float(runs),)
    if not values or not all(math.isfinite(value) for value in values):
        raise SettingsError(f"bench figure {name!r} has no finite value ({values}): look at the bench's log")
    value = median(values)
    met = None
    if goal is not None and better != "neither":
        met = value >= goal if better == "higher" else value <= goal
    return Figure(
        name=name,
        title=title,
        value=value,
        unit=unit,
        better=better,
        goal=goal,
        ceiling=ceiling.value if ceiling else None,
        ceiling_name=ceiling.name if ceiling else "",
        ratio=value / ceiling.value if ceiling and ceiling.value else None,
        met=met,
        runs=values if len(values) > 1 else (),
        spread=(max(values) - min(values)) / value if len(values) > 1 and value else None,
        note=note,
    )


def median(values: Sequence[float]) -> float:
    """The middle one, or the mean of the two in the middle."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank: the smallest value that `share` (0 to 1) of all do not exceed. Raises: ValueError."""
    if not values:
        raise ValueError("no value was measured, so there is no percentile")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def percentiles(
    name: str,
    title: str,
    seconds: Sequence[float],
    *,
    shares: Sequence[int] = (50, 95, 99),
    goals: dict[int, float] | None = None,
    note: str = "",
) -> list[Figure]:
    """Times as figures in milliseconds, one for each percentile."""
    told = f"{len(seconds)} measured" + (f"; {note}" if note else "")
    return [
        figure(
            f"{name}.p{share}",
            f"{title}, p{share}",
            1000 * percentile(seconds, share / 100),
            "ms",
            better="lower",
            goal=(goals or {}).get(share),
            note=told,
        )
        for share in shares
    ]
