"""Whether a writer fills the log faster than any plant needs to: said, never refused.

A record that is refused would be an act that is not recorded.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

WINDOW_SECONDS: Final = 10
RECORDS_PER_SECOND: Final = 2000.0


@dataclass
class Quota:
    """Counts records by writer in windows of 10 s of the broker's clock; memory is that of one window."""

    records_per_second: float = RECORDS_PER_SECOND
    _window: int = 0
    _counts: Counter[str] = field(default_factory=Counter)

    def take(self, writer: str, time_ns: int) -> bool:
        """Whether this record is the one with which its writer exceeds the quota of its window."""
        window = time_ns // (WINDOW_SECONDS * 1_000_000_000)
        if window != self._window:
            self._window, self._counts = window, Counter()
        self._counts[writer] += 1
        return self._counts[writer] == int(self.records_per_second * WINDOW_SECONDS) + 1
