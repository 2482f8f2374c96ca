"""Views of the plant for people: names in place of numbers, and how each source is."""

from __future__ import annotations

from typing import Final

SAMPLES: Final = """
SELECT series.source, series.tag, sample.observed_at, sample.value, sample.text, sample.quality,
       sample.quality >= 192 AS is_good,
       sample.observed_at - to_microseconds(sample.source_lag) AS source_time,
       series.unit, sample.sequence, sample.place
FROM sample JOIN series USING (series)
"""


def rolled_up(table: str) -> str:
    """A roll-up with the names of its tags; `mean` is NULL where no finite good number came."""
    return f"""
SELECT series.source, series.tag, series.unit, rolled.bucket,
       rolled.total / nullif(rolled.numbers, 0) AS mean,
       rolled.minimum, rolled.maximum,
       rolled.last_value AS last, rolled.last_text, rolled.last_quality, rolled.last_at,
       rolled.samples, rolled.good, rolled.uncertain,
       rolled.good / rolled.samples AS quality_share
FROM {table} AS rolled JOIN series USING (series)
"""  # noqa: S608 - a name from TABLES


# What the archive has stored is a moment older than what the source has sent: a commit waits for company, and
# streams are committed one after the other.
_COMMIT_SLACK_MS: Final = 1500

SOURCE_HEALTH: Final = f"""
WITH newest AS (SELECT max(stored_at) AS at FROM position),
tags AS (
    SELECT source, count(*) AS tags, min(period_ms) AS period_ms FROM series GROUP BY source
),
frames AS (
    SELECT source, max(stored_at) AS last_frame_at, max(observed_at) AS last_observed_at,
           sum(samples) FILTER (stored_at > newest.at - INTERVAL 1 MINUTE) AS samples_last_minute,
           sum(good) FILTER (stored_at > newest.at - INTERVAL 1 MINUTE) AS good_last_minute
    FROM frame, newest WHERE NOT historical GROUP BY source
),
states AS (
    SELECT source,
           arg_max(state, sequence) FILTER (state IN ('up', 'lost')) AS device,
           max(stored_at) FILTER (state IN ('up', 'lost')) AS device_since,
           arg_max(detail, sequence) FILTER (state IN ('up', 'lost')) AS detail,
           arg_max(owner, sequence) FILTER (state IN ('lease', 'released')) AS owner
    FROM source_state GROUP BY source
),
lost AS (
    SELECT source, count(*) AS gaps_last_hour, sum(samples) AS lost_last_hour,
           count(*) FILTER (samples = 0) AS gaps_of_unknown_size
    FROM gap, newest WHERE gap.stored_at > newest.at - INTERVAL 1 HOUR GROUP BY source
),
known AS (
    SELECT source FROM tags UNION SELECT source FROM frames UNION SELECT source FROM states
    UNION SELECT source FROM lost
)
SELECT source,
       coalesce(device, 'unknown') AS device, device_since, coalesce(detail, '') AS detail,
       coalesce(owner, '') AS owner,
       coalesce(tags.tags, 0) AS tags, last_frame_at, last_observed_at,
       coalesce(samples_last_minute, 0) / 60 AS samples_per_second,
       good_last_minute / nullif(samples_last_minute, 0) AS good_share_last_minute,
       coalesce(gaps_last_hour, 0) AS gaps_last_hour, coalesce(lost_last_hour, 0)::BIGINT AS lost_last_hour,
       coalesce(gaps_of_unknown_size, 0) AS gaps_of_unknown_size,
       period_ms, date_diff('millisecond', last_frame_at, newest.at) AS frame_age_ms,
       greatest(2 * period_ms, 250) + {_COMMIT_SLACK_MS} AS stale_after_ms,
       coalesce(date_diff('millisecond', last_frame_at, newest.at)
                <= greatest(2 * period_ms, 250) + {_COMMIT_SLACK_MS}, false) AS is_fresh,
       newest.at AS as_of
FROM known LEFT JOIN tags USING (source) LEFT JOIN frames USING (source) LEFT JOIN states USING (source)
     LEFT JOIN lost USING (source), newest
"""  # noqa: S608 - a number of ours

AUDIT_STATE: Final = """
WITH newest AS (SELECT max(stored_at) AS at FROM position),
records AS (
    SELECT coalesce(max(position) + 1, 0) AS records,
           coalesce(max(position) + 1 - min(position) - count(*), 0) AS missing,
           count(*) FILTER (number = 0) AS unreadable
    FROM audit
),
signed AS (
    SELECT max(size) AS covered, max(stored_at) AS last_checkpoint_at,
           arg_max(findings, sequence) AS findings
    FROM checkpoint WHERE refusal = ''
),
refused AS (SELECT arg_max(refusal, sequence) AS refusal FROM checkpoint)
SELECT records, coalesce(covered, 0) AS covered, greatest(records - coalesce(covered, 0), 0) AS uncovered,
       last_checkpoint_at,
       date_diff('millisecond', last_checkpoint_at, newest.at) / 1000 AS last_checkpoint_age_seconds,
       coalesce(findings, 0) AS findings, coalesce(refusal, '') AS refusal,
       unreadable, missing, newest.at AS as_of
FROM records, signed, refused, newest
"""
