"""How often what a door refuses is written down: nobody fills the audit by asking what he cannot have."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

MAX_REFUSALS = 60
SPAN = timedelta(minutes=1)


@dataclass
class Quota:
    """At most 60 refusals of one login are written down in a minute; the next one tells how many were not."""

    _spans: dict[str, tuple[datetime, int]] = field(default_factory=dict, repr=False)

    def take(self, login: str, now: datetime) -> int | None:
        """How many were left out before this one, or None when this one is left out too."""
        since, count = self._spans.get(login, (now, 0))
        left_out = 0
        if now - since >= SPAN:
            since, left_out, count = now, max(0, count - MAX_REFUSALS), 0
        self._spans[login] = since, count + 1
        return left_out if count < MAX_REFUSALS else None
