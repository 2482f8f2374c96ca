"""Ending everything that is open on an asset: what a stop, a lock-out and a fallback have in common. Pure."""

from __future__ import annotations

from typing import Final

from plantops.events.base import AssetName, CommandId
from plantops.flow.processor import Output
from plantops.gate import withdrawals
from plantops.gate.site import Site
from plantops.gate.state import GateState, View

# One input's answers are stored as one batch of at most 1,000; the generation voids what is not told.
MAX_CANCELLED: Final = 500
# What is over, and an act that waits for an executor, which writes nothing.
_LEFT_ALONE: Final = ("cancelled", "expired", "ordered")


def sweep(
    site: Site,
    state: GateState,
    asset: AssetName,
    reason: str,
    *,
    by: CommandId,
    besides: CommandId | None = None,
) -> list[Output]:
    """End the open normal commands of an asset, those with a permit first; at most 500 answers."""
    view = View(state)
    ended = [
        command
        for command in view.open_on(asset)
        if command != besides and view.course(command).phase not in _LEFT_ALONE
    ]
    ended.sort(key=lambda command: not view.course(command).permitted)
    outputs: list[Output] = []
    for command in ended:
        ends = withdrawals.end(site, view, command, reason, by=by)
        if len(outputs) + len(ends) > MAX_CANCELLED:
            break
        outputs += ends
    return outputs
