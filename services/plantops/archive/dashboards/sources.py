"""How each source is: rate, gaps, freshness, losses by cause, share of good samples."""

from __future__ import annotations

from typing import Final

from plantops.archive.dashboards.model import (
    BLUE,
    GREEN,
    RED,
    YELLOW,
    Dashboard,
    Override,
    Panel,
    Row,
    Variable,
    number,
)
from plantops.archive.dashboards.trends import EVENT_POINT, LEVEL, POINT

_ROLLED: Final = """
    FROM trend JOIN series USING (series)
    WHERE step = (SELECT step FROM level) AND source IN ($source) AND $__timeFilter(bucket)
"""
# A point is as wide as an interval, or as a bucket where that is wider.
_WIDTH: Final = "greatest(CAST($__interval_ms AS DOUBLE) / 1000, any_value(step))"
_WARN: Final = ((None, GREEN), (1, YELLOW))
_ALARM: Final = ((None, GREEN), (1, RED))


_NUMBERS: Final = (
    number(
        "Sources",
        "Sources that the archive knows.",
        "SELECT count(*) AS sources FROM source_health WHERE source IN ($source)",
        ((None, BLUE),),
    ),
    number(
        "Not fresh",
        "Sources whose newest frame is older than two of their periods.",
        "SELECT count(*) AS sources FROM source_health WHERE source IN ($source) AND NOT is_fresh",
        _ALARM,
    ),
    number(
        "Device lost",
        "Sources whose adapter reports that the device does not answer.",
        "SELECT count(*) AS sources FROM source_health WHERE source IN ($source) AND device = 'lost'",
        _ALARM,
    ),
    number(
        "Samples lost",
        "Samples that gaps in this range report as lost. A gap of unknown size counts as none here: "
        "see below.",
        """
        SELECT CAST(coalesce(sum(samples), 0) AS BIGINT) AS samples
        FROM gap WHERE source IN ($source) AND $__timeFilter(stored_at)
        """,
        _WARN,
    ),
    number(
        "Holes in streams",
        "Ranges of messages that a stream no longer held when the archive came for them. They are in "
        "no table.",
        "SELECT count(*) AS holes FROM hole",
        _ALARM,
    ),
    number(
        "Unread messages",
        "Messages that could not be used: unknown type or version, bad signature, damaged. Kept "
        "whole in `unread`.",
        "SELECT count(*) AS messages FROM unread",
        _WARN,
    ),
)

_NOW: Final = Panel(
    "Sources now",
    "One row for each source: its device, its rate in the last minute, the age of its newest frame "
    "and what is "
    "allowed, and what it lost in the last hour.",
    "table",
    """
    SELECT source, CASE WHEN is_fresh THEN 'fresh' ELSE 'not fresh' END AS freshness, device, detail,
           owner, tags, samples_per_second AS rate, good_share_last_minute AS good,
           CAST(frame_age_ms AS DOUBLE) AS frame_age, CAST(stale_after_ms AS DOUBLE) AS allowed,
           CAST(gaps_last_hour AS BIGINT) AS gaps, CAST(lost_last_hour AS BIGINT) AS lost,
           CAST(gaps_of_unknown_size AS BIGINT) AS gaps_of_unknown_size, last_frame_at, device_since
    FROM source_health WHERE source IN ($source) ORDER BY is_fresh, source
    """,
    width=24,
    height=8,
    overrides=(
        Override("freshness", words=(("fresh", GREEN), ("not fresh", RED)), width=100),
        Override("device", words=(("up", GREEN), ("lost", RED), ("unknown", YELLOW)), width=100),
        Override("rate", unit="cps"),
        Override("good", unit="percentunit", colors=((None, RED), (0.9, YELLOW), (0.99, GREEN))),
        Override("frame_age", unit="ms"),
        Override("allowed", unit="ms"),
        Override("gaps", colors=_WARN),
        Override("lost", colors=_WARN),
    ),
)

_TRENDS: Final = (
    Panel(
        "Samples per second",
        "Samples that arrived per source, of any quality, at the time of their observation.",
        "timeseries",
        f"""{LEVEL}
SELECT {POINT}, source, CAST(sum(samples) AS DOUBLE) / {_WIDTH} AS rate
{_ROLLED} GROUP BY time, source ORDER BY time, source""",
        unit="cps",
        least=0,
    ),
    Panel(
        "Share of good samples",
        "Good samples of all samples per source.",
        "timeseries",
        f"""{LEVEL}
SELECT {POINT}, source, sum(good) / nullif(sum(samples), 0) AS share
{_ROLLED} GROUP BY time, source ORDER BY time, source""",
        unit="percentunit",
        least=0,
        most=1,
        colors=((None, RED), (0.99, GREEN)),
    ),
    Panel(
        "Delay from observation to broker",
        "The longest time that a live frame took from the adapter's clock to the broker's. Steady "
        "growth is a full "
        "outbox; a jump or a negative value is a clock that was set.",
        "timeseries",
        f"""
        SELECT {EVENT_POINT.format("stored_at")}, source,
               max(epoch_us(stored_at) - epoch_us(observed_at)) / 1000.0 AS delay
        FROM frame WHERE NOT historical AND source IN ($source) AND $__timeFilter(stored_at)
        GROUP BY time, source ORDER BY time, source
        """,  # noqa: S608 - pieces of ours
        unit="ms",
    ),
    Panel(
        "Samples lost, by cause",
        "What adapters could not deliver, with the cause that they told.",
        "timeseries",
        f"""
        SELECT {EVENT_POINT.format("stored_at")}, cause, CAST(sum(samples) AS DOUBLE) AS samples
        FROM gap WHERE source IN ($source) AND $__timeFilter(stored_at)
        GROUP BY time, cause ORDER BY time, cause
        """,  # noqa: S608 - pieces of ours
        draw="bars",
        is_stacked=True,
        least=0,
    ),
)

_LISTS: Final = (
    Panel(
        "Gaps",
        "Each gap of this range: which frames of which source, how many samples, why. 0 samples: not known.",
        "table",
        """
        SELECT stored_at AS time, source, cause, samples, frames, first, last, epoch
        FROM gap WHERE source IN ($source) AND $__timeFilter(stored_at) ORDER BY stored_at DESC LIMIT 500
        """,
        overrides=(Override("samples", colors=_WARN),),
    ),
    Panel(
        "Devices and leases",
        "When devices came and went, and who held the lease of a source.",
        "table",
        """
        SELECT stored_at AS time, source, state, owner, epoch, detail
        FROM source_state WHERE source IN ($source) AND $__timeFilter(stored_at)
        ORDER BY stored_at DESC LIMIT 500
        """,
        overrides=(Override("state", words=(("up", GREEN), ("lost", RED), ("lease", BLUE))),),
    ),
    Panel(
        "Holes and unread messages",
        "What is in no other table: messages that were gone, and messages that could not be used.",
        "table",
        """
        SELECT stored_at AS time, 'hole' AS what, stream, cause, last - first + 1 AS messages,
               first || ' to ' || last AS detail FROM hole
        UNION ALL
        SELECT stored_at, 'unread', stream, cause, 1, type || ': ' || reason FROM unread
        ORDER BY time DESC LIMIT 500
        """,
        width=24,
        empty="none: everything is in the tables",
    ),
)

SOURCES: Final = Dashboard(
    uid="plantops-sources",
    title="PlantOps: source health",
    description="Whether each device's data arrives: rate, freshness, gaps and losses by cause, "
    "share of good.",
    variables=(
        Variable(
            "source",
            "Source",
            "Devices that are shown",
            "SELECT DISTINCT source FROM source_health ORDER BY source",
        ),
    ),
    rows=(Row("Now", (*_NUMBERS, _NOW)), Row("Over time", _TRENDS), Row("One by one", _LISTS)),
)
