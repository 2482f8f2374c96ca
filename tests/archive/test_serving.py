"""The served snapshot: whole, bounded, readable by DuckDB 1.5, and never in the writer's way."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
from structlog.testing import capture_logs

from plantops.archive import served_empty
from plantops.archive.served_tables import SERVED_TABLES
from plantops.archive.serving import age, require_readable, serve
from plantops.archive.store import Store
from plantops.archive.tables import TABLES
from plantops.archive.views import VIEWS
from plantops.archive.windows import Window, Windows
from plantops.runtime.errors import IntegrityError, StorageBusy, StorageError, StorageFull
from support import duckdb15
from support.served_plant import TAGS, add_frames, plant
from support.served_story import NOW


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = plant(tmp_path / "archive")
    yield made
    made.close()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "served" / "plantops.duckdb"


@contextmanager
def reading(file: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(str(file), read_only=True) as connection:
        yield connection


def count(file: Path, table: str) -> int:
    with reading(file) as connection:
        found = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert found is not None
    return int(found[0])


def test_duckdb_1_5_reads_every_table_and_every_view_of_it(store: Store, target: Path) -> None:
    serve(store.cursor(), target)
    names = [*TABLES, *(one.name for one in SERVED_TABLES), *(name for name, _ in VIEWS), "trend"]
    answers = duckdb15.ask(target, {name: f"SELECT * FROM {name}" for name in names})
    assert {name: one.error for name, one in answers.items() if one.error} == {}
    assert answers["samples"].count == 900 * len(TAGS)
    assert answers["commands"].count == 6
    assert answers["trend"].count > 900 * len(TAGS)


def test_what_fits_into_the_windows_is_served_row_for_row(store: Store, target: Path) -> None:
    served = serve(store.cursor(), target, Windows(sample=Window(10_000, timedelta(hours=1))))
    total = 0
    with reading(target) as connection:
        for name, table in TABLES.items():
            query = f"SELECT * FROM {name} ORDER BY {', '.join(table.key)}"
            rows = connection.execute(query).fetchall()
            assert rows == store.connection.execute(query).fetchall(), name
            total += len(rows)
    assert served.rows == total
    assert served.size == target.stat().st_size
    assert served.as_of == NOW


def test_it_says_what_it_is_and_how_much_of_each_table_it_holds(store: Store, target: Path) -> None:
    served = serve(store.cursor(), target, Windows(sample=Window(400, timedelta(hours=1))))
    with reading(target) as connection:
        about = connection.execute("SELECT site, written_at, as_of, newest_at FROM served").fetchall()
        window = connection.execute(
            "SELECT rows, total, since FROM served_window WHERE table_name = 'sample'"
        ).fetchall()
    now = NOW.replace(tzinfo=None)
    assert about == [("demo", served.written_at.replace(tzinfo=None), now, now)]
    assert window == [(400, 900 * len(TAGS), None)]


@pytest.mark.parametrize("rows", [0, 1, 7, 100, 399, 401])
def test_no_window_holds_more_rows_than_its_bound(store: Store, target: Path, rows: int) -> None:
    bound = Window(rows, timedelta(days=1))
    own = dict.fromkeys(TABLES, bound)
    serve(store.cursor(), target, Windows(others=own))
    for name in TABLES:
        if name not in ("series", "position", "about"):
            assert count(target, name) <= rows, name


def test_a_window_holds_the_newest_rows_and_all_of_them(store: Store, target: Path) -> None:
    serve(store.cursor(), target, Windows(rollup_1s=Window(1000, timedelta(hours=1))))
    with reading(target) as connection:
        first, rows = connection.execute("SELECT min(bucket), count(*) FROM rollup_1s").fetchall()[0]
    held = store.connection.execute("SELECT count(*) FROM rollup_1s WHERE bucket >= ?", [first]).fetchone()
    assert held == (rows,)
    assert rows > 500


def test_nothing_older_than_the_age_is_served(store: Store, target: Path) -> None:
    serve(store.cursor(), target, Windows(sample=Window(10_000, timedelta(seconds=60))))
    with reading(target) as connection:
        oldest = connection.execute("SELECT min(observed_at) FROM sample").fetchall()[0][0]
    assert oldest >= NOW.replace(tzinfo=None) - timedelta(seconds=61)


def test_a_command_is_served_with_all_its_rows_or_none(store: Store, target: Path) -> None:
    serve(store.cursor(), target, Windows(others={"ruling": Window(4, timedelta(days=1))}))
    with reading(target) as connection:
        commands = {row[0] for row in connection.execute("SELECT command FROM ruling").fetchall()}
        steps = {row[0] for row in connection.execute("SELECT command FROM step").fetchall()}
    assert commands == {"cmd-unknown"}
    assert steps <= {"cmd-unknown", "cmd-waiting"}


def test_the_newest_value_of_a_tag_is_there_however_short_the_windows_are(store: Store, target: Path) -> None:
    none = Window(0, timedelta())
    serve(store.cursor(), target, Windows(sample=none, rollup_1s=none, rollup_1m=none))
    with reading(target) as connection:
        latest = connection.execute("SELECT series, last_at, text, quality FROM latest").fetchall()
    last = NOW.replace(tzinfo=None) - timedelta(seconds=1)
    assert latest == [
        (1, last, None, 192),
        (2, last, "running", 192),
        (3, last, None, 192),
        (4, last, None, 24),
    ]


def test_roll_ups_lie_in_the_order_of_their_key(store: Store, target: Path) -> None:
    serve(store.cursor(), target)
    with reading(target) as connection:
        rows = connection.execute("SELECT series, bucket FROM rollup_1s").fetchall()
    assert rows == sorted(rows)
    assert len({series for series, _ in rows}) == len(TAGS)


def test_an_empty_archive_is_served_empty(tmp_path: Path, target: Path) -> None:
    store = Store.open(tmp_path / "live.duckdb", "demo")
    served = serve(store.cursor(), target)
    assert served.as_of is None
    assert count(target, "latest") == 0
    store.close()


def test_tables_agree_with_each_other_while_the_writer_goes_on(store: Store, target: Path) -> None:
    cursor, stop, failed = store.cursor(), threading.Event(), []

    def keep_serving() -> None:
        while not stop.is_set():
            serve(cursor, target)
            with reading(target) as connection:
                found = connection.execute(
                    "SELECT (SELECT max(sequence) FROM sample), sequence FROM position WHERE stream = 'TAGS'"
                ).fetchall()
            if found[0][0] != found[0][1]:
                failed.append(found)

    reader = threading.Thread(target=keep_serving)
    reader.start()
    try:
        for number in range(80):
            add_frames(store, 900 + number * 2, 2)
    finally:
        stop.set()
        reader.join(60)
    assert failed == []


def test_a_reader_of_the_snapshot_before_keeps_what_it_reads(store: Store, target: Path) -> None:
    serve(store.cursor(), target)
    with reading(target) as connection:
        before = connection.execute("SELECT max(sequence) FROM sample").fetchall()
        add_frames(store, 900, 5)
        serve(store.cursor(), target)
        assert connection.execute("SELECT max(sequence) FROM sample").fetchall() == before == [(900,)]
    with reading(target) as connection:
        assert connection.execute("SELECT max(sequence) FROM sample").fetchall() == [(905,)]


def test_the_log_of_a_reader_that_opened_it_for_writing_is_removed_and_told(
    store: Store, target: Path
) -> None:
    serve(store.cursor(), target)
    stale = target.with_name(f"{target.name}.wal")
    stale.write_bytes(b"of the file before")
    with capture_logs() as logs:
        serve(store.cursor(), target)
    assert [one["event"] for one in logs] == ["served.reader_log_removed"]
    assert not stale.exists()
    assert count(target, "served") == 1


def test_what_a_killed_run_left_is_removed_by_the_next(store: Store, target: Path) -> None:
    target.parent.mkdir()
    for name in (".plantops.duckdb.part", ".plantops.duckdb.part.wal"):
        (target.parent / name).write_bytes(b"half")
    serve(store.cursor(), target)
    assert [one.name for one in target.parent.iterdir()] == ["plantops.duckdb"]


KILLED = """
import sys
from pathlib import Path
from plantops.archive.serving import serve
from plantops.archive.store import Store
store = Store.open(Path(sys.argv[1]), "demo")
print("ready", flush=True)
while True:
    serve(store.cursor(), Path(sys.argv[2]))
    print("served", flush=True)
"""


def test_a_kill_at_any_instant_leaves_a_whole_snapshot(tmp_path: Path, store: Store, target: Path) -> None:
    store.close()
    for turn in range(4):
        child = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(store.path), str(target)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        for _ in range(turn + 2):
            child.stdout.readline()
        # Somewhere in the next run, later from turn to turn.
        part, grown = target.with_name(f".{target.name}.part"), turn * 250_000
        while child.poll() is None and not (part.exists() and _size(part) >= grown):
            os.sched_yield()
        child.kill()
        child.wait()
        child.stdout.close()
        assert count(target, "served") == 1
        left = {one.name for one in target.parent.iterdir()} - {target.name}
        assert left <= {part.name, f"{part.name}.wal"}
    after = Store.open(store.path, "demo")
    serve(after.cursor(), target)
    after.close()
    assert [one.name for one in target.parent.iterdir()] == [target.name]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


@contextmanager
def no_file_above(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def test_a_full_disk_is_told_as_such_and_the_next_try_goes_on(store: Store, target: Path) -> None:
    cursor = store.cursor()
    size = serve(cursor, target).size
    before = target.read_bytes()
    # While it is made, filled, committed, and folded into one file.
    for share in (0.005, 0.1, 0.5, 0.9, 0.99):
        with no_file_above(int(size * share)), pytest.raises(StorageFull, match=r"plantops\.duckdb"):
            serve(cursor, target)
        assert target.read_bytes() == before
        assert [one.name for one in target.parent.iterdir()] == [target.name]
    add_frames(store, 900, 5)
    assert serve(cursor, target).rows > 0
    with reading(target) as connection:
        assert connection.execute("SELECT max(sequence) FROM sample").fetchall() == [(905,)]


def test_a_snapshot_that_another_process_is_writing_is_told_as_such(store: Store, target: Path) -> None:
    target.parent.mkdir()
    code = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    part = target.with_name(f".{target.name}.part")
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(target)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdin is not None
    assert child.stdout.readline() == "open\n"
    try:
        with pytest.raises(StorageBusy, match=r"plantops\.duckdb"):
            age(target, NOW)
        serve(store.cursor(), target)
        assert age(target, NOW) is not None
    finally:
        child.stdin.close()
        child.wait(10)
        child.stdout.close()
    assert not part.exists()


def test_a_folder_that_cannot_be_written_is_no_damaged_archive(store: Store, target: Path) -> None:
    target.parent.write_text("a file where the folder should be")
    with pytest.raises(StorageError, match="cannot be written") as caught:
        serve(store.cursor(), target)
    assert not isinstance(caught.value, StorageBusy | StorageFull)


def test_a_version_that_1_5_cannot_read_is_refused(
    store: Store, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = tmp_path / "plain.duckdb"
    with duckdb.connect(str(plain)) as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS one")
    assert duckdb15.ask(plain, {"all": "SELECT * FROM t"})["all"].error
    with pytest.raises(IntegrityError, match=r"DuckDB 1\.5 reads"):
        require_readable(plain)
    serve(store.cursor(), target)
    before = target.read_bytes()
    monkeypatch.setattr(served_empty, "STORAGE_VERSION", "v2.0.0")
    served_empty.empty_snapshot.cache_clear()
    with pytest.raises(IntegrityError, match=r"DuckDB 1\.5 reads"):
        serve(store.cursor(), target)
    assert target.read_bytes() == before
    assert [one.name for one in target.parent.iterdir()] == [target.name]


def test_its_age_is_told(store: Store, target: Path) -> None:
    assert age(target, NOW) is None
    served = serve(store.cursor(), target)
    told = age(target, served.written_at + timedelta(seconds=3))
    assert told is not None
    assert told.as_of == NOW
    assert told.age_seconds == 3.0
    assert told.lag_seconds == (served.written_at - NOW).total_seconds()


def test_a_damaged_snapshot_is_told_as_such(target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(b"no database at all" * 1000)
    with pytest.raises(IntegrityError, match=r"plantops\.duckdb"):
        age(target, NOW)
