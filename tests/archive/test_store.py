"""The live file has one owner, one site and one schema; what is wrong with it is said plainly."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from plantops.archive.batch import Batch, Position
from plantops.archive.condition import Condition, StreamCondition, load_condition, save_condition
from plantops.archive.migrations import MIGRATIONS, Migration
from plantops.archive.store import Store, insert, note
from plantops.archive.tables import TABLES
from plantops.runtime.errors import IntegrityError, SettingsError, StorageBusy, StorageError, StorageFull
from support.archive_rig import rig
from support.nats import until

AT = 1_800_000_000_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "live.duckdb"


def hole(first: int) -> Batch:
    batch = Batch()
    batch.add("hole", ("TAGS", first, first, AT, "missing"))
    batch.positions["TAGS"] = Position(first, "created", AT)
    return batch


def test_rows_and_positions_are_stored_together_or_not_at_all(path: Path) -> None:
    store = Store.open(path, "demo")
    with store.transaction() as connection:
        insert(connection, hole(1))
    with pytest.raises(ZeroDivisionError):
        _fail_within(store)
    store.close()
    store = Store.open(path, "demo")
    assert store.positions() == {"TAGS": Position(1, "created", AT)}
    assert store.connection.execute("SELECT first FROM hole").fetchall() == [(1,)]
    store.close()


def _fail_within(store: Store) -> None:
    with store.transaction() as connection:
        insert(connection, hole(2))
        raise ZeroDivisionError


def test_a_second_archive_on_the_same_file_is_refused(path: Path) -> None:
    store = Store.open(path, "demo")
    other = (
        "import sys; from pathlib import Path; from plantops.archive.store import Store\n"
        "from plantops.runtime.errors import StorageBusy\n"
        f"try: Store.open(Path({str(path)!r}), 'demo')\n"
        "except StorageBusy as error: sys.stdout.write(error.message)"
    )
    done = subprocess.run([sys.executable, "-c", other], capture_output=True, text=True, check=True)
    assert "is open in another process" in done.stdout
    store.close()


def test_an_archive_that_reads_while_another_owns_the_file_is_refused_too(path: Path) -> None:
    hold = f"import duckdb; c = duckdb.connect({str(path)!r}); print('open', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(StorageBusy, match="stop the other one"):
            Store.open(path, "demo")
        other.kill()


def test_a_damaged_file_is_refused_with_the_way_out(path: Path) -> None:
    store = Store.open(path, "demo")
    with store.transaction() as connection:
        insert(connection, hole(1))
    store.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + bytes(4096) + whole[8192:])
    with pytest.raises(IntegrityError, match="plantops replay"):
        Store.open(path, "demo")


def test_a_file_that_is_no_archive_is_refused(path: Path) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE mine (a INTEGER)")
    with pytest.raises(IntegrityError, match="no archive"):
        Store.open(path, "demo")


def test_the_archive_of_another_site_is_refused(path: Path) -> None:
    Store.open(path, "demo").close()
    with pytest.raises(IntegrityError, match="'demo', not of 'mine'"):
        Store.open(path, "mine")


def test_a_newer_schema_is_refused_and_nothing_is_changed(path: Path) -> None:
    store = Store.open(path, "demo")
    with store.transaction() as connection:
        note(connection, "schema", "999")
    store.close()
    with pytest.raises(SettingsError, match="a newer PlantOps made it"):
        Store.open(path, "demo")


def _more(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("ALTER TABLE hole ADD COLUMN remark VARCHAR")


def _fails(connection: duckdb.DuckDBPyConnection) -> None:
    _more(connection)
    raise ZeroDivisionError


def test_an_older_schema_is_brought_forward_and_keeps_its_rows(path: Path) -> None:
    store = Store.open(path, "demo")
    with store.transaction() as connection:
        insert(connection, hole(1))
    store.close()
    newer = Migration(MIGRATIONS[-1].number + 1, "remarks", _more)
    store = Store.open(path, "demo", migrations=(*MIGRATIONS, newer))
    assert store.connection.execute("SELECT first, remark FROM hole").fetchall() == [(1, None)]
    assert store.about("schema") == str(newer.number)
    store.close()


def test_a_step_that_fails_leaves_the_file_as_it_was(path: Path) -> None:
    Store.open(path, "demo").close()
    newer = Migration(MIGRATIONS[-1].number + 1, "remarks", _fails)
    with pytest.raises(ZeroDivisionError):
        Store.open(path, "demo", migrations=(*MIGRATIONS, newer))
    store = Store.open(path, "demo")
    columns = store.connection.execute("DESCRIBE hole").fetchall()
    assert [column[0] for column in columns] == list(TABLES["hole"].names)
    store.close()


def test_the_schema_that_the_steps_make_is_that_of_the_tables(path: Path) -> None:
    store = Store.open(path, "demo")
    found = store.connection.execute(
        "SELECT table_name, column_name, data_type, is_nullable FROM duckdb_columns() "
        "WHERE schema_name = 'main' AND table_name IN (SELECT table_name FROM duckdb_tables()) "
        "ORDER BY table_name, column_index"
    ).fetchall()
    wanted = [
        (table.name, column.name, column.type, not column.required)
        for table in sorted(TABLES.values(), key=lambda table: table.name)
        for column in table.columns
    ]
    assert found == wanted
    store.close()


def test_a_reader_is_interrupted_when_the_file_is_let_go(path: Path) -> None:
    store = Store.open(path, "demo")
    begun, ended = threading.Event(), []

    def read() -> None:
        try:
            with store.reading() as cursor:
                begun.set()
                cursor.execute("SELECT count(*) FROM range(1000000) a, range(1000000) b").fetchall()
        except StorageError as error:
            ended.append(error.message)

    thread = threading.Thread(target=read)
    thread.start()
    assert begun.wait(10)
    store.close()
    thread.join(10)
    assert len(ended) == 1
    assert "let go" in ended[0]


class SmallStore(Store):
    """On a disk that is full while `is_full`."""

    is_full = False

    @contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        if self.is_full:
            raise StorageFull("the disk is full")
        with super().transaction() as connection:
            yield connection


@pytest.mark.parametrize("is_full", [True, False])
async def test_a_commit_that_is_cancelled_is_stored_before_anything_later(path: Path, is_full: bool) -> None:
    """Else the position of what came later would stand for it."""
    plant = await rig()
    archive = await plant.archive(path, SmallStore)
    assert isinstance(archive.store, SmallStore)
    follow = [asyncio.create_task(intake.run(archive.writer.more)) for intake in archive.intakes.values()]
    for _ in range(3):
        await plant.feed(3)
        await until(lambda: archive.intakes["TAGS"].position == plant.frames)
        archive.store.is_full = is_full
        work = asyncio.create_task(archive.writer.commit())
        await until(lambda: archive.writer.problem or not is_full)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        archive.store.is_full = False
    for task in follow:
        task.cancel()
    await asyncio.gather(*follow, return_exceptions=True)
    await archive.writer.commit()
    await archive.writer.roll()
    values = archive.rows("SELECT value FROM sample ORDER BY sequence, place")
    assert values == [(float(number),) for number in range(1, plant.frames + 1)]
    assert archive.one("SELECT sum(samples)::BIGINT FROM rollup_1s") == plant.frames
    archive.store.close()


def test_a_condition_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert load_condition(tmp_path) is None
    written = Condition(
        site="demo",
        pid=7,
        at=1.5,
        streams={"TAGS": StreamCondition(position=3, last=10, halted="why")},
        unread={"malformed": 2},
    )
    save_condition(written, tmp_path)
    assert load_condition(tmp_path) == written
    assert written.streams["TAGS"].lag == 7
    (tmp_path / "condition.json").write_bytes(b"{")
    with pytest.raises(IntegrityError, match="cannot be read"):
        load_condition(tmp_path)
