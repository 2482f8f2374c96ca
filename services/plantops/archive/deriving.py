"""Derived tables made again from log tables, by the code that makes them from the streams."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeAlias

import duckdb
import structlog

from plantops.archive.audit_rows import audit_row
from plantops.archive.batch import Batch, Position, Row
from plantops.archive.entries import entry_from_row
from plantops.archive.journal import derived
from plantops.archive.record_tables import AUDIT, EVENT
from plantops.archive.rolling import Roller
from plantops.archive.store import Store, insert
from plantops.events import EventUnreadable
from plantops.ledger import tiles

Progress: TypeAlias = Callable[[int, int], None]

_PAGE: Final = 20_000

log = structlog.get_logger("plantops.archive")


def derive(store: Store, progress: Progress | None = None) -> int:
    """Fill the empty derived tables of an archive whose log tables are whole; gives the number of events.

    An event that this program cannot use any more is told and leaves its derived tables without it.
    Raises: StorageFull, IntegrityError.
    """
    reader = store.cursor()
    try:
        total = reader.execute("SELECT count(*) FROM event").fetchall()[0][0]
        done = 0
        for page in _pages(reader):
            batch = Batch()
            for row in page:
                _derive(row, batch)
            with store.transaction() as connection:
                insert(connection, batch)
            done += len(page)
            if progress is not None:
                progress(done, total)
    finally:
        reader.close()
    _roll(store)
    return done


def _pages(reader: duckdb.DuckDBPyConnection) -> Iterator[list[Row]]:
    columns = ", ".join("epoch_us(stored_at)" if name == "stored_at" else name for name in EVENT.names)
    found = reader.execute(f"SELECT {columns} FROM event ORDER BY stream, sequence")  # noqa: S608 - from TABLES
    while page := found.fetchmany(_PAGE):
        yield page


def _derive(row: Row, batch: Batch) -> None:
    try:
        rows = list(derived(entry_from_row(row)))
    except EventUnreadable as error:
        log.warning("archive.not_derived", stream=row[0], sequence=row[1], reason=str(error))
        return
    for table, made in rows:
        batch.add(table, made)


def _roll(store: Store) -> None:
    roller = Roller(store)
    roller.resume()
    last = store.connection.execute("SELECT coalesce(max(sequence), 0) FROM frame").fetchall()[0][0]
    with store.transaction() as connection:
        roller.flush(connection, last)


def load_tiles(store: Store, folder: Path, size: int, progress: Progress | None = None) -> None:
    """Fill the empty audit table with the first `size` records of an export, and say how far it is.

    Believe them when `proving.prove` does. Raises: IntegrityError when a bundle is missing or damaged.
    """
    batch = Batch()
    for taken, data in enumerate(tiles.read_entries(folder, size), 1):
        batch.add(AUDIT.name, audit_row(taken - 1, data))
        if taken % _PAGE == 0 or taken == size:
            batch.positions["AUDIT"] = Position(taken, "", 0)
            with store.transaction() as connection:
                insert(connection, batch)
            batch = Batch()
            if progress is not None:
                progress(taken, size)
