"""The one hand that writes the live file: what all streams brought, in commits, and the roll-ups with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import structlog

from plantops.archive.batch import Batch, joined
from plantops.archive.faults import translated
from plantops.archive.intake import Intake, Taken
from plantops.archive.rolling import Roller
from plantops.archive.store import Store, insert
from plantops.runtime.errors import StorageError

# Enough samples for DuckDB to write whole row groups, past its write-ahead log.
FULL_COMMIT: Final = 125_000
# From so many samples and messages on, more company saves little: they wait no longer than this.
MUCH: Final = 10_000
_SOON_SECONDS: Final = 0.5
_RETRY_SECONDS: Final = 2.0

log = structlog.get_logger("plantops.archive")


class Writer:
    """Commits until cancelled. Whoever else needs the live file's own connection takes `lock`.

    `problem` says why nothing is stored at the moment, "" while all is well; `stored` counts samples.

    What was taken from the intakes stays in hand until it is stored, also when a commit is cancelled: whoever
    commits next stores it first, since a later position would stand for it.
    """

    def __init__(
        self, store: Store, roller: Roller, intakes: Sequence[Intake], *, commit_seconds: float
    ) -> None:
        self.lock: Final = asyncio.Lock()
        self.more: Final = asyncio.Event()
        self.problem = ""
        self.stored = 0
        self._store, self._roller, self._intakes = store, roller, intakes
        self._commit_seconds = commit_seconds
        self._in_hand: list[tuple[Intake, Taken]] = []
        self._is_again = False  # it was tried to store what is in hand, and may be stored
        self._is_rolling = False  # whether the roll-ups in memory hold everything that is stored
        position = store.positions().get("TAGS")
        self._tags = position.sequence if position else 0

    async def run(self) -> None:
        """Raises: IntegrityError when the file is damaged. A full disk is waited for, what came is kept."""
        while True:
            await self._gathered()
            await self.commit()

    async def _gathered(self) -> None:
        """Something waits, and either for long enough, or enough of it for whole row groups."""
        await self.more.wait()
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while (weight := sum(intake.weight for intake in self._intakes)) < FULL_COMMIT:
            left = begun + self._patience(weight) - loop.time()
            if left <= 0:
                break
            self.more.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self.more.wait()
        self.more.clear()

    def _patience(self, weight: int) -> float:
        """A commit costs the same for one row and for a thousand: few wait for more, many do not."""
        return self._commit_seconds if weight < MUCH else min(self._commit_seconds, _SOON_SECONDS)

    async def commit(self) -> None:
        """Store what waits now, then tell the broker. Raises: as `run`."""
        async with self.lock:
            if self._in_hand:
                await self._store_in_hand()
            self._in_hand, self._is_again = [(intake, intake.take()) for intake in self._intakes], False
            await self._store_in_hand()
            if self._roller.is_full:
                await self._roll_when_possible()

    async def _store_in_hand(self) -> None:
        """What is in hand; then nothing is."""
        held = self._in_hand
        batch = merged([part for _intake, part in held])
        if batch.positions:
            await self._insist(batch)
            for intake, part in held:
                await intake.confirm(part)
        self._in_hand = []

    async def roll(self) -> None:
        """Write the roll-ups of everything that is stored; on a full disk they stay in memory.

        Raises: IntegrityError.
        """
        async with self.lock:
            await self._roll_when_possible()

    async def _roll_when_possible(self) -> None:
        try:
            await finished(self._roll)
        except StorageError as error:
            log.warning("archive.not_rolled", reason=error.message)

    async def _insist(self, batch: Batch) -> None:
        while True:
            try:
                await finished(lambda: self._commit(batch))
            except StorageError as error:
                if not self.problem:
                    log.error("archive.not_stored", reason=error.message)  # noqa: TRY400
                self.problem = error.message
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                if self.problem:
                    log.info("archive.goes_on", stored=batch.sample_count)
                self.problem = ""
                return

    def _commit(self, batch: Batch) -> None:
        block = joined(batch.samples)
        is_again, self._is_again = self._is_again, True
        with self._store.transaction() as connection:
            is_stored = is_again and self._is_stored(batch)
            if not is_stored:
                insert(connection, batch, block)
        if "TAGS" in batch.positions:
            self._tags = batch.positions["TAGS"].sequence
        if is_stored:
            self._is_rolling = False  # whether these samples are folded too is not known
        elif block is not None:
            self.stored += len(block)
            if self._is_rolling:
                with translated(self._store.path):
                    self._roller.fold(block)

    def _is_stored(self, batch: Batch) -> bool:
        """All or nothing is: a batch and its positions are one transaction."""
        stored = self._store.positions()
        return all(stored.get(stream) == position for stream, position in batch.positions.items())

    def _roll(self) -> None:
        """What could not be written is folded again from what is stored, the next time."""
        if not self._is_rolling:
            with self._store.transaction():
                pass  # opens the file again if DuckDB gave it up
            with translated(self._store.path):
                self._roller.resume()
        self._is_rolling = False
        with self._store.transaction() as connection:
            self._roller.flush(connection, self._tags)
        self._is_rolling = True


async def finished(work: Callable[[], None]) -> None:
    """Run it in a thread to its end, also when cancelled: nobody else may use the connection before."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("archive.stopped_within", reason=str(error))
        raise


def merged(parts: Sequence[Taken]) -> Batch:
    """What several streams brought, as one commit."""
    batch = Batch()
    for part in parts:
        for table, rows in part.batch.rows.items():
            batch.rows.setdefault(table, []).extend(rows)
        batch.samples += part.batch.samples
        batch.positions |= part.batch.positions
    return batch
