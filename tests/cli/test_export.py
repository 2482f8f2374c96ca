"""`plantops export`: the snapshot, or everything, whether the archive runs or not."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest

from plantops.archive.batch import Batch
from plantops.archive.export_manifest import read_export
from plantops.archive.export_requests import FOLDER, ExportRequest, answer_requests
from plantops.archive.hour_file import write_hour
from plantops.archive.hours import closed, record
from plantops.archive.importing import load_parquet
from plantops.archive.manifest import next_manifest
from plantops.archive.place import SERVED_FILE
from plantops.archive.serving import serve
from plantops.archive.store import Store
from plantops.archive.windows import Windows
from plantops.cli.main import run
from plantops.deployment.initialise import initialise
from support.archived_plant import DAWN, HOUR, MINUTE, ArchivedPlant

FRAMES = 12


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site whose archive holds three hours, of which two are Parquet alone, and does not run now."""
    root = tmp_path_factory.mktemp("site") / "demo"
    initialise(root)
    plant = ArchivedPlant.make(root / "data" / "archive")
    batch = Batch()
    for number in range(FRAMES):
        plant.frame("plc1", DAWN + number * 15 * MINUTE, batch=batch)
        plant.event("INTENTS", DAWN + number * 15 * MINUTE, batch=batch)
    plant.commit(batch)
    cursor = plant.store.cursor()
    written = [write_hour(cursor, plant.parquet, "demo", part) for part in closed(cursor).parts]
    with plant.store.transaction() as connection:
        record(connection, written)
        connection.execute(f"DELETE FROM sample WHERE observed_at < make_timestamp({DAWN + 2 * HOUR})")
    assert next_manifest(plant.store.cursor(), plant.parquet, "demo") is not None
    serve(plant.store.cursor(), plant.folder / SERVED_FILE, Windows())
    plant.store.close()
    return root


class Told:
    """What the command printed, and its exit code."""

    def __init__(self, site: Path, capsys: pytest.CaptureFixture[str], *words: object) -> None:
        capsys.readouterr()
        self.code = run(["export", *map(str, words), "--folder", str(site)])
        self.out, self.err = capsys.readouterr()

    @property
    def facts(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found


@pytest.fixture
def told(site: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    return lambda *words: Told(site, capsys, *words)


SERVING = """
import sys, time
from pathlib import Path
from plantops.archive.export_requests import answer_requests
from plantops.archive.store import Store

state = Path(sys.argv[1])
store = Store.open(state / "live.duckdb", "demo", memory_megabytes=256)
cursor = store.cursor()
print("open", flush=True)
while True:
    answer_requests(cursor, state, state / "parquet")
    time.sleep(0.05)
"""


@contextmanager
def running(site: Path) -> Iterator[None]:
    """A process that owns the live file and answers requests, as the archive does."""
    words = [sys.executable, "-c", SERVING, str(site / "data" / "archive")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == b"open\n"
            yield
        finally:
            child.kill()


def made(folder: Path, source: Path) -> int:
    """Samples in an archive that is made of an export."""
    store = Store.open(folder / "made.duckdb", "demo")
    try:
        return load_parquet(store, source).rows["sample"]
    finally:
        store.close()


def test_by_default_it_is_what_the_snapshot_holds(told: Any, tmp_path: Path) -> None:
    found = told(tmp_path / "out", "--json")
    assert (found.code, found.facts["scope"], found.facts["format"]) == (0, "window", "parquet")
    assert found.facts["tables"]["sample"] < FRAMES * 5
    assert (tmp_path / "out" / "README.txt").exists()


def test_people_are_told_in_one_line(told: Any, tmp_path: Path) -> None:
    found = told(tmp_path / "out", "--table", "event")
    assert found.out.startswith(f"exported a window: {FRAMES} rows in 1 files to")
    assert len(found.out.splitlines()) == 1


def test_live_is_everything_while_the_archive_does_not_run(told: Any, tmp_path: Path) -> None:
    found = told(tmp_path / "out", "--live", "--json")
    assert (found.code, found.facts["scope"]) == (0, "all")
    assert found.facts["tables"]["sample"] == FRAMES * 5
    assert made(tmp_path, tmp_path / "out") == FRAMES * 5
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def test_live_is_everything_while_the_archive_runs(site: Path, told: Any, tmp_path: Path) -> None:
    with running(site):
        found = told(tmp_path / "out", "--live", "--json")
    assert (found.code, found.err) == (0, "")
    assert found.facts["tables"]["sample"] == FRAMES * 5
    assert made(tmp_path, tmp_path / "out") == FRAMES * 5
    assert list((site / "data" / "archive" / FOLDER).iterdir()) == []


@pytest.mark.parametrize("form", ["csv", "duckdb"])
def test_everything_in_other_formats(told: Any, tmp_path: Path, form: str) -> None:
    found = told(tmp_path / "out", "--live", "--format", form, "--json")
    assert (found.code, found.err) == (0, "")
    if form == "csv":
        with (tmp_path / "out" / "sample.csv").open(newline="") as file:
            assert len(list(csv.reader(file))) == FRAMES * 5 + 1
    else:
        with duckdb.connect(str(tmp_path / "out" / "plantops.duckdb"), read_only=True) as connection:
            assert connection.execute("SELECT count(*) FROM samples").fetchall() == [(FRAMES * 5,)]


def test_tables_and_times_bound_it(told: Any, tmp_path: Path) -> None:
    bounds = ("--from", "2026-09-21T15:00", "--to", "2026-09-21T16:00")
    words = ("--live", "--table", "sample", "--table", "event", *bounds)
    found = told(tmp_path / "out", *words, "--json")
    assert found.facts["tables"] == {"sample": 20, "event": 4}
    manifest = read_export(tmp_path / "out")
    assert manifest is not None
    assert manifest.scope == "window"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--table", "sampel"), "did you mean 'sample'?"),
        (("--from", "yesterday"), "is no time"),
    ],
)
def test_what_cannot_be_meant_is_told_in_one_line(told: Any, tmp_path: Path, words: Any, said: str) -> None:
    found = told(tmp_path / "out", *words)
    assert found.code == 1
    assert said in found.err
    assert len(found.err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_nothing_is_written_over(told: Any, tmp_path: Path) -> None:
    for words in ((), ("--live",), ("--live", "--format", "csv")):
        found = told(tmp_path, *words)
        assert (found.code, "not written over" in found.err) == (1, True)


def test_a_withdrawn_request_leaves_nothing(tmp_path: Path) -> None:
    plant = ArchivedPlant.make(tmp_path)
    plant.frame("plc1", DAWN)
    request = ExportRequest(tmp_path)
    request.put()
    assert answer_requests(plant.store.cursor(), tmp_path, plant.parquet) == 1
    assert request.answer()
    assert request.result.is_dir()
    assert answer_requests(plant.store.cursor(), tmp_path, plant.parquet) == 0
    request.withdraw()
    (tmp_path / FOLDER / "abc.progress").touch()
    assert answer_requests(plant.store.cursor(), tmp_path, plant.parquet) == 0
    assert list((tmp_path / FOLDER).iterdir()) == []
    plant.store.close()


def test_verify_names_the_file_that_is_not_as_it_was_written(told: Any, tmp_path: Path) -> None:
    told(tmp_path / "out", "--live")
    found = told(tmp_path / "out", "--verify")
    assert (found.code, found.out) == (0, "verified: every file is as it was written\n")
    path = next((tmp_path / "out" / "sample").rglob("*.parquet"))
    path.write_bytes(path.read_bytes() + b"x")
    found = told(tmp_path / "out", "--verify", "--json")
    assert found.code == 1
    assert [(one["kind"], one["path"]) for one in found.facts["findings"]] == [
        ("changed", str(path.relative_to(tmp_path / "out")))
    ]
    assert told(tmp_path, "--verify").code == 1


def test_the_archives_own_files_are_checked_and_what_audit_could_not_be_asked_is_told(
    site: Path, told: Any
) -> None:
    found = told(site / "data" / "archive" / "parquet", "--verify")
    assert (found.code, found.err) == (0, "")
    assert found.out.splitlines()[0].startswith("not held against AUDIT: nothing runs in")
    assert found.out.splitlines()[1].startswith("verified")
