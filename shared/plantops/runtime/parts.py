"""What every table of a settings file is made of."""

from __future__ import annotations

import msgspec


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the site file; unknown keys are refused."""
