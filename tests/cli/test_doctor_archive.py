"""What doctor and status say of an archive, for each way in which it can be."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest

from plantops.archive.condition import Condition, StreamCondition, save_condition
from plantops.archive.settings import ArchiveSettings, ParquetSettings
from plantops.archive.store import Store
from plantops.cli.doctor_archive import archive, judged, summary
from plantops.deployment.initialise import initialise
from plantops.deployment.readiness import Check
from plantops.deployment.site import Site

NOW = 1_800_000_000.0
SETTINGS = ArchiveSettings()
WELL = Condition(
    site="demo",
    pid=os.getpid(),
    at=NOW - 1,
    streams={"TAGS": StreamCondition(position=90, last=90)},
    samples=1234,
    served_at=NOW - 3,
    served_seconds=0.4,
    closed_at=NOW - 100,
)


def looked(settings: ArchiveSettings = SETTINGS, **changes: Any) -> dict[str, Check]:
    found = judged(msgspec.structs.replace(WELL, **changes), settings, NOW)
    return {check.name: check for check in found}


def stream(position: int, last: int, halted: str = "") -> dict[str, StreamCondition]:
    return {"TAGS": StreamCondition(position=position, last=last, halted=halted)}


def test_all_is_well_when_everything_is_stored_served_and_closed() -> None:
    found = looked()
    assert {check.grade for check in found.values()} == {"ok"}
    assert set(found) == {"archive", "archive lag", "archive snapshot", "archive Parquet"}


def test_a_full_disk_is_bad_and_says_that_nothing_is_lost() -> None:
    check = looked(problem="live.duckdb cannot grow, the disk is full: make room on it")["archive"]
    assert check.grade == "bad"
    assert "make room" in check.found
    assert "nothing is lost" in check.advice


def test_a_process_that_tells_nothing_is_bad() -> None:
    check = looked(at=NOW - 60)["archive"]
    assert (check.grade, check.found) == (
        "bad",
        f"process {os.getpid()} is there, but has told nothing for 60 s",
    )


def test_a_halted_stream_is_bad_and_named() -> None:
    check = looked(streams=stream(5, 9, "TAGS is followed no more: it was made again"))["archive stream"]
    assert check.grade == "bad"
    assert "made again" in check.found
    assert "TAGS" in check.advice


@pytest.mark.parametrize(("last", "grade"), [(90, "ok"), (10_090, "ok"), (10_091, "warn")])
def test_lag_warns_when_many_messages_wait(last: int, grade: str) -> None:
    check = looked(streams=stream(90, last))["archive lag"]
    assert check.grade == grade
    assert last == 90 or f"{last - 90:,}" in check.found


@pytest.mark.parametrize("cause", ["unknown_type", "unknown_version", "untrusted", "malformed", "odd"])
def test_unread_messages_warn_by_cause_with_the_way_to_see_them(cause: str) -> None:
    check = looked(unread={cause: 3})["archive unread"]
    assert check.grade == "warn"
    assert check.found.startswith("3 messages ")
    assert "FROM unread" in check.advice


@pytest.mark.parametrize("cause", ["expired", "missing"])
def test_holes_warn_by_cause(cause: str) -> None:
    check = looked(holes={cause: 2})["archive holes"]
    assert check.grade == "warn"
    assert cause in check.found
    assert "FROM hole" in check.advice


def test_a_snapshot_that_cannot_be_written_is_bad_and_an_old_one_warns() -> None:
    assert looked(not_served="its folder is gone: see to it")["archive snapshot"].grade == "bad"
    assert looked(served_at=NOW - 29)["archive snapshot"].grade == "ok"
    assert looked(served_at=NOW - 31)["archive snapshot"].grade == "warn"
    slow = ArchiveSettings(serve_seconds=60.0)
    assert looked(slow, served_at=NOW - 300)["archive snapshot"].grade == "ok"


def test_parquet_that_is_behind_warns_and_one_that_is_not_wanted_is_not_told() -> None:
    assert looked(not_closed="the audit is away")["archive Parquet"].grade == "warn"
    assert looked(closed_at=NOW - 1801)["archive Parquet"].grade == "warn"
    assert looked(closed_at=0.0)["archive Parquet"].grade == "ok"
    off = ArchiveSettings(parquet=ParquetSettings(enabled=False))
    assert "archive Parquet" not in looked(off, closed_at=NOW - 1801)


# On a site's folder


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return initialise(tmp_path / "site").site


def folder_of(site: Site) -> Path:
    folder = site.folder.state("archive")
    folder.mkdir(parents=True)
    return folder


def only(site: Site) -> list[tuple[str, str]]:
    return [(check.name, check.grade) for check in archive(site)]


def dead_pid() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_an_archive_that_never_ran_warns(site: Site) -> None:
    (check,) = archive(site)
    assert (check.grade, check.found) == ("warn", "does not run: it has never run")
    assert summary(site) == (None, "does not run: it has never run")


def test_an_archive_that_ended_warns_and_its_file_is_tried(site: Site) -> None:
    folder = folder_of(site)
    save_condition(msgspec.structs.replace(WELL, pid=dead_pid(), at=time.time() - 3600), folder)
    Store.open(folder / "live.duckdb", "demo").close()
    assert only(site) == [("archive", "warn"), ("archive file", "ok")]
    assert "60 min" in archive(site)[0].found


def test_a_damaged_live_file_is_bad_and_says_how_to_rebuild_it(site: Site) -> None:
    path = folder_of(site) / "live.duckdb"
    path.write_bytes(b"no database at all" * 1000)
    (_, check) = archive(site)
    assert check.grade == "bad"
    assert "plantops replay" in check.found


def test_a_foreign_database_in_its_place_is_bad(site: Site) -> None:
    path = folder_of(site) / "live.duckdb"
    duckdb.connect(str(path)).close()
    (_, check) = archive(site)
    assert check.grade == "bad"
    assert "no archive" in check.found


def test_a_live_file_that_somebody_else_has_open_is_bad(site: Site) -> None:
    path = folder_of(site) / "live.duckdb"
    Store.open(path, "demo").close()
    hold = f"import duckdb; c = duckdb.connect({str(path)!r}); print('open', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        (_, check) = archive(site)
        other.kill()
    assert check.grade == "bad"
    assert "open in another process" in check.found


def test_a_condition_that_cannot_be_read_is_bad(site: Site) -> None:
    (folder_of(site) / "condition.json").write_text("{")
    assert only(site) == [("archive", "bad")]
    assert "cannot be read" in summary(site)[1]


def test_status_tells_the_worst_or_the_lag(site: Site) -> None:
    folder = folder_of(site)
    now = time.time()
    fresh = msgspec.structs.replace(WELL, at=now, served_at=now, closed_at=now)
    save_condition(fresh, folder)
    assert summary(site)[1] == "0 messages wait, snapshot 0 s old"
    save_condition(msgspec.structs.replace(fresh, problem="the disk is full"), folder)
    assert summary(site)[1] == "stores nothing: the disk is full"
