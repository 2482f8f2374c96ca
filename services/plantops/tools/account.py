"""What an identity has used in a window, as its last event says, and as one process sees it. Pure.

A process takes calls ahead, a block at a time, and only then tells which of its block it has used. Whoever
counts takes what is in other hands for used, and for the very call that is asked now: so no number is ever
too low, whoever dies with a block in hand, and the breaker holds however many processes share the account.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

import msgspec

from plantops.events.conversation import BudgetCharged

MOST_KINDS: Final = 64
"""How many different calls an account names; of the rest it knows the most that each can have been."""

Bound: TypeAlias = Literal["calls", "identical"]


@dataclass(slots=True)
class Hand:
    """What one process holds of its block: `left` calls, and by digest the `used` ones not told yet."""

    left: int = 0
    used: Counter[str] = field(default_factory=Counter)

    @property
    def held(self) -> int:
        return self.left + self.used.total()

    def use(self, digest: str) -> None:
        """One call of the block."""
        self.left -= 1
        self.used[digest] += 1


def is_open(account: BudgetCharged, now: datetime, window: timedelta) -> bool:
    """Whether the window still runs at `now`; one that begins far in the future was a wrong clock's."""
    return account.since - window <= now < account.since + window


def identical(account: BudgetCharged, hand: Hand, digest: str) -> int:
    """The most that this call can have been made in the window."""
    elsewhere = max(0, account.reserved - hand.held)
    return account.identical.get(digest, account.others) + hand.used[digest] + elsewhere


def left(account: BudgetCharged, hand: Hand, calls: int) -> int:
    """How many more calls this process can make in the window."""
    return max(0, calls - account.calls) + hand.left


def charged(account: BudgetCharged, hand: Hand, count: int, at: datetime) -> BudgetCharged:
    """The account once `hand` has told what it used and taken `count` more."""
    counts = {digest: account.identical.get(digest, account.others) + n for digest, n in hand.used.items()}
    kept, others = _largest({**account.identical, **counts}, account.others)
    return msgspec.structs.replace(
        account,
        at=at,
        calls=account.calls + count,
        reserved=max(0, account.reserved - hand.used.total()) + count,
        identical=kept,
        others=others,
    )


def _largest(counts: Mapping[str, int], others: int) -> tuple[dict[str, int], int]:
    """Those called most, and the most that any other was."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    dropped = ranked[MOST_KINDS:]
    return dict(ranked[:MOST_KINDS]), max((others, *(count for _digest, count in dropped)))
