"""Where a page ended, as the next one is asked for it: written by us, and read as what a stranger says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, TypeVar

from plantops.tools.contract import ToolError

T = TypeVar("T")
_NUMBER: Final = re.compile(r"0|[1-9]\d{0,15}", re.ASCII)


def number_of(cursor: str, first: int = 0) -> int:
    """The number in a cursor, `first` where there is none. Raises: ToolError `bad_cursor`."""
    if not cursor:
        return first
    if _NUMBER.fullmatch(cursor) is None:
        raise bad_cursor(cursor)
    return int(cursor)


def bad_cursor(cursor: str) -> ToolError:
    """What a cursor of somebody else's making is answered."""
    return ToolError("bad_cursor", f"{cursor[:64]!r} is no cursor of this tool: begin again without one")


def cut(items: Sequence[T], cursor: str, rows: int) -> tuple[Sequence[T], str]:
    """A page of what is all known at once, and the cursor of the next one. Raises: ToolError."""
    start = number_of(cursor)
    end = start + rows
    return items[start:end], str(end) if end < len(items) else ""
