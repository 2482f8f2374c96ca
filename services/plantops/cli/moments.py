"""Times as people write them at the command line."""

from __future__ import annotations

from datetime import UTC, datetime

from plantops.runtime.errors import SettingsError


def moment(text: str, option: str) -> datetime | None:
    """The time in UTC, which is also what a text without a zone means; None for no text.

    Raises: SettingsError naming the option.
    """
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(
            f"{option} {text!r} is no time: write it like 2026-05-01 or 2026-05-01T06:00", setting=option
        ) from error
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
