"""Closed hours into Parquet, their manifest into the audit, and what is old out of the live file."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import duckdb
import structlog

from plantops.archive.hour_file import sweep, write_hour
from plantops.archive.hours import Part, Plan, Written, closed, record, record_marks
from plantops.archive.manifest import Stored, adopt, mark, next_manifest, put
from plantops.archive.retention import Removal, due, remove
from plantops.archive.settings import ArchiveSettings
from plantops.archive.store import Store
from plantops.archive.writer import finished
from plantops.flow.context import Context
from plantops.runtime.errors import PlantOpsError

T = TypeVar("T")

log = structlog.get_logger("plantops.archive")


class Closing:
    """`run` is one pass. `problem` says why the last one did not come to its end, "" when it did.

    Files are written by a connection in a thread of its own; only the rows that name them need `lock`, under
    which nobody else uses the store's connection.
    """

    def __init__(
        self, store: Store, lock: asyncio.Lock, folder: Path, context: Context, settings: ArchiveSettings
    ) -> None:
        self.problem = ""
        self.done_at = 0.0
        self._store, self._lock, self._folder, self._context = store, lock, folder, context
        self._settings = settings
        self._is_swept = False
        self._forgets_at = 0.0

    async def run(self) -> None:
        """What goes wrong is told once, and tried again by the next pass."""
        try:
            await self._pass()
        except PlantOpsError as error:
            if not self.problem:
                log.error("archive.not_closed", reason=error.message)  # noqa: TRY400
            self.problem = error.message
        else:
            self.problem, self.done_at = "", time.time()

    async def _pass(self) -> None:
        if not self._is_swept:
            await self._write(lambda connection: adopt(connection, self._folder))
            await self._read(lambda cursor: sweep(cursor, self._folder))
            self._is_swept = True
        if self._settings.parquet.enabled:
            await self._close()
            await self._audit()
        await self._forget()

    async def _close(self) -> None:
        parquet = self._settings.parquet
        plan = await self._read(
            lambda cursor: closed(
                cursor, grace_seconds=parquet.grace_seconds, quiet_seconds=parquet.quiet_seconds
            )
        )
        for part in plan.parts:
            written = await self._read(partial(self._write_part, part))
            await self._write(partial(_record, written))
        if plan.parts:
            await self._write(partial(_record_marks, plan))

    async def _audit(self) -> None:
        """Every file is named by a manifest, and every manifest is audited, before a row of it is removed."""
        auditor = self._context.auditor
        if auditor is None:
            raise ValueError("the archive has no auditor: declare it with audits=True")
        while True:
            waiting = await self._read(lambda cursor: next_manifest(cursor, self._folder, self._context.site))
            if waiting is None:
                return
            with self._store.reading() as cursor:
                await put(cursor, waiting, auditor.append)
            await self._write(partial(_mark, waiting))
            log.info("archive.manifest", number=waiting.manifest.number, files=len(waiting.manifest.files))

    async def _forget(self) -> None:
        """Slice by slice, so that no commit waits long."""
        now = time.monotonic()
        if now < self._forgets_at:
            return
        days = self._settings.retention_days
        for removal in await self._read(lambda cursor: list(due(cursor, days))):
            for where in removal.slices:
                await self._write(partial(_remove, removal, where))
            log.info("archive.removed", table=removal.table, place=removal.place, rows=removal.rows)
        self._forgets_at = now + self._settings.retention_seconds

    def _write_part(self, part: Part, cursor: duckdb.DuckDBPyConnection) -> Written:
        return write_hour(cursor, self._folder, self._context.site, part)

    async def _write(self, work: Callable[[duckdb.DuckDBPyConnection], object]) -> None:
        """One transaction, in which nobody else uses the store. Raises: StorageError, IntegrityError."""

        def write() -> None:
            with self._store.transaction() as connection:
                work(connection)

        async with self._lock:
            await finished(write)

    async def _read(self, work: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        """Work with a connection of its own in a thread, while the writer goes on. Raises: StorageError,
        IntegrityError."""

        def read() -> T:
            with self._store.reading() as cursor:
                return work(cursor)

        return await asyncio.to_thread(read)


def _record(written: Written, connection: duckdb.DuckDBPyConnection) -> None:
    record(connection, [written])


def _record_marks(plan: Plan, connection: duckdb.DuckDBPyConnection) -> None:
    record_marks(connection, plan)


def _mark(stored: Stored, connection: duckdb.DuckDBPyConnection) -> None:
    mark(connection, stored)


def _remove(removal: Removal, where: str, connection: duckdb.DuckDBPyConnection) -> None:
    remove(connection, removal, where)
