"""Everything that can happen in one step, by name.

A step is a tuple of its name and plain values, so that it can be written down, and a history from which steps
were taken away still means something.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias

from soak import attackers, people, processes, surroundings

Step: TypeAlias = tuple[Any, ...]
"""Name and values."""

STEPS: Final[Mapping[str, Callable[..., Awaitable[None]]]] = {
    each.__name__: each
    for each in (
        people.ask,
        people.confirm,
        people.vote,
        people.act,
        surroundings.plant,
        surroundings.feed,
        surroundings.wait,
        surroundings.until,
        surroundings.ring,
        surroundings.false_ring,
        surroundings.policy,
        processes.gate_crash,
        processes.gate_snapshot,
        processes.gate_twin,
        processes.gate_wakes,
        processes.gate_anew,
        processes.trap,
        processes.resume,
        processes.host_crash,
        processes.host_start,
        processes.host_takeover,
        processes.keep_back,
        processes.shut,
        processes.release,
        processes.redeliver,
        processes.fault,
        processes.audit,
        attackers.replay,
        attackers.forge,
    )
}
