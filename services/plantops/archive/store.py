"""The live file: one process owns it, and every commit is rows and positions together or nothing.

Another process that opens the file is refused by DuckDB's own lock; readers use the served snapshot.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

import duckdb

from plantops.archive.batch import Batch, Position, SampleBlock, joined
from plantops.archive.columns import rows_table, samples_table
from plantops.archive.faults import translated
from plantops.archive.migrations import MIGRATIONS, Migration, migrate
from plantops.archive.plant_tables import SAMPLE
from plantops.archive.table import Table
from plantops.archive.tables import TABLES

# A write-ahead log of this size is folded into the file in tens of milliseconds; the default pauses for less
# but too often, and a large one for more than a second.
CHECKPOINT_THRESHOLD: Final = "64MB"


class Store:
    """An open live file. One thread at a time uses `connection`; others take a `cursor`."""

    def __init__(self, path: Path, connection: duckdb.DuckDBPyConnection) -> None:
        self.path: Final = path
        self.connection: Final = connection

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
        with translated(path):
            connection = duckdb.connect(
                str(path),
                config={
                    "threads": threads,
                    "memory_limit": f"{memory_megabytes}MB",
                    "temp_directory": str(path.parent / "spill"),
                    "preserve_insertion_order": True,
                },
            )
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute(f"SET checkpoint_threshold = '{CHECKPOINT_THRESHOLD}'")
            try:
                migrate(connection, path, site, migrations)
            except BaseException:
                connection.close()
                raise
        return cls(path, connection)

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A second connection to the same file, for another thread; it sees what is committed."""
        return self.connection.cursor()

    @contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """All or nothing. Raises: StorageFull, IntegrityError; then nothing of it is stored."""
        with translated(self.path):
            self.connection.begin()
            try:
                yield self.connection
                self.connection.commit()
            except BaseException:
                _roll_back(self.connection)
                raise

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
        """Fold the write-ahead log into the file and let it go."""
        self.connection.close()


def _roll_back(connection: duckdb.DuckDBPyConnection) -> None:
    try:
        connection.rollback()
    except duckdb.TransactionException:
        return  # a failed commit has ended it already


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
    for stream, position in batch.positions.items():
        connection.execute("DELETE FROM position WHERE stream = ?", [stream])
        connection.execute(
            "INSERT INTO position VALUES (?, ?, ?, make_timestamp(?))",
            [stream, position.sequence, position.created, position.stored_at],
        )


def note(connection: duckdb.DuckDBPyConnection, name: str, value: str) -> None:
    """Set a fact about the file, in the open transaction."""
    connection.execute("DELETE FROM about WHERE name = ?", [name])
    connection.execute("INSERT INTO about VALUES (?, ?)", [name, value])


def _append(connection: duckdb.DuckDBPyConnection, table: Table, rows: object) -> None:
    name = table.name
    connection.register("arriving", rows)
    try:
        if table.replaces:
            same = " AND ".join(f"{name}.{column} = arriving.{column}" for column in table.key)
            connection.execute(f"DELETE FROM {name} USING arriving WHERE {same}")  # noqa: S608 - from TABLES
        connection.execute(f"INSERT INTO {name} SELECT * FROM arriving")  # noqa: S608 - from TABLES
    finally:
        connection.unregister("arriving")
