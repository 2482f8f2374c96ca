"""How a count that somebody follows from outside rises with the time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise


def rates(
    seen: Sequence[tuple[float, int]], begun: float, ended: float, *, each: float = 1.0
) -> tuple[float, ...]:
    """Of a count seen at times, both rising: `each` times its rise per second, second by second without the
    first one (or over the whole, when that was shorter)."""
    found: list[float] = []
    last = (begun, 0)
    for at, count in seen:
        if at - last[0] >= 1.0:
            found.append((count - last[1]) * each / (at - last[0]))
            last = (at, count)
    whole = seen[-1][1] * each / (ended - begun)
    return tuple(found[1:]) if len(found) > 1 else (whole,)


def delays(seen: Sequence[tuple[float, int]], made_at: Sequence[float]) -> tuple[float, ...]:
    """From the making of each, to the first look that showed it."""
    found: list[float] = []
    for (_, old), (at, new) in pairwise([(0.0, 0), *seen]):
        found += [at - made for made in made_at[old:new]]
    return tuple(found)
