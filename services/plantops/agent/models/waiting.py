"""How long a provider asks to be left alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

_MOST: Final = 3600.0


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds by `retry-after-ms` or `retry-after` (RFC 9110, 10.2.3, as seconds); None without, or with a
    date: our clock may not be the provider's."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * scale
        except ValueError:
            continue
        if math.isfinite(seconds) and 0 <= seconds <= _MOST:
            return seconds
    return None
