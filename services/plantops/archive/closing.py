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
from plantops.archive.settings import ArchiveSettings
from plantops.archive.store import Store
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
            await self._read(lambda cursor: sweep(cursor, self._folder))
            self._is_swept = True
        parquet = self._settings.parquet
        plan = await self._read(
            lambda cursor: closed(
                cursor, grace_seconds=parquet.grace_seconds, quiet_seconds=parquet.quiet_seconds
            )
        )
        await self._write(plan)

    async def _write(self, plan: Plan) -> None:
        for part in plan.parts:
            written = await self._read(partial(self._write_part, part))
            async with self._lock:
                with self._store.transaction() as connection:
                    record(connection, [written])
        if plan.parts:
            async with self._lock:
                with self._store.transaction() as connection:
                    record_marks(connection, plan)

    def _write_part(self, part: Part, cursor: duckdb.DuckDBPyConnection) -> Written:
        return write_hour(cursor, self._folder, self._context.site, part)

    async def _read(self, work: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        """Work with a connection of its own in a thread, while the writer goes on. Raises: StorageError,
        IntegrityError."""

        def read() -> T:
            with self._store.reading() as cursor:
                return work(cursor)

        return await asyncio.to_thread(read)
