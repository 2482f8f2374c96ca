"""Where things lie in the archive's own folder. Names only; nothing is opened here."""

from __future__ import annotations

from typing import Final

LIVE_FILE: Final = "live.duckdb"
SERVED_FILE: Final = "serve/plantops.duckdb"
PARQUET: Final = "parquet"
