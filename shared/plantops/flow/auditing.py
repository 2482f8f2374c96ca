"""A process's own audit chain: records go to AUDIT in the order they were given, or nobody acts.

Records that pile up while a batch is in flight go with the next one. The first message of a batch expects
the last sequence of the own subject, so two processes under one name cannot both write: one is fenced.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from plantops.events import Event, encode
from plantops.events.envelope import CONTENT_TYPE, JSON, Message
from plantops.events.queries import HeadTold, ProblemDetail, read_answer
from plantops.events.subjects import audit, audit_head
from plantops.flow.bus import Bus
from plantops.flow.journal import Journal, JournalEntry
from plantops.flow.signing import Signer
from plantops.ledger.record import Head, WriterChain, seal_record
from plantops.runtime.errors import BrokerError, BrokerUnavailable, Conflict, Fenced

MAX_BATCH = 100
MAX_BATCH_BYTES = 2 * 1024 * 1024
RETRY_SECONDS = 0.5

log = structlog.get_logger("plantops.audit")


@dataclass(slots=True)
class _Waiting:
    entry: JournalEntry
    done: asyncio.Future[None]
    is_journaled: bool = False


@dataclass
class Auditor:
    """The audit of one process. `run` must be running for anything to get through.

    `journal` is the stand-in for safe-direction acts while AUDIT is away: fsynced, signed entries that
    are put into the chain as soon as AUDIT answers, also after a restart.
    """

    site: str
    bus: Bus
    signer: Signer
    journal: Journal
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    patience_seconds: float = 5.0
    _queue: deque[_Waiting] = field(default_factory=deque, repr=False)
    _more: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    _chain: WriterChain | None = field(default=None, repr=False)
    _stored: int = field(default=0, repr=False)
    _flying: tuple[WriterChain, list[_Waiting]] | None = field(default=None, repr=False)
    _strangers: int = field(default=0, repr=False)

    async def append(self, kind: str, body: Event | bytes, *, command: str = "") -> None:
        """Returns when AUDIT has the record on its disk.

        Raises: BrokerUnavailable after `patience_seconds`; the record stays in the queue and may still be
        stored, so a record that says "about to" never claims that it was done.
        """
        waiting = self._enqueue(kind, body, command)
        await self._wait(waiting, self.patience_seconds)

    async def append_or_journal(
        self, kind: str, body: Event | bytes, *, command: str = "", patience_seconds: float = 0.1
    ) -> bool:
        """For acts in the safe direction: returns as soon as the record is on a disk, AUDIT's or our own.

        True when AUDIT has it, False when the journal stands in until AUDIT is back.
        """
        waiting = self._enqueue(kind, body, command)
        try:
            await self._wait(waiting, patience_seconds)
        except BrokerUnavailable:
            self.journal.write(waiting.entry)
            waiting.is_journaled = True
            log.warning("audit.journaled", kind=kind, command=command)
            return False
        return True

    def note(self, kind: str, body: Event | bytes, *, command: str = "") -> None:
        """For what is told afterwards and nobody waits for, such as a refusal at the door."""
        self._enqueue(kind, body, command)

    async def run(self) -> None:
        """Drain the queue until cancelled. Raises: Fenced when another process writes under this name."""
        for entry in self.journal.pending():
            self._queue.appendleft(_Waiting(entry, asyncio.get_running_loop().create_future(), True))
        is_away = False
        while True:
            if not self._queue:
                self._more.clear()
                await self._more.wait()
            try:
                await self._drain()
                is_away = False
            except BrokerError as error:
                if isinstance(error, Fenced):
                    raise
                if not is_away:
                    log.warning("audit.away", writer=self.signer.name, error=str(error))
                is_away, self._chain = True, None
                await asyncio.sleep(RETRY_SECONDS)

    def _enqueue(self, kind: str, body: Event | bytes, command: str) -> _Waiting:
        data = body if isinstance(body, bytes) else encode(body)
        entry = JournalEntry(kind=kind, command=command, body=data.decode(), at=self.now())
        waiting = _Waiting(entry, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._more.set()
        return waiting

    async def _wait(self, waiting: _Waiting, patience_seconds: float) -> None:
        try:
            await asyncio.wait_for(asyncio.shield(waiting.done), patience_seconds)
        except TimeoutError as error:
            raise BrokerUnavailable(
                f"the audit did not take a record of {self.signer.name!r} within {patience_seconds} s",
                stream="AUDIT",
            ) from error

    async def _drain(self) -> None:
        if self._chain is None:
            await self._resume()
        assert self._chain is not None
        chain, size = self._chain, 0
        batch: list[_Waiting] = []
        messages: list[Message] = []
        subject = audit(self.site, self.signer.name)
        for waiting in list(self._queue)[:MAX_BATCH]:
            entry = waiting.entry
            record = chain.next(entry.kind, entry.command, entry.body.encode(), entry.at)
            stored = seal_record(record, self.signer.key)
            size += len(stored)
            if batch and size > MAX_BATCH_BYTES:
                break
            chain = chain.after(stored)
            batch.append(waiting)
            messages.append(Message(subject, stored, {CONTENT_TYPE: JSON}))
        self._flying = (chain, batch)
        try:
            self._stored = await self.bus.publish_batch(messages, stream="AUDIT", expected_last=self._stored)
        except Conflict as error:
            await self._explain(error)
            return
        self._chain = chain
        self._finish(batch)

    def _finish(self, batch: list[_Waiting]) -> None:
        self._flying, self._strangers = None, 0
        for waiting in batch:
            self._queue.remove(waiting)
            if not waiting.done.done():
                waiting.done.set_result(None)
        journaled = [waiting.entry for waiting in batch if waiting.is_journaled]
        if journaled:
            self.journal.settle(journaled)
            log.info("audit.reconciled", records=len(journaled))

    async def _resume(self) -> None:
        """Go on behind the last record that AUDIT holds of this writer; the notary knows it.

        A batch whose acknowledgement was lost is recognised by the hash of its last record.
        """
        reply = await self.bus.request(audit_head(self.site, self.signer.name), b"", timeout=2.0)
        head = read_answer(reply.data, HeadTold)
        if isinstance(head, ProblemDetail):
            raise BrokerUnavailable(f"the notary does not know where the chain stands: {head.message}")
        if head.stored < self._stored:
            raise Fenced(
                f"AUDIT holds less of {self.signer.name!r} than it acknowledged "
                f"({head.stored} < {self._stored}): do not go on before it is examined",
                stream="AUDIT",
            )
        self._chain = WriterChain(self.site, self.signer.name, Head(head.sequence, head.hash))
        self._stored = head.stored
        if self._flying and self._flying[0].head() == self._chain.head():
            self._finish(self._flying[1])

    async def _explain(self, conflict: Conflict) -> None:
        """Our own batch whose acknowledgement was lost is no other writer; anybody else is."""
        before = self._stored
        await self._resume()
        if self._flying is None:
            return
        self._strangers += 1
        if self._stored == before:
            raise BrokerUnavailable("the notary lags behind AUDIT", stream="AUDIT") from conflict
        if self._strangers > 3:
            raise Fenced(
                f"another process writes the audit of {self.signer.name!r}: stop one of the two",
                stream="AUDIT",
            ) from conflict


async def stop(task: asyncio.Task[None]) -> None:
    """End `Auditor.run` and wait for it."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
