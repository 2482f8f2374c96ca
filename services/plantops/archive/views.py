"""Views for people: names in place of numbers, and one row per command. The same in every file."""

from __future__ import annotations

from typing import Final

import duckdb

VIEWS: Final[tuple[tuple[str, str], ...]] = (
    (
        "samples",
        """
        SELECT series.source, series.tag, sample.observed_at, sample.value, sample.text, sample.quality,
               sample.quality >= 192 AS is_good,
               sample.observed_at - to_microseconds(sample.source_lag) AS source_time,
               series.unit, sample.sequence, sample.place
        FROM sample JOIN series USING (series)
        """,
    ),
)
"""Name and SELECT of each view, in the order in which they build on each other."""


def create_views(connection: duckdb.DuckDBPyConnection) -> None:
    """Make every view anew; cheap, since a view holds nothing."""
    for name, select in VIEWS:
        connection.execute(f"CREATE OR REPLACE VIEW {name} AS {select}")
