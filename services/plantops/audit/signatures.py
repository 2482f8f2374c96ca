"""Checking many signatures at once: the expensive part of reading the log, and the one without an order."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeAlias

from plantops.flow.bus import Stored
from plantops.ledger.finding import Finding
from plantops.ledger.record import AuditRecord, Trusted, believe

Believed: TypeAlias = AuditRecord | Finding
_SLICE: Final = 64
_THREADS: Final = max(2, min(8, os.cpu_count() or 1))


def writer_on(subject: str, site: str) -> str:
    """The writer whom a subject of AUDIT names, "" for a subject of another site."""
    parts = subject.split(".")
    return parts[2] if len(parts) == 3 and parts[:2] == ["audit", site] else ""


class Believer:
    """Threads that check signatures: libsodium lets go of the interpreter. Close it when done."""

    def __init__(self, site: str) -> None:
        self._site = site
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="signatures")

    async def believe(self, records: Sequence[Stored], trusted: Trusted) -> list[Believed]:
        """What each record is, in the same order."""
        if len(records) <= 4:
            return self._slice(records, trusted)
        loop = asyncio.get_running_loop()
        slices = [records[at : at + _SLICE] for at in range(0, len(records), _SLICE)]
        work = [loop.run_in_executor(self._threads, self._slice, part, trusted) for part in slices]
        return [one for part in await asyncio.gather(*work) for one in part]

    def close(self) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _slice(self, records: Sequence[Stored], trusted: Trusted) -> list[Believed]:
        return [
            believe(stored.sequence - 1, writer_on(stored.subject, self._site), stored.data, trusted)
            for stored in records
        ]
