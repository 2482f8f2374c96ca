"""The plant at a glance: values and trends of tags with unit and quality, and what is stale or bad."""

from __future__ import annotations

from typing import Final

from plantops.archive.dashboards.model import GREEN, RED, YELLOW, Dashboard, Override, Panel, Row, Variable
from plantops.archive.dashboards.quality import NEWEST, QUALITY, STATES
from plantops.archive.dashboards.trends import LEVEL, POINT

# Where many tags are chosen, more lines than this say nothing.
_LINES: Final = 20
_CHOSEN: Final = f"""
    FROM trend JOIN (
        SELECT series, tag || CASE WHEN unit = '' THEN '' ELSE ' [' || unit || ']' END AS name
        FROM series WHERE source IN ($source) AND tag IN ($tag) ORDER BY source, tag LIMIT {_LINES}
    ) AS chosen USING (series)
    WHERE step = (SELECT step FROM level) AND $__timeFilter(bucket)
"""  # noqa: S608 - a number of ours


def _counted(title: str, state: str, description: str, colors: tuple[tuple[float | None, str], ...]) -> Panel:
    return Panel(
        title,
        description,
        "stat",
        f"{NEWEST}\nSELECT count(*) FILTER (state = '{state}') AS tags FROM newest",
        width=4,
        height=4,
        colors=colors,
    )


OVERVIEW: Final = Dashboard(
    uid="plantops-overview",
    title="PlantOps: plant overview",
    description="Values and trends of the plant's tags with unit and quality. For looking, not for safety.",
    variables=(
        Variable(
            "source",
            "Source",
            "Devices whose tags are shown",
            "SELECT DISTINCT source FROM series ORDER BY source",
        ),
        Variable(
            "tag",
            "Tag",
            f"Tags whose trends are drawn, {_LINES} at most",
            "SELECT tag FROM series WHERE source IN ($source) ORDER BY source, series",
            has_all=False,
        ),
    ),
    rows=(
        Row(
            "State of the data",
            (
                Panel(
                    "Age of what is shown",
                    "From the newest frame in this snapshot to now. It is written every few seconds; "
                    "when this "
                    "grows, the archive or the link to it stands still and every other panel shows the past.",
                    "stat",
                    "SELECT epoch(now()) - epoch(as_of) AS age FROM served",
                    width=4,
                    height=4,
                    unit="s",
                    decimals=1,
                    colors=((None, GREEN), (15, YELLOW), (60, RED)),
                ),
                Panel(
                    "Tags",
                    "Tags of the chosen sources.",
                    "stat",
                    "SELECT count(*) AS tags FROM series WHERE source IN ($source)",
                    width=4,
                    height=4,
                ),
                _counted("Good", "good", "Tags whose newest value is good and not stale.", ((None, GREEN),)),
                _counted(
                    "Uncertain",
                    "uncertain",
                    "Tags whose newest value is of uncertain quality (64 to 127).",
                    ((None, GREEN), (1, YELLOW)),
                ),
                _counted(
                    "Stale",
                    "stale",
                    "Tags with a good value that is older than two periods of their scan group.",
                    ((None, GREEN), (1, YELLOW)),
                ),
                _counted(
                    "Bad",
                    "bad",
                    "Tags whose newest value is bad (quality below 64), such as a lost device.",
                    ((None, GREEN), (1, RED)),
                ),
            ),
        ),
        Row(
            "Chosen tags",
            (
                Panel(
                    "Mean",
                    "Mean of the good values per point, from the roll-up that fits the range: "
                    "seconds, minutes or "
                    "hours. A hole is a time without a good value.",
                    "timeseries",
                    f"""{LEVEL}
SELECT {POINT}, name, sum(total) / nullif(sum(numbers), 0) AS value
{_CHOSEN} GROUP BY ALL ORDER BY time, name""",
                    width=16,
                    height=10,
                ),
                Panel(
                    "Share of good samples",
                    "Good samples of all samples per point. Below one, the mean beside it knows only a part.",
                    "timeseries",
                    f"""{LEVEL}
SELECT {POINT}, name, sum(good) / nullif(sum(samples), 0) AS value
{_CHOSEN} GROUP BY ALL ORDER BY time, name""",
                    width=8,
                    height=10,
                    unit="percentunit",
                    least=0,
                    most=1,
                ),
                Panel(
                    "Minimum and maximum",
                    "The smallest and the largest good value per point; short peaks show here, not "
                    "in the mean.",
                    "timeseries",
                    f"""{LEVEL}
SELECT {POINT}, name, min(minimum) AS minimum, max(maximum) AS maximum
{_CHOSEN} GROUP BY ALL ORDER BY time, name""",
                    width=24,
                    height=9,
                ),
            ),
        ),
        Row(
            "Tags now",
            (
                Panel(
                    "Bad, uncertain and stale tags",
                    "Every tag that cannot be relied on, the worst first, with its last value and its age.",
                    "table",
                    f"""{NEWEST}
SELECT state, source, tag, area, coalesce(text, format('{{:g}}', value)) AS value, unit, {QUALITY},
       last_at, age
FROM newest WHERE state <> 'good'
ORDER BY state <> 'never seen', state <> 'bad', state <> 'stale', age DESC, source, tag LIMIT 500""",  # noqa: S608 - pieces of ours
                    height=12,
                    overrides=(Override("state", words=STATES, width=100), Override("age", unit="s")),
                    empty="none: every tag is good",
                ),
                Panel(
                    "Newest values",
                    "The newest value of each tag of the chosen sources, with unit and quality.",
                    "table",
                    f"""{NEWEST}
SELECT source, tag, coalesce(text, format('{{:g}}', value)) AS value, unit, state, {QUALITY}, last_at, area,
       description
FROM newest ORDER BY source, tag LIMIT 2000""",  # noqa: S608 - pieces of ours
                    height=12,
                    overrides=(Override("state", words=STATES, width=100),),
                ),
            ),
        ),
    ),
)
