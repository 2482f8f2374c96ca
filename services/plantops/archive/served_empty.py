"""A served snapshot before anything is in it: all tables and views, as the bytes of a file."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Final

import duckdb

from plantops.archive.served_tables import SERVED_TABLES, TREND_VIEW
from plantops.archive.tables import TABLES
from plantops.archive.views import create_views

STORAGE_VERSION: Final = "v1.5.0"
# A quarter of the default: each of the many small tables takes whole blocks, anew every few seconds. A small
# plant's snapshot has 2 MB instead of 8; writing a large one takes as long.
BLOCK_SIZE: Final = 65536
# To try all ways of packing texts takes half of the time of writing a small snapshot. This one alone makes
# it half as large as the best that DuckDB finds.
TEXTS: Final = "zstd"


@lru_cache(maxsize=1)
def empty_snapshot(place: Path) -> bytes:
    """Made once, at `place`, where nothing stays: forty tables and views take as long as filling them.

    Raises: duckdb.Error, OSError.
    """
    path = str(place).replace("'", "''")
    try:
        with duckdb.connect() as connection:
            connection.execute(
                f"ATTACH '{path}' AS empty (STORAGE_VERSION '{STORAGE_VERSION}', BLOCK_SIZE {BLOCK_SIZE})"
            )
            connection.execute("USE empty")
            for table in (*TABLES.values(), *SERVED_TABLES):
                connection.execute(table.create(texts=TEXTS))
            create_views(connection)
            connection.execute(f"CREATE VIEW {TREND_VIEW[0]} AS {TREND_VIEW[1]}")
            connection.execute("USE memory")
            connection.execute("DETACH empty")
        return place.read_bytes()
    finally:
        place.unlink(missing_ok=True)
