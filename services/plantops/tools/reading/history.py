"""How a tag went, from the archive's served snapshot: samples, or seconds, minutes and hours of them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta

from plantops.events.base import Record, Scalar, SourceName, TagName
from plantops.events.provenance import Provenance
from plantops.tools.contract import Arguments, Call, Page, Tool, ToolError
from plantops.tools.reading.cursors import bad_cursor
from plantops.tools.reading.snapshot import Row, Snapshot, Value, ask, in_utc

Step: TypeAlias = Literal["sample", "second", "minute", "hour"]

_AGE: Final = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)\s*([smhd])", re.ASCII)
_STEPS: Final[Mapping[str, Step]] = MappingProxyType(
    {"sample": "sample", "second": "second", "minute": "minute", "hour": "hour"}
)
_UNITS: Final = MappingProxyType({"s": "seconds", "m": "minutes", "h": "hours", "d": "days"})
_CURSOR: Final = re.compile(r"(sample|second|minute|hour)/(\d{1,18})/(\d{1,16})/(\d{1,5})", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Up to so long a time is told in this step where nobody chooses one: some hundreds of points.
_SPANS: Final[tuple[tuple[timedelta, Step], ...]] = (
    (timedelta(minutes=15), "second"),
    (timedelta(hours=12), "minute"),
)


@dataclass(frozen=True, slots=True)
class _Level:
    """Where the points of a step stand; `table` is that whose window bounds how far back they go."""

    table: str
    sql: str


def _rolled(view: str, table: str) -> _Level:
    return _Level(
        table,
        f"""
SELECT bucket, mean, minimum, maximum, last, last_text, last_quality, samples, good, 0, 0
FROM {view}
WHERE tag = $tag AND bucket > $after AND bucket >= $since AND bucket <= $until
ORDER BY bucket
""",  # noqa: S608 - names of ours
    )


_LEVELS: Final[Mapping[str, _Level]] = MappingProxyType(
    {
        "sample": _Level(
            "sample",
            """
SELECT observed_at, value, value, value, value, text, quality, 1, is_good::INTEGER, sequence, place
FROM samples
WHERE tag = $tag AND observed_at >= $since AND observed_at <= $until
  AND (observed_at, sequence, place) > ($after, $sequence, $place)
ORDER BY observed_at, sequence, place
""",
        ),
        "second": _rolled("tag_1s", "rollup_1s"),
        "minute": _rolled("tag_1m", "rollup_1m"),
        "hour": _rolled("tag_1h", "rollup_1h"),
    }
)
_SERVED: Final = "SELECT written_at, newest_at, as_of FROM served"
_POSITION: Final = "SELECT sequence FROM position WHERE stream = 'TAGS'"
# Samples are cut by their frames, and then the window tells no time.
_WINDOW: Final = """
SELECT coalesce(
    since, CASE WHEN rows < total AND table_name = 'sample' THEN (SELECT min(observed_at) FROM sample) END
)
FROM served_window WHERE table_name = $table
"""
_SERIES: Final = "SELECT source, unit FROM series WHERE tag = $tag ORDER BY source"


class TagHistory(Arguments, frozen=True):
    """Which tag, and when."""

    tag: Annotated[str, Meta(min_length=1, max_length=256, description="The exact name of one tag.")]
    since: Annotated[
        str,
        Meta(
            max_length=40,
            description="UTC time such as 2026-05-04T06:00, or an age before the newest: 15m, 24h.",
        ),
    ] = "1h"
    until: Annotated[str, Meta(max_length=40, description="The same; empty: up to the newest.")] = ""
    step: Annotated[
        Literal["auto"] | Step,
        Meta(description="How fine; auto: seconds up to 15 minutes, minutes up to 12 hours, else hours."),
    ] = "auto"


class Point(Record, frozen=True):
    """A sample, or all samples of a second, minute or hour that begins at `at`.

    `mean`, `low` and `high` are over finite good numbers, None without one; `last` is the newest value,
    number or text. `quality` is that of the newest sample; `good` of `samples` were good.
    """

    at: datetime
    mean: float | None
    low: float | None
    high: float | None
    last: Scalar | None
    quality: int
    samples: int
    good: int


class HistoryGiven(Record, frozen=True):
    """The oldest first. All from `held_since` on is in the snapshot in this step (None: whatever there is).

    `snapshot_age_seconds` is how long ago the snapshot was written; `newest_at` the broker's clock of its
    newest data. What happened since is not in here.
    """

    tag: TagName
    source: SourceName
    unit: str
    step: Step
    points: tuple[Point, ...]
    since: datetime
    until: datetime
    held_since: datetime | None
    snapshot_age_seconds: float
    newest_at: datetime | None


@dataclass(frozen=True, slots=True)
class _Place:
    """Behind what the page before ended: its step and last point."""

    step: Step
    at: datetime
    sequence: int = 0
    place: int = 0


async def tag_history(call: Call, asked: TagHistory) -> Page[HistoryGiven]:
    """A page of points. Raises: ToolError `not_found` for a tag that the archive has never seen."""
    before = _read_cursor(call.cursor)

    def question(snapshot: Snapshot) -> Page[HistoryGiven]:
        return _answer(call, asked, before, snapshot)

    return await ask(call.served, max(0.1, call.timeout_seconds * 0.9), question)


def _answer(call: Call, asked: TagHistory, before: _Place | None, snapshot: Snapshot) -> Page[HistoryGiven]:
    (served,) = snapshot.rows(_SERVED, {}, 1) or ((None, None, None),)
    written_at, newest_at = in_utc(served[0]), in_utc(served[2] or served[1])
    if written_at is None:
        raise ToolError("unavailable", "the archive's snapshot says nothing of itself: wait for the next one")
    source, unit = _series(snapshot, asked.tag)
    newest = newest_at or written_at
    until = _moment("until", asked.until, newest) if asked.until else newest
    since = _moment("since", asked.since, newest)
    step = before.step if before is not None else _step(asked.step, until - since)
    level = _LEVELS[step]
    after = before.at if before is not None else _EPOCH
    values: dict[str, Value] = {
        "tag": asked.tag,
        "since": _plain(since),
        "until": _plain(until),
        "after": _plain(after),
    }
    if step == "sample":
        values |= {"sequence": before.sequence if before else -1, "place": before.place if before else -1}
    rows = snapshot.rows(level.sql, values, call.rows + 1)
    page = rows[: call.rows]
    held = snapshot.rows(_WINDOW, {"table": level.table}, 1)
    return Page(
        HistoryGiven(
            tag=TagName(asked.tag),
            source=SourceName(source),
            unit=unit,
            step=step,
            points=tuple(map(_point, page)),
            since=since,
            until=until,
            held_since=in_utc(held[0][0]) if held else None,
            snapshot_age_seconds=max(0.0, (call.now() - written_at).total_seconds()),
            newest_at=newest_at,
        ),
        provenance=_provenance(snapshot, asked.tag, step, page),
        next=_cursor(step, page[-1]) if len(rows) > len(page) else "",
    )


def _series(snapshot: Snapshot, tag: str) -> tuple[str, str]:
    found = snapshot.rows(_SERIES, {"tag": tag}, 1)
    if not found:
        raise ToolError("not_found", f"the archive has never seen a tag {tag!r}: see twin-find")
    return found[0][0], found[0][1]


def _step(asked: Literal["auto"] | Step, span: timedelta) -> Step:
    if asked != "auto":
        return asked
    return next((step for longest, step in _SPANS if span <= longest), "hour")


def _moment(name: str, text: str, newest: datetime) -> datetime:
    """A time, or an age before the newest data of the file. Raises: ToolError `bad_arguments`."""
    age = _AGE.fullmatch(text)
    try:
        if age:
            return newest - timedelta(**{_UNITS[age[2]]: float(age[1])})
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise ToolError(
            "bad_arguments",
            f"{name}={text!r} is no time: give one such as 2026-05-04T06:00, or an age such as 24h",
        ) from error


def _plain(moment: datetime) -> datetime:
    """As the file has it: UTC without a zone."""
    return moment.replace(tzinfo=None)


def _point(row: Row) -> Point:
    at, mean, low, high, last, text, quality, samples, good, _sequence, _place = row
    return Point(
        at=at.replace(tzinfo=UTC),
        mean=_finite(mean),
        low=_finite(low),
        high=_finite(high),
        last=text if text is not None else _finite(last),
        quality=quality,
        samples=samples,
        good=good,
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _provenance(snapshot: Snapshot, tag: str, step: Step, page: Sequence[Row]) -> tuple[Provenance, ...]:
    """A sample stands in its frame; what is rolled up rests on the frames that the snapshot knows."""
    if not page:
        return ()
    if step == "sample":
        return tuple(
            Provenance(channel="history", name=tag, stream="TAGS", sequence=row[9], quality=row[6])
            for row in page
        )
    reached = snapshot.rows(_POSITION, {}, 1)
    sequence = reached[0][0] if reached else 0
    return (Provenance(channel="history", name=tag, stream="TAGS" if sequence else "", sequence=sequence),)


def _cursor(step: str, row: Row) -> str:
    microseconds = (row[0].replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
    return f"{step}/{microseconds}/{row[9]}/{row[10]}"


def _read_cursor(cursor: str) -> _Place | None:
    if not cursor:
        return None
    found = _CURSOR.fullmatch(cursor)
    if found is None:
        raise bad_cursor(cursor)
    try:
        at = _EPOCH + timedelta(microseconds=int(found[2]))
    except OverflowError as error:
        raise bad_cursor(cursor) from error
    return _Place(_STEPS[found[1]], at, int(found[3]), int(found[4]))


TAG_HISTORY: Final = Tool(
    name="tag-history",
    description=(
        "How a tag went: single samples, or mean, lowest and highest of each second, minute or hour, from "
        "the archive. Some seconds old; the answer says how old."
    ),
    risk="low",
    arguments=TagHistory,
    result=HistoryGiven,
    work=tag_history,
    items="points",
    timeout_seconds=10.0,
)
