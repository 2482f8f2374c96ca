"""All read tools; a new one is a module in `reading` and a line here."""

from __future__ import annotations

from typing import Final

from plantops.tools.contract import AnyTool

TOOLS: Final[tuple[AnyTool, ...]] = ()
