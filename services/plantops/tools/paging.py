"""The catalogue in pages: a plant may have more operations than one message holds. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Final

from plantops.events.base import encode_json
from plantops.events.tooling import CatalogueTold, ToolListed
from plantops.tools.contract import ToolError

PAGE_BYTES: Final = 1024 * 1024
"""As much of the broker's 8 MiB as one page takes, so that a single tool may be larger and still be told."""

MAX_TOOL_BYTES: Final = 4 * 1024 * 1024
MOST_ROWS: Final = 1000
_CURSOR: Final = re.compile(r"(\d{1,9})-([0-9a-f]{16})")


def page_of(
    listed: Sequence[ToolListed],
    revision: str,
    usable: Collection[str] | None,
    *,
    cursor: str = "",
    rows: int = 0,
    page_bytes: int = PAGE_BYTES,
) -> CatalogueTold:
    """What of `listed` is `usable` (None: all) from `cursor` on, as much as fits; `rows` 0: no other bound.

    The cursor is a place among all tools of one revision, so it means the same to every replica and to
    whoever asks. Raises: ToolError `bad_arguments`; `bad_cursor`; `catalogue_changed` since that page;
    `too_large` for a tool that no message holds.
    """
    if not 0 <= rows <= MOST_ROWS:
        raise ToolError("bad_arguments", f"rows is 0 to {MOST_ROWS}")
    tools, size = list[ToolListed](), 0
    for place in range(_read(cursor, revision), len(listed)):
        tool = listed[place]
        if usable is not None and tool.name not in usable:
            continue
        size += len(encode_json(tool))
        if tools and (size > page_bytes or len(tools) == rows):
            return CatalogueTold(tools=tuple(tools), revision=revision, next=f"{place}-{revision[:16]}")
        if size > MAX_TOOL_BYTES:
            raise ToolError("too_large", f"{tool.name} takes more to describe than a message holds")
        tools.append(tool)
    return CatalogueTold(tools=tuple(tools), revision=revision)


def _read(cursor: str, revision: str) -> int:
    if not cursor:
        return 0
    found = _CURSOR.fullmatch(cursor)
    if found is None:
        raise ToolError("bad_cursor", "the cursor is none that was given here: begin without one")
    if found[2] != revision[:16]:
        raise ToolError("catalogue_changed", "the catalogue has changed since: begin without a cursor")
    return int(found[1])
