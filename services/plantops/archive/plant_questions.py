"""Ready questions about sources, samples and the record itself."""

from __future__ import annotations

from typing import Final

from plantops.archive.question import SINCE, TAG, Question

PLANT_QUESTIONS: Final = (
    Question(
        "sources",
        "How is each source now: its device, rate, gaps and freshness?",
        """
SELECT source, device, device_since, is_fresh, frame_age_ms, stale_after_ms, samples_per_second,
       good_share_last_minute, gaps_last_hour, lost_last_hour, owner, detail
FROM source_health
ORDER BY source
""",
    ),
    Question(
        "quality",
        "Which share of the samples of each source was good?",
        """
SELECT source, count(DISTINCT tag) AS tags, sum(samples)::BIGINT AS samples, sum(good)::BIGINT AS good,
       round(sum(good) / sum(samples), 6) AS quality_share
FROM tag_1m
WHERE bucket >= $since::TIMESTAMP
GROUP BY source
ORDER BY quality_share, source
""",
        (SINCE,),
    ),
    Question(
        "worst-tags",
        "Which tags had the smallest share of good samples?",
        """
SELECT source, tag, sum(samples)::BIGINT AS samples, round(sum(good) / sum(samples), 6) AS quality_share,
       max(bucket) FILTER (good < samples) AS last_bad_minute
FROM tag_1m
WHERE bucket >= $since::TIMESTAMP
GROUP BY source, tag
HAVING sum(good) < sum(samples)
ORDER BY quality_share, source, tag
LIMIT 20
""",
        (SINCE,),
    ),
    Question(
        "gaps",
        "Which samples never arrived, and why?",
        """
SELECT stored_at, source, cause, frames, samples, epoch, first, last
FROM gap
WHERE stored_at >= $since::TIMESTAMP
ORDER BY sequence DESC
""",
        (SINCE,),
    ),
    Question(
        "outages",
        "When did a device not answer, for how long, and why?",
        """
SELECT source, stored_at AS lost_at, back_at,
       date_diff('millisecond', stored_at, back_at) / 1000 AS seconds, detail AS cause
FROM (
    SELECT *, lead(stored_at) OVER (PARTITION BY source ORDER BY sequence) AS back_at
    FROM source_state WHERE state IN ('up', 'lost')
)
WHERE state = 'lost' AND stored_at >= $since::TIMESTAMP
ORDER BY lost_at DESC
""",
        (SINCE,),
    ),
    Question(
        "delays",
        "How long did frames take from the adapter's clock to the log?",
        """
SELECT source, count(*) AS frames,
       round(quantile_cont(delay_ms, 0.5), 3) AS median_ms, round(quantile_cont(delay_ms, 0.95), 3) AS p95_ms,
       round(max(delay_ms), 3) AS worst_ms, arg_max(observed_at, delay_ms) AS worst_at
FROM (
    SELECT source, observed_at, (epoch_us(stored_at) - epoch_us(observed_at)) / 1000 AS delay_ms
    FROM frame WHERE NOT historical AND observed_at >= $since::TIMESTAMP
)
GROUP BY source
ORDER BY worst_ms DESC, source
""",
        (SINCE,),
    ),
    Question(
        "tag",
        "How did a tag go, minute by minute?",
        """
SELECT bucket, mean, minimum, maximum, last, last_text, unit, samples, quality_share
FROM tag_1m
WHERE tag = $tag AND bucket >= $since::TIMESTAMP
ORDER BY bucket DESC
""",
        (TAG, SINCE),
    ),
    Question(
        "audit",
        "How much of the audit log does a signed checkpoint cover?",
        """
SELECT records, covered, uncovered, last_checkpoint_at, last_checkpoint_age_seconds, findings, refusal,
       unreadable, missing
FROM audit_state
""",
    ),
    Question(
        "audit-writers",
        "Who wrote how many audit records, and is each chain whole?",
        """
SELECT writer, count(*) AS records, max(number) AS last_number,
       count(*) = max(number) - min(number) + 1 AS is_whole, max(recorded_at) AS last_at
FROM audit
GROUP BY writer
ORDER BY writer
""",
    ),
    Question(
        "not-read",
        "Which messages could not be used or were missing, and why?",
        """
SELECT stored_at, stream, sequence AS first, sequence AS last, cause, subject, reason
FROM unread
WHERE stored_at >= $since::TIMESTAMP
UNION ALL
SELECT stored_at, stream, first, last, cause, '', 'no longer in the stream when it was due'
FROM hole
WHERE stored_at >= $since::TIMESTAMP
ORDER BY stored_at DESC, stream, first
""",
        (SINCE,),
    ),
    Question(
        "findings",
        "What did the analysers find?",
        """
SELECT stored_at, analyser, type, body
FROM finding
WHERE stored_at >= $since::TIMESTAMP
ORDER BY sequence DESC
""",
        (SINCE,),
    ),
    Question(
        "as-of",
        "How far does this file reach in each stream?",
        """
SELECT stream, sequence, stored_at
FROM position
ORDER BY stream
""",
    ),
)
