"""The live file: one process owns it, and every commit is rows and positions together or nothing.

Another process that opens the file is refused by DuckDB's own lock; readers use the served snapshot.

When DuckDB cannot write a checkpoint, it gives up the whole open file, although the commit before may be
stored. The next transaction then opens the file again; whoever repeats a commit looks first what is there.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

import duckdb
import pyarrow as pa
import structlog

from plantops.archive.batch import Batch, Position, SampleBlock, joined
from plantops.archive.columns import rows_table, samples_table
from plantops.archive.faults import translated
from plantops.archive.migrations import MIGRATIONS, Migration, migrate
from plantops.archive.plant_tables import SAMPLE
from plantops.archive.record_tables import POSITION
from plantops.archive.table import Table
from plantops.archive.tables import TABLES
from plantops.runtime.errors import StorageError, StorageFull

# A write-ahead log of this size is folded into the file in tens of milliseconds; the default pauses for less
# but too often, and a large one for more than a second.
CHECKPOINT_THRESHOLD: Final = "64MB"
_INTERRUPT_SECONDS: Final = 0.1

log = structlog.get_logger("plantops.archive")


class Store:
    """An open live file. One thread at a time uses `connection` and `transaction`, others `reading`."""

    def __init__(
        self,
        path: Path,
        site: str,
        config: Mapping[str, Any],
        migrations: tuple[Migration, ...],
    ) -> None:
        self.path: Final = path
        self._site, self._config, self._migrations = site, config, migrations
        self._readers: set[duckdb.DuckDBPyConnection] = set()
        self._idle = threading.Condition()
        self._connection: duckdb.DuckDBPyConnection | None = self._connect()

    @classmethod
    def open(
        cls,
        path: Path,
        site: str,
        *,
        threads: int = 2,
        memory_megabytes: int = 1024,
        migrations: tuple[Migration, ...] = MIGRATIONS,
    ) -> Self:
        """Open or make the file and bring its schema forward.

        Raises: StorageBusy when another process has it; IntegrityError when it is damaged, or of another
        site; SettingsError when a newer PlantOps made it; StorageFull.
        """
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        config = {
            "threads": threads,
            "memory_limit": f"{memory_megabytes}MB",
            "temp_directory": str(path.parent / "spill"),
            "preserve_insertion_order": True,
        }
        return cls(path, site, config, migrations)

    def _connect(self) -> duckdb.DuckDBPyConnection:
        with translated(self.path):
            connection = duckdb.connect(str(self.path), config=dict(self._config))
            try:
                connection.execute("SET TimeZone = 'UTC'")
                connection.execute(f"SET checkpoint_threshold = '{CHECKPOINT_THRESHOLD}'")
                migrate(connection, self.path, self._site, self._migrations)
            except BaseException:
                connection.close()
                raise
        return connection

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The connection that writes. Raises: StorageFull while the file could not be opened again."""
        if self._connection is None:
            raise StorageFull(f"{self.path} is not open: make room on its disk", path=str(self.path))
        return self._connection

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A second connection to the same file; it sees what is committed. For longer use see `reading`."""
        return self.connection.cursor()

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection of its own for another thread, closed at the end.

        Raises: StorageError when the file is let go meanwhile; StorageFull, IntegrityError.
        """
        with self._idle:
            cursor = self.cursor()
            self._readers.add(cursor)
        try:
            with translated(self.path):
                yield cursor
        except duckdb.InterruptException as error:
            raise StorageError(f"{self.path} was let go meanwhile: try again", path=str(self.path)) from error
        finally:
            cursor.close()
            with self._idle:
                self._readers.discard(cursor)
                self._idle.notify_all()

    @contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """All or nothing. Raises: StorageFull, IntegrityError; then nothing of it is stored, unless it was
        the commit that failed: then it may be."""
        with translated(self.path):
            connection = self._begun()
            try:
                yield connection
                connection.commit()
            except BaseException:
                _roll_back(connection)
                raise

    def _begun(self) -> duckdb.DuckDBPyConnection:
        """In a transaction; the file is opened again when DuckDB gave it up."""
        if self._connection is not None:
            try:
                self._connection.begin()
            except duckdb.FatalException:
                pass
            else:
                return self._connection
        with self._idle:
            # DuckDB opens a file anew only when nobody in this process has it open.
            self._let_go()
            self._connection = self._connect()
        log.warning("archive.opened_again", path=str(self.path))
        self._connection.begin()
        return self._connection

    def _let_go(self) -> None:
        while self._readers:
            for cursor in self._readers:
                cursor.interrupt()
            self._idle.wait(_INTERRUPT_SECONDS)
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def positions(self) -> Mapping[str, Position]:
        """How far each stream is stored."""
        found = self.connection.execute(
            "SELECT stream, sequence, created, epoch_us(stored_at) FROM position"
        ).fetchall()
        return {stream: Position(sequence, created, at) for stream, sequence, created, at in found}

    def about(self, name: str, default: str = "") -> str:
        """A fact about the file."""
        found = self.connection.execute("SELECT value FROM about WHERE name = ?", [name]).fetchone()
        return default if found is None else str(found[0])

    def close(self) -> None:
        """End what reads, fold the write-ahead log into the file and let it go."""
        with self._idle:
            self._let_go()


def _roll_back(connection: duckdb.DuckDBPyConnection) -> None:
    try:
        connection.rollback()
    except (duckdb.TransactionException, duckdb.FatalException):
        return  # a failed commit has ended it already, or DuckDB gave up the file


def insert(connection: duckdb.DuckDBPyConnection, batch: Batch, block: SampleBlock | None = None) -> None:
    """Put a batch into the open transaction: rows, samples, then the positions that they stand for.

    `block` are the batch's samples where the caller has joined them already.
    """
    for name, rows in batch.rows.items():
        if rows:
            _append(connection, TABLES[name], rows_table(TABLES[name], rows))
    block = block or joined(batch.samples)
    if block is not None:
        _append(connection, SAMPLE, samples_table(block))
    if batch.positions:
        positions = [
            (stream, one.sequence, one.created, one.stored_at) for stream, one in batch.positions.items()
        ]
        _append(connection, POSITION, rows_table(POSITION, positions))


def note(connection: duckdb.DuckDBPyConnection, name: str, value: str) -> None:
    """Set a fact about the file, in the open transaction."""
    connection.execute("DELETE FROM about WHERE name = ?", [name])
    connection.execute("INSERT INTO about VALUES (?, ?)", [name, value])


def _append(connection: duckdb.DuckDBPyConnection, table: Table, arriving: pa.Table) -> None:  # noqa: ARG001
    """DuckDB finds `arriving` by its name here; to register it in the catalog takes as long as the insert."""
    name = table.name
    if table.replaces:
        same = " AND ".join(f"{name}.{column} = arriving.{column}" for column in table.key)
        connection.execute(f"DELETE FROM {name} USING arriving WHERE {same}")  # noqa: S608 - from TABLES
    connection.execute(f"INSERT INTO {name} SELECT * FROM arriving")  # noqa: S608 - from TABLES
