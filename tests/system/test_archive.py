"""The archive on the demo site: what was commanded can be asked, and it goes on after a stop."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from plantops.archive.asking import Limits, opened
from plantops.archive.condition import Condition, load_condition
from plantops.archive.place import SERVED_FILE
from plantops.archive.questions import QUESTIONS
from plantops.archive.specs import ARCHIVE
from plantops.runtime.errors import StorageError
from support.site import RunningSite, follow, until


def asked(site: RunningSite, sql: str, values: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """Rows of the served snapshot; none while there is no snapshot yet."""
    path = site.site.folder.state(ARCHIVE) / SERVED_FILE
    try:
        with opened(path, Limits()) as snapshot:
            answer = snapshot.ask(sql, values)
            return [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
    except StorageError:
        return []


def commands(site: RunningSite) -> list[dict[str, Any]]:
    """Who commanded what and why, as the ready question tells it."""
    return asked(site, QUESTIONS["commands"].sql, {"since": "2020-01-01"})


def condition(site: RunningSite) -> Condition | None:
    return load_condition(site.site.folder.state(ARCHIVE))


@pytest.mark.timeout(400)
async def test_who_commanded_what_and_why_is_answered_and_goes_on_after_a_stop(
    own_site: RunningSite,
) -> None:
    await own_site.start()
    first = await commanded(own_site, 12.0, "the tank is full")
    archived = archive_of(own_site).streams["TAGS"].position
    own_site.stop()

    await own_site.start()
    second = await commanded(own_site, 13.0, "the tank is empty")
    rows = {row["handle"]: row for row in commands(own_site)}
    assert set(rows) >= {first, second}
    assert archive_of(own_site).streams["TAGS"].position > archived
    await own_site.kill("archive")
    third = await commanded(own_site, 14.0, "it was killed in between")
    handles = [row["handle"] for row in commands(own_site)]
    assert sorted(handles).count(first) == 1
    assert {first, second, third} <= set(handles)
    assert asked(own_site, "SELECT count(*) AS n FROM unread") == [{"n": 0}]
    assert asked(own_site, "SELECT count(*) AS n FROM hole") == [{"n": 0}]


async def commanded(site: RunningSite, percent: float, reason: str) -> str:
    """Set the valve and wait until the snapshot tells of it."""
    async with site.session("alice") as alice:
        words = alice.intent("valve-001", "SetPosition", {"PERCENT": percent}, reason=reason)
        done = await follow(alice, words)
    assert done.outcome == "command.executed", done

    async def look() -> dict[str, Any]:
        return next((row for row in commands(site) if row["handle"] == done.handle), {})

    row = await until(look, lambda found: found.get("state") == "executed", "the snapshot tells of it")
    assert (row["actor"], row["why"]) == ("alice", reason)
    assert (row["asset"], row["operation"]) == ("valve-001", "SetPosition")
    assert json.loads(row["arguments"]) == {"PERCENT": percent}
    return done.handle


def archive_of(site: RunningSite) -> Condition:
    found = condition(site)
    assert found is not None
    return found
