"""What a step refers to: picked by number from what is there when it is played."""

from __future__ import annotations

from typing import Any

from plantops.events import Event
from soak.world import World


def newest(world: World, *kinds: type[Event]) -> list[Any]:
    """The newest events of these kinds that the log holds, the newest first."""
    return [event for kind in kinds for event in reversed(world.told[kind][-12:])]


def waiting(world: World, kind: type[Event], which: int) -> list[Any]:
    """Those of a kind whose command has not ended; for every seventh pick also those that have."""
    found = newest(world, kind)
    return found if which % 7 == 6 else [each for each in found if each.command not in world.ended]


def pick(found: list[Any], which: int) -> Any:
    """One of them, or None."""
    return found[which % len(found)] if found else None
