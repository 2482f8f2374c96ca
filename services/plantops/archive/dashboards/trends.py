"""Pieces of SQL that several dashboards share: which roll-up to read, and where a point lies in time."""

from __future__ import annotations

from typing import Final

# The coarsest level whose buckets are not longer than a point is wide, among those that reach back to the
# beginning of the range; a tenth of the range may be missing. Where none reaches back, the longest one.
LEVEL: Final = """
WITH level AS (
    SELECT step
    FROM (VALUES (1, 'rollup_1s'), (60, 'rollup_1m'), (3600, 'rollup_1h')) AS held(step, table_name)
    JOIN served_window USING (table_name),
    (SELECT CAST($__interval_ms AS BIGINT) AS width,
            CAST($__timeFrom() AS TIMESTAMP) AS begun,
            CAST($__timeTo() AS TIMESTAMP) - CAST($__timeFrom() AS TIMESTAMP) AS span) AS shown
    ORDER BY coalesce(since <= begun + span / 10, true) DESC,
             CASE WHEN since <= begun + span / 10 THEN NULL ELSE since END,
             step * 1000 <= width DESC,
             CASE WHEN step * 1000 <= width THEN -step ELSE step END
    LIMIT 1
)
""".strip()

POINT: Final = (
    "time_bucket(to_milliseconds(greatest(CAST($__interval_ms AS BIGINT), step * 1000)), bucket) AS time"
)

EVENT_POINT: Final = (
    "time_bucket(to_milliseconds(greatest(CAST($__interval_ms AS BIGINT) * 10, 10000)), {}) AS time"
)
"""For what happens now and then: ten points wide, 10 s at least; `.format(column)`."""
