"""The archive as a process: every stream into the live file, from which snapshots and Parquet are made."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Final

import structlog

from plantops.archive.closing import Closing
from plantops.archive.condition import Condition, StreamCondition, save_condition
from plantops.archive.export_requests import FOLDER as EXPORTS
from plantops.archive.export_requests import answer_requests
from plantops.archive.intake import Intake
from plantops.archive.place import LIVE_FILE, PARQUET, SERVED_FILE
from plantops.archive.projection import projections
from plantops.archive.record_tables import HOLE, UNREAD
from plantops.archive.rolling import Roller
from plantops.archive.series import known_series
from plantops.archive.serving import serve
from plantops.archive.settings import ArchiveSettings, WindowSettings
from plantops.archive.specs import ARCHIVE, ARCHIVE_AUDIT, AUDIT_STREAMS, PLANT_STREAMS
from plantops.archive.store import Store
from plantops.archive.windows import Window, Windows
from plantops.archive.writer import Writer
from plantops.flow.audited import keep_auditing
from plantops.flow.bus import Bus
from plantops.flow.context import Context
from plantops.flow.policies import follow
from plantops.runtime.errors import PlantOpsError, StorageError

CONDITION_SECONDS: Final = 2.0
EXPORT_SECONDS: Final = 1.0
_LAST_COMMIT_SECONDS: Final = 2.0

log = structlog.get_logger("plantops.archive")


def intakes(context: Context, audit: Bus, store: Store) -> list[Intake]:
    """One for each stream, from where the store stands; `audit` is the login in the audit's account."""
    known, positions = known_series(store), store.positions()
    made = projections(context.bus, audit, context.in_force, known, site=context.site)
    return [
        Intake(name, reads, bus, made(reads.stream), positions.get(reads.stream))
        for name, bus, streams in (
            (ARCHIVE, context.bus, PLANT_STREAMS),
            (ARCHIVE_AUDIT, audit, AUDIT_STREAMS),
        )
        for reads in streams
    ]


class ArchiveProcess:
    """Everything that runs round one live file."""

    def __init__(self, context: Context, audit: Bus, settings: ArchiveSettings) -> None:
        self._context, self._settings = context, settings
        self._folder = context.state
        self._store = Store.open(
            self._folder / LIVE_FILE,
            context.site,
            threads=settings.threads,
            memory_megabytes=settings.memory_megabytes,
        )
        self._roller = Roller(self._store)
        self._intakes = intakes(context, audit, self._store)
        self._writer = Writer(
            self._store, self._roller, self._intakes, commit_seconds=settings.commit_seconds
        )
        self._closing = Closing(self._store, self._writer.lock, self._folder / PARQUET, context, settings)
        self._windows = windows_of(settings.window)
        self._served_at = self._served_seconds = 0.0
        self._not_served = ""
        self._unread: dict[str, int] = {}
        self._holes: dict[str, int] = {}

    async def run(self) -> None:
        """Until cancelled; then what waits is stored. Raises: IntegrityError, StorageBusy, BrokerError."""
        try:
            await self._work()
        except BaseExceptionGroup as ended:
            # The first one ended the others; a person meets it alone.
            raise ended.exceptions[0] from None
        finally:
            await self._leave()

    async def _work(self) -> None:
        await self._writer.roll()
        async with asyncio.TaskGroup() as group:
            for intake in self._intakes:
                group.create_task(intake.run(self._writer.more))
            group.create_task(self._writer.run())
            group.create_task(_every(self._settings.serve_seconds, self.serve))
            group.create_task(_every(self._settings.parquet.every_seconds, self._closing.run))
            group.create_task(_every(CONDITION_SECONDS, self._tell))
            group.create_task(_every(EXPORT_SECONDS, self._export))
            group.create_task(keep_auditing(self._context))
            group.create_task(follow(self._context.bus, self._context.in_force))
            self._context.ready()

    async def serve(self) -> None:
        """Put a snapshot of all that has come into place. What goes wrong is told once, and tried again."""
        started = time.monotonic()
        await self._writer.commit()
        await self._writer.roll()
        try:
            await asyncio.to_thread(self._serve)
        except PlantOpsError as error:
            if not self._not_served:
                log.error("archive.not_served", reason=error.message)  # noqa: TRY400
            self._not_served = error.message
        else:
            self._not_served = ""
            self._served_at, self._served_seconds = time.time(), time.monotonic() - started

    def _serve(self) -> None:
        with self._store.reading() as cursor:
            serve(cursor, self._folder / SERVED_FILE, self._windows)

    async def _export(self) -> None:
        def answer() -> None:
            with self._store.reading() as cursor:
                answer_requests(cursor, self._folder, self._folder / PARQUET)

        if (self._folder / EXPORTS).is_dir():
            with suppress(StorageError):  # the file is let go: the next owner answers
                await asyncio.to_thread(answer)

    async def _tell(self) -> None:
        condition = await asyncio.to_thread(self._condition)
        with suppress(OSError):  # a full disk is told by the writer, which the next condition shows
            await asyncio.to_thread(save_condition, condition, self._folder)

    def _condition(self) -> Condition:
        with suppress(PlantOpsError), self._store.reading() as cursor:  # else as they were
            self._unread, self._holes = (
                dict(cursor.execute(f"SELECT cause, count(*) FROM {table} GROUP BY cause").fetchall())  # noqa: S608
                for table in (UNREAD.name, HOLE.name)
            )
        return Condition(
            site=self._context.site,
            pid=os.getpid(),
            at=time.time(),
            streams={
                one.stream: StreamCondition(position=one.position, last=one.last_known, halted=one.halted)
                for one in self._intakes
            },
            samples=self._writer.stored,
            problem=self._writer.problem,
            served_at=self._served_at,
            served_seconds=self._served_seconds,
            not_served=self._not_served,
            closed_at=self._closing.done_at,
            not_closed=self._closing.problem,
            unread=self._unread,
            holes=self._holes,
        )

    async def _leave(self) -> None:
        """Store what is in hand if that is quick, and let the file go."""
        try:
            async with asyncio.timeout(_LAST_COMMIT_SECONDS):
                await self._writer.commit()
                await self._writer.roll()
        except (TimeoutError, PlantOpsError) as error:
            log.warning("archive.stopped_early", reason=repr(error))
        await asyncio.to_thread(self._store.close)


async def run_archive(context: Context, audit: Bus, settings: ArchiveSettings) -> None:
    """Until cancelled. Raises: as `ArchiveProcess.run`; SettingsError."""
    await ArchiveProcess(context, audit, settings).run()


def windows_of(settings: WindowSettings) -> Windows:
    """The bounds of a snapshot as the site file tells them; what it does not name stays as it is."""
    default = Windows()
    return Windows(
        sample=Window(settings.sample_rows, timedelta(minutes=settings.sample_minutes)),
        rollup_1s=Window(settings.rollup_1s_rows, timedelta(hours=settings.rollup_1s_hours)),
        rollup_1m=Window(settings.rollup_1m_rows, timedelta(days=settings.rollup_1m_days)),
        rollup_1h=Window(settings.rollup_1h_rows, timedelta(days=settings.rollup_1h_days)),
        event=replace(default.event, rows=settings.event_rows),
        audit=replace(default.audit, rows=settings.audit_rows),
        journal=replace(default.journal, rows=settings.journal_rows),
    )


def live_file(state: Path) -> Path:
    """The live file in the archive's own folder."""
    return state / LIVE_FILE


async def _every(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    """`work`, then a pause, for ever; a slow work makes the pause no shorter than half of it."""
    loop = asyncio.get_running_loop()
    while True:
        started = loop.time()
        await work()
        took = loop.time() - started
        await asyncio.sleep(max(seconds - took, took / 2))
