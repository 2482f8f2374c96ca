"""What a tag's newest value is worth, in words; shared by the panels that count and that list."""

from __future__ import annotations

from typing import Final

# The roll-ups and `latest` are written every few seconds: a tag's age counts from the newest frame in them,
# not from now. Two periods, and what a source is given in `source_health`.
NEWEST: Final = """
WITH newest AS (
    SELECT series.source, series.tag, series.area, series.unit, series.description, series.low, series.high,
           latest.value, latest.text, latest.quality, latest.last_at,
           epoch(coalesce(served.rolled_at, served.as_of)) - epoch(latest.last_at) AS age,
           CASE WHEN latest.last_at IS NULL THEN 'never seen'
                WHEN latest.quality < 64 THEN 'bad'
                WHEN latest.quality < 192 THEN 'uncertain'
                WHEN (epoch(coalesce(served.rolled_at, served.as_of)) - epoch(latest.last_at)) * 1000
                     > greatest(2 * series.period_ms, 250) + 1500 THEN 'stale'
                ELSE 'good' END AS state
    FROM series LEFT JOIN latest USING (series), served
    WHERE series.source IN ($source)
)
""".strip()

QUALITY: Final = """
CASE quality WHEN 192 THEN 'good' WHEN 216 THEN 'local override' WHEN 20 THEN 'last known value'
             WHEN 24 THEN 'communication failure' WHEN 64 THEN 'uncertain' WHEN 0 THEN 'bad'
             ELSE CASE WHEN quality >= 192 THEN 'good' WHEN quality >= 64 THEN 'uncertain' ELSE 'bad' END
             || ' (' || quality || ')' END AS quality
""".strip()

STATES: Final = (
    ("good", "green"),
    ("uncertain", "yellow"),
    ("stale", "orange"),
    ("bad", "red"),
    ("never seen", "red"),
)
