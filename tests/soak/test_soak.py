"""The gate and the executors against the reference model, over many random histories.

`make soak` plays a million steps; here it is a hundred thousand, in two halves.
"""

from __future__ import annotations

from collections import Counter

import pytest

from soak.episode import episodes, play, shortest

STEPS = 50_000
"""For each half."""

# Each must have happened, or the histories prove nothing about it.
MUST_HAPPEN = (
    "permit SetSpeed",
    "permit Trim",
    "permit Start",
    "permit Reset",
    "permit Open",
    "permit undo of Trim",
    "permit undo of Open",
    "permit under a bypass",
    "write SetSpeed",
    "write Trim",
    "write Start",
    "write back Start",
    "write Reset",
    "write Open",
    "write Stop",
    "write Close",
    "write undo of Trim",
    "stop permitted at once",
    "executed",
    "failed",
    "outcome_unknown",
    "reconciled",
    "fallback_ordered",
    "denied",
    "expired",
    "cancelled",
    "approval_refused",
    "approval_withdrawn",
    "approval_escalated",
    "lock_set",
    "lock_lifted",
    "bypass_granted",
    "bypass_ended",
    "policy in force",
    "policy_refused",
    "gate restarted",
    "gate: fenced",
    "gate: buried",
    "door: not_trusted",
    "door: key_conflict",
    "trap crash at claimed+",
    "trap crash at written",
    "trap stall at generation",
    "decisions replayed",
)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_forbidden_is_executed_in_any_order_of_events(seed: int) -> None:
    counts: Counter[str] = Counter()
    for number, history in episodes(seed, STEPS):
        played = play(history)
        counts += played.counts
        if played.broken:
            steps, again = shortest(history)
            told = "\n".join(f"    {step!r}," for step in steps)
            pytest.fail(f"seed {number}: {again.broken[0]}\n[\n{told}\n]")
    assert [what for what in MUST_HAPPEN if not counts[what]] == []
