"""A process's own audit chain: records go to AUDIT in the order they were given, or nobody acts.

Records that pile up while a batch is in flight go with the next one, a few of them one by one. The first
message of a batch expects the last sequence of the own subject, so two processes under one name cannot both
write: one is fenced. Where an answer was lost, the notary's word on the chain's head tells what is stored:
records are signed repeatably, so the same records upon the same head always end in the same hash.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import msgspec
import structlog

from plantops.events import Event, encode
from plantops.events.envelope import CONTENT_TYPE, JSON, Message
from plantops.events.queries import HeadTold, ProblemDetail, read_answer
from plantops.events.subjects import audit, audit_head
from plantops.flow.bus import FEW, Bus
from plantops.flow.journal import Journal, JournalEntry, Mark
from plantops.flow.signing import Signer
from plantops.ledger.record import BEGINNING, Head, WriterChain, seal_record
from plantops.runtime.errors import BrokerError, BrokerUnavailable, Conflict, Fenced, IntegrityError

MAX_BATCH = 256
MAX_BATCH_BYTES = 2 * 1024 * 1024
MAX_QUEUE = 50_000
RETRY_SECONDS = 0.5
HEAD_SECONDS = 2.0
_MAX_NAME = 256  # of kind and command, as `AuditRecord` has it

log = structlog.get_logger("plantops.audit")


@dataclass(slots=True, eq=False)
class _Waiting:
    entry: JournalEntry
    done: asyncio.Future[bool]  # True: AUDIT has it; False: `run` ended
    is_journaled: bool = False


@dataclass
class Auditor:
    """The audit of one process. `run` must be running for anything to get through.

    `journal` is the stand-in for safe-direction acts while AUDIT is away: fsynced, signed entries that
    are put into the chain as soon as AUDIT answers, also after a restart. `is_shared`: several processes
    write one chain under this name, each behind what the others wrote. Their bodies must differ; a record
    whose answer was lost as another wrote may stand twice. For those who read, never for those who act.
    """

    site: str
    bus: Bus
    signer: Signer
    journal: Journal
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    patience_seconds: float = 5.0
    retry_seconds: float = RETRY_SECONDS
    is_away: bool = False
    is_shared: bool = False
    _queue: deque[_Waiting] = field(default_factory=deque, repr=False)
    _more: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    _head: Head | None = field(default=None, repr=False)  # None: to be asked of the notary
    _stored: int = field(default=0, repr=False)  # AUDIT sequence of the last record known to be stored
    _has_written: bool = field(default=False, repr=False)
    # Where the chain would stand after the first n queued records, for all that was sent since `_head`.
    _flown: dict[Head, int] = field(default_factory=dict, repr=False)
    _flight: tuple[Sequence[_Waiting], Head] | None = field(default=None, repr=False)
    _marked: Mark | None = field(default=None, repr=False)
    _strangers: int = field(default=0, repr=False)
    _ended: Fenced | IntegrityError | None = field(default=None, repr=False)

    async def append(self, kind: str, body: Event | bytes, *, command: str = "") -> None:
        """Returns when AUDIT has the record on its disk.

        Raises: BrokerUnavailable after `patience_seconds`; the record stays in the queue and may still be
        stored, so a record that says "about to" never claims that it was done. Fenced and IntegrityError
        once `run` ended with it. ValueError when the body is not one JSON value.
        """
        if self._ended is not None:
            raise self._ended
        await self._wait(self._enqueue(kind, body, command), self.patience_seconds)

    async def store(self, kind: str, body: Event | bytes, *, command: str = "") -> None:
        """As `append`, but it waits for as long as AUDIT is away."""
        if self._ended is not None:
            raise self._ended
        await self._wait(self._enqueue(kind, body, command), None)

    def note(self, kind: str, body: Event | bytes, *, command: str = "") -> None:
        """Queue a record that nobody's act waits for; lost when the process dies before AUDIT has it.

        Raises: BrokerUnavailable when the queue is full; ValueError as `append`.
        """
        self._enqueue(kind, body, command)

    async def append_or_journal(
        self, kind: str, body: Event | bytes, *, command: str = "", patience_seconds: float = 0.1
    ) -> bool:
        """For acts in the safe direction: returns as soon as the record is on a disk, AUDIT's or our own.

        True when AUDIT has it, False when the journal stands in until AUDIT is back. Raises:
        IntegrityError when neither can be had; ValueError as `append`.
        """
        waiting = self._enqueue(kind, body, command, is_bounded=False)
        try:
            if self._ended is not None:
                raise self._ended
            await self._wait(waiting, patience_seconds)
        except (BrokerError, IntegrityError):
            self._keep(waiting)
            log.warning("audit.journaled", kind=kind, command=command)
            return False
        return True

    async def run(self) -> None:
        """Drain the queue until cancelled.

        Raises: Fenced when another process writes under this name or AUDIT lost records; IntegrityError
        when the journal is damaged. Nothing gets through afterwards.
        """
        try:
            await self._take_journal()
            while True:
                if not self._queue:
                    self._more.clear()
                    await self._more.wait()
                await self._reached(self._drain)
        except (Fenced, IntegrityError) as error:
            self._end(error)
            raise

    async def _take_journal(self) -> None:
        """Put what an earlier run journaled in front, in its order, but for what AUDIT has already."""
        contents = self.journal.read()
        if not contents.entries:
            return
        while not await self._reached(self._resume):
            continue
        head = self._head or BEGINNING
        done = contents.stored_at(head.sequence, head.previous)
        queued = {waiting.entry.id for waiting in self._queue}
        for entry in reversed(contents.entries):
            if entry.id not in done | queued:
                self._queue.appendleft(_Waiting(entry, _future(), is_journaled=True))
        if done:
            self.journal.settle(done)
            log.info("audit.reconciled", records=len(done))

    async def _reached(self, work: Callable[[], Coroutine[Any, Any, None]]) -> bool:
        """Whether AUDIT answered; a failure is told once, and waited after. Raises: Fenced."""
        try:
            await work()
        except Fenced:
            raise
        except BrokerError as error:
            if not self.is_away:
                log.warning("audit.away", writer=self.signer.name, reason=error.message)
            self.is_away, self._head = True, None
            await asyncio.sleep(self.retry_seconds)
            return False
        if self.is_away:
            log.info("audit.back", writer=self.signer.name)
        self.is_away = False
        return True

    def _enqueue(self, kind: str, body: Event | bytes, command: str, *, is_bounded: bool = True) -> _Waiting:
        data = body if isinstance(body, bytes) else encode(body)
        _check(kind, command, data)
        if is_bounded and len(self._queue) >= MAX_QUEUE:
            raise BrokerUnavailable(f"{MAX_QUEUE} audit records wait already: is AUDIT away?", stream="AUDIT")
        entry = JournalEntry(kind=kind, command=command, body=data.decode(), at=self.now())
        waiting = _Waiting(entry, _future())
        self._queue.append(waiting)
        self._more.set()
        return waiting

    async def _wait(self, waiting: _Waiting, patience_seconds: float | None) -> None:
        await asyncio.wait((waiting.done,), timeout=patience_seconds)
        if not waiting.done.done():
            raise BrokerUnavailable(
                f"the audit did not take a record of {self.signer.name!r} within {patience_seconds} s",
                stream="AUDIT",
            )
        if not waiting.done.result():
            assert self._ended is not None
            raise self._ended

    def _keep(self, waiting: _Waiting) -> None:
        self.journal.write(waiting.entry)
        waiting.is_journaled = True
        if self._flight is not None and waiting in self._flight[0]:
            self._mark([waiting], self._flight[1])

    def _mark(self, journaled: Sequence[_Waiting], end: Head) -> None:
        mark = Mark(tuple(waiting.entry.id for waiting in journaled), end.sequence, end.previous)
        if mark != self._marked:
            self.journal.mark(mark)
            self._marked = mark

    async def _drain(self) -> None:
        if self._head is None:
            await self._resume()
        batch, messages, end = self._seal(self._head or BEGINNING)
        if not batch:
            return
        journaled = [waiting for waiting in batch if waiting.is_journaled]
        if journaled:
            self._mark(journaled, end)
        self._flight = (batch, end)
        try:
            stored = await self.bus.publish_batch(messages, stream="AUDIT", expected_last=self._stored)
        except Conflict as conflict:
            before = self._stored
            await self._resume()
            if self._stored == before:
                raise BrokerUnavailable("the notary lags behind AUDIT", stream="AUDIT") from conflict
            return
        self._finish(len(batch), end, stored)

    def _seal(self, head: Head) -> tuple[list[_Waiting], list[Message], Head]:
        """The next records as messages, and where the chain stands behind them."""
        chain, size = WriterChain(self.site, self.signer.name, head), 0
        batch: list[_Waiting] = []
        messages: list[Message] = []
        subject = audit(self.site, self.signer.name)
        for waiting in islice(self._queue, 1 if len(self._queue) <= FEW else MAX_BATCH):
            entry = waiting.entry
            record = chain.next(entry.kind, entry.command, entry.body.encode(), entry.at)
            stored = seal_record(record, self.signer.key)
            size += len(stored)
            if batch and size > MAX_BATCH_BYTES:
                break
            chain = chain.after(stored)
            batch.append(waiting)
            messages.append(Message(subject, stored, {CONTENT_TYPE: JSON}))
            self._flown[chain.head()] = len(batch)
        return batch, messages, chain.head()

    def _finish(self, count: int, head: Head, stored: int) -> None:
        """AUDIT has the first `count` of the queue."""
        self._head, self._stored, self._has_written = head, stored, True
        self._flown.clear()
        self._flight, self._strangers = None, 0
        journaled: set[str] = set()
        for _ in range(count):
            waiting = self._queue.popleft()
            if not waiting.done.done():
                waiting.done.set_result(True)
            if waiting.is_journaled:
                journaled.add(waiting.entry.id)
        if journaled:
            self.journal.settle(journaled)
            self._marked = None
            log.info("audit.reconciled", records=len(journaled))

    async def _resume(self) -> None:
        """Go on behind the last record that AUDIT holds of this writer; the notary knows it.

        Raises: Fenced when somebody else has written after us; BrokerUnavailable.
        """
        told = await self._ask_head()
        head = Head(told.sequence, told.hash)
        if told.stored < self._stored:
            raise Fenced(
                f"AUDIT holds less of {self.signer.name!r} than it acknowledged "
                f"({told.stored} < {self._stored}): do not go on before it is examined",
                stream="AUDIT",
            )
        count = self._flown.get(head)
        if count is not None:
            self._finish(count, head, told.stored)
            return
        if told.stored != self._stored:
            self._meet_stranger()
            self._flown.clear()
        self._head, self._stored, self._flight = head, told.stored, None

    def _meet_stranger(self) -> None:
        """A predecessor's last batch may come late, but nobody else writes once we have written."""
        if self.is_shared:
            return
        self._strangers += 1 if self._flown else 0
        if self._has_written or self._strangers > 3:
            raise Fenced(
                f"another process writes the audit of {self.signer.name!r}: stop one of the two",
                stream="AUDIT",
                owned=audit(self.site, self.signer.name),
            )

    async def _ask_head(self) -> HeadTold:
        subject = audit_head(self.site, self.signer.name)
        reply = await self.bus.request(subject, b"", timeout=HEAD_SECONDS)
        try:
            told = read_answer(reply.data, HeadTold)
        except ValueError as error:
            raise BrokerUnavailable(f"the answer on {subject!r} cannot be read: {error}") from error
        if isinstance(told, ProblemDetail):
            raise BrokerUnavailable(f"the notary does not say where the chain stands: {told.message}")
        return told

    def _end(self, error: Fenced | IntegrityError) -> None:
        self._ended = error
        for waiting in self._queue:
            if not waiting.done.done():
                waiting.done.set_result(False)


def _future() -> asyncio.Future[bool]:
    return asyncio.get_running_loop().create_future()


def _check(kind: str, command: str, body: bytes) -> None:
    """What cannot become a record is refused here, before it stops those behind it in the queue."""
    if not 1 <= len(kind) <= _MAX_NAME or len(command) > _MAX_NAME:
        raise ValueError(f"kind {kind!r} or command {command!r} is too long for an audit record")
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"the body of a {kind!r} record is not one JSON value: {error}") from error


async def stop(task: asyncio.Task[None]) -> None:
    """End `Auditor.run` and wait for it."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
