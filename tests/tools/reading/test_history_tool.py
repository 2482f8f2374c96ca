"""The history of a tag out of a real served snapshot: samples once each, roll-ups as they are, its age."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from plantops.archive.serving import serve
from plantops.archive.windows import Window, Windows
from plantops.flow.memory import MemoryBroker
from plantops.tools.contract import Call, ToolError
from plantops.tools.reading.history import TAG_HISTORY
from plantops.tools.reading.snapshot import Snapshot, ask
from support.served_plant import plant
from support.tool_calls import all_pages, memory_call, places, told, with_cursor, with_rows


def served_in(folder: Path, windows: Windows | None = None) -> Path:
    """A snapshot of 900 samples a second apart, the last a second before NOW."""
    store = plant(folder)
    serve(store.cursor(), folder / "serve" / "plantops.duckdb", windows)
    store.close()
    return folder / "serve" / "plantops.duckdb"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return served_in(tmp_path_factory.mktemp("archive"))


def call_of(served: Path) -> Call:
    return memory_call(MemoryBroker(), served=served)


def stored(served: Path, sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(served), read_only=True) as connection:
        return connection.execute(sql).fetchall()


async def test_pages_of_samples_hold_each_once_with_its_frame(served: Path) -> None:
    pages = await all_pages(
        TAG_HISTORY, with_rows(call_of(served), 250), tag="speed", since="1h", step="sample"
    )
    expected = stored(
        served,
        "SELECT observed_at, value, quality, sequence FROM samples WHERE tag = 'speed' ORDER BY sequence",
    )
    points = [point for page in pages for point in page.result.points]
    assert [(p.at.replace(tzinfo=None), p.last, p.quality) for p in points] == [row[:3] for row in expected]
    assert [place for page in pages for place in places(page)] == [
        ("history", "speed", "TAGS", row[3]) for row in expected
    ]
    assert len(pages) == 4


async def test_minutes_are_those_of_the_archive_and_rest_on_all_it_has_read(served: Path) -> None:
    page = await told(TAG_HISTORY, call_of(served), tag="speed", since="2h", step="minute")
    expected = stored(
        served,
        "SELECT bucket, mean, minimum, maximum, samples, good FROM tag_1m WHERE tag = 'speed' ORDER BY 1",
    )
    assert [
        (p.at.replace(tzinfo=None), p.mean, p.low, p.high, p.samples, p.good) for p in page.result.points
    ] == expected
    assert page.result.points[0].samples == 60
    assert places(page) == [("history", "speed", "TAGS", 900)]


@pytest.mark.parametrize(
    ("since", "step"), [("15m", "second"), ("16m", "minute"), ("12h", "minute"), ("2d", "hour")]
)
async def test_chooses_a_step_that_gives_some_hundreds_of_points(served: Path, since: str, step: str) -> None:
    page = await told(TAG_HISTORY, call_of(served), tag="speed", since=since)
    assert page.result.step == step
    assert page.result.points
    assert page.result.points[-1].last is not None


async def test_says_how_old_the_snapshot_is_and_how_far_back_it_reaches(tmp_path: Path) -> None:
    served = served_in(tmp_path, Windows(sample=Window(10_000, timedelta(seconds=60))))
    ((written_at, newest_at, held_since),) = stored(
        served, "SELECT written_at, as_of, (SELECT min(observed_at) FROM sample) FROM served"
    )
    assert isinstance(written_at, datetime)
    now = written_at.replace(tzinfo=UTC) + timedelta(seconds=30)
    call = memory_call(MemoryBroker(), served=served, now=lambda: now)
    told_now = (await told(TAG_HISTORY, call, tag="speed", since="5m", step="sample")).result
    assert told_now.snapshot_age_seconds == 30
    assert told_now.newest_at.replace(tzinfo=None) == newest_at
    assert told_now.held_since.replace(tzinfo=None) == held_since
    assert told_now.since == told_now.newest_at - timedelta(minutes=5)
    assert told_now.points[0].at >= told_now.held_since > told_now.since
    assert (told_now.unit, told_now.source) == ("1/min", "line1")


async def test_a_time_is_taken_with_and_without_a_zone(served: Path) -> None:
    begin, end = "2026-11-22T08:55:00+01:00", "2026-11-22T07:56"
    page = await told(TAG_HISTORY, call_of(served), tag="speed", since=begin, until=end, step="second")
    assert [p.at.minute for p in page.result.points][::60] == [55, 56]
    assert len(page.result.points) == 61


async def test_texts_and_tags_that_were_never_good_are_told_as_they_are(served: Path) -> None:
    texts = await told(TAG_HISTORY, call_of(served), tag="state", since="10s", step="sample")
    assert {point.last for point in texts.result.points} == {"running"}
    dead = await told(TAG_HISTORY, call_of(served), tag="dead", since="10s", step="second")
    assert {(p.mean, p.last, p.good, p.quality) for p in dead.result.points} == {(None, None, 0, 24)}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"tag": "nobody"}, "not_found"),
        ({"tag": "speed' OR 1=1 --"}, "not_found"),
        ({"tag": "speed", "since": "yesterday"}, "bad_arguments"),
        ({"tag": "speed", "until": "24:61"}, "bad_arguments"),
        ({"tag": "speed", "since": "999999d"}, "bad_arguments"),
    ],
)
async def test_what_cannot_be_meant_is_refused(served: Path, arguments: dict[str, str], code: str) -> None:
    with pytest.raises(ToolError) as refused:
        await told(TAG_HISTORY, call_of(served), **arguments)
    assert refused.value.code == code


@pytest.mark.parametrize(
    "cursor",
    ["sample/1/2", "day/1/1/1", "sample/-1/0/0", "sample/1'/0/0", "0", "minute/" + "9" * 18 + "/0/0"],
)
async def test_a_cursor_of_somebody_else_is_refused(served: Path, cursor: str) -> None:
    with pytest.raises(ToolError) as refused:
        await told(TAG_HISTORY, with_cursor(call_of(served), cursor), tag="speed")
    assert refused.value.code == "bad_cursor"


async def test_without_a_snapshot_the_answer_is_to_come_back_later(tmp_path: Path) -> None:
    damaged = tmp_path / "plantops.duckdb"
    for _attempt in ("missing", "damaged"):
        with pytest.raises(ToolError) as refused:
            await told(TAG_HISTORY, call_of(damaged), tag="speed")
        assert refused.value.code == "unavailable"
        damaged.write_bytes(b"no database")


async def test_nothing_can_be_written_or_read_beside_it(served: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    for sql in (
        f"COPY (SELECT 1) TO '{other}'",
        "DELETE FROM served",
        "SELECT * FROM read_text('/etc/hostname')",
    ):
        with pytest.raises(ToolError):
            await ask(served, 5.0, lambda snapshot, sql=sql: snapshot.rows(sql, {}, 1))  # type: ignore[misc]
    assert not other.exists()


async def test_a_question_that_takes_too_long_is_given_up(served: Path) -> None:
    def endless(snapshot: Snapshot) -> object:
        return snapshot.rows("SELECT sum(a.range * b.range) FROM range(1000000) a, range(1000000) b", {}, 1)

    with pytest.raises(ToolError) as refused:
        await ask(served, 0.2, endless)
    assert refused.value.code == "too_large"
