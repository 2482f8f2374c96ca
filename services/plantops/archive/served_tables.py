"""Tables that only a served snapshot has: what it holds, how old it is, and each tag's newest value."""

from __future__ import annotations

from typing import Final

from plantops.archive.table import Column, Table, needs

SERVED: Final = Table(
    "served",
    "This snapshot: one row.",
    (
        needs("site", "VARCHAR"),
        needs("schema", "VARCHAR", "of the archive that it was taken from"),
        needs("written_at", "TIMESTAMP", "the archive machine's clock when it was begun"),
        Column("as_of", "TIMESTAMP", "the broker's clock of the newest frame; NULL before the first one"),
        Column("rolled_at", "TIMESTAMP", "the same, of the newest frame that roll-ups and `latest` include"),
        Column("newest_at", "TIMESTAMP", "the broker's clock of the newest message of any stream"),
    ),
    key=("written_at",),
    origin="own",
)

SERVED_WINDOW: Final = Table(
    "served_window",
    "How much of each table this snapshot holds.",
    (
        needs("table_name", "VARCHAR"),
        needs("rows", "BIGINT"),
        needs("total", "BIGINT", "rows in the archive"),
        Column("since", "TIMESTAMP", "all from then on is here; NULL where time does not cut it"),
    ),
    key=("table_name",),
    origin="own",
)

LATEST: Final = Table(
    "latest",
    "The newest value of each tag that the roll-ups of this snapshot know.",
    (
        needs("series", "INTEGER"),
        needs("last_at", "TIMESTAMP", "observed_at of that value"),
        Column("value", "DOUBLE"),
        Column("text", "VARCHAR"),
        needs("quality", "UTINYINT"),
    ),
    key=("series",),
    origin="own",
)

SERVED_TABLES: Final = (SERVED, SERVED_WINDOW, LATEST)

# A view is used in place of a table so that a dashboard names the level and nothing else.
TREND_VIEW: Final = (
    "trend",
    """
    SELECT 1 AS step, * FROM rollup_1s
    UNION ALL SELECT 60 AS step, * FROM rollup_1m
    UNION ALL SELECT 3600 AS step, * FROM rollup_1h
    """,
)
"""All roll-ups as one; `step` is the length of a bucket in seconds."""
