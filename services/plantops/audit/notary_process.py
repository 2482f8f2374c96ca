"""The notary at work: follows AUDIT, signs checkpoints, tells writers where their chain stands.

Safety comes from compare-and-set on the checkpoint's subject, not from being alone: a second notary gets a
conflict, reads what the first one signed and checks it against the records that it read itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from plantops.audit.memory import NotaryMemory
from plantops.audit.notary import LogDamaged, Notary
from plantops.audit.quota import Quota
from plantops.audit.signatures import Believer, writer_on
from plantops.events.base import Event, encode_json
from plantops.events.envelope import Message
from plantops.events.operations import CheckpointRefused, CheckpointSigned
from plantops.events.queries import problem
from plantops.events.subjects import checkpoint as checkpoint_subject
from plantops.flow.bus import Stored, StreamState
from plantops.flow.checkpoints import (
    STREAM,
    Noted,
    key_name,
    last_noted,
    new_origin,
    trusted_checkpoint,
)
from plantops.flow.context import Context
from plantops.ledger import checkpoint
from plantops.ledger.checkpoint import Checkpoint
from plantops.ledger.finding import Finding, FindingKind
from plantops.ledger.keys import VerifyKey
from plantops.policy.audit_keys import notary_keys, writers_of
from plantops.runtime.errors import BrokerError, Conflict, IntegrityError, StreamMissing

POLL_SECONDS: Final = 0.2
READ_RECORDS: Final = 4096
SNAPSHOT_RECORDS: Final = 20_000
_TOLD: Final = 20  # findings that are logged one by one per read, so that a flood stays readable

log = structlog.get_logger("plantops.notary")


@dataclass
class NotaryProcess:
    """`run` until cancelled. `refusal` says why nothing is signed any more, "" while all is well.

    A damaged log does not end the process: it goes on refusing, loudly, and gives no writer its head, so
    that nobody starts anew upon a log that cannot be trusted. A restart looks again.
    """

    context: Context
    poll_seconds: float = POLL_SECONDS
    refusal: str = ""
    notary: Notary | None = None
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)
    _created: str = field(default="", repr=False)
    _last: int = field(default=0, repr=False)  # sequence of the last message on the checkpoint's subject
    _is_known: bool = field(default=False, repr=False)  # whether `_last` is
    _signed_at: float = field(default=0.0, repr=False)
    _saved_size: int = field(default=0, repr=False)
    _waits: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        self._memory = NotaryMemory(self.context)
        self._believer = Believer(self.context.site)
        self._quota = Quota()
        self._now: Callable[[], float] = asyncio.get_running_loop().time

    async def run(self) -> None:
        """Until cancelled. Raises: BrokerError when a right is missing."""
        service = await self.context.bus.serve(f"head.{self.context.site}.*", self.head)
        try:
            while True:
                await self.step()
                await asyncio.sleep(self.poll_seconds)
        finally:
            await service.stop()
            self._believer.close()

    async def step(self) -> None:
        """Start if need be, read what is new, sign what is due. A broker that is away is waited for."""
        async with self._lock:
            try:
                await self._work()
            except LogDamaged as damage:
                await self._refuse(damage)
            except IntegrityError as error:
                await self._refuse(
                    LogDamaged(Finding(FindingKind.CHECKPOINT_INVALID, None, "", error.message))
                )
            except BrokerError as error:
                if not error.retryable and not isinstance(error, StreamMissing | Conflict):
                    raise
                self._is_known = False
                self._wait_for(error.message)

    async def head(self, message: Message) -> bytes:
        """Answer `head.<site>.<writer>` exactly: after reading all that AUDIT holds at this moment."""
        writer = message.subject.rpartition(".")[2]
        await self.step()
        async with self._lock:
            notary = self.notary
            if self.refusal:
                return problem("log_damaged", f"the audit log is damaged: {self.refusal}")
            if notary is None or not self._is_known:
                return problem("not_ready", "the notary has not read the audit log yet: ask again")
            told = notary.head(writer)
            if told.stored and writer not in notary.trusted:
                return problem(
                    "not_trusted", f"the policy names no process {writer!r}, so its chain is unknown"
                )
            return encode_json(told)

    async def _work(self) -> None:
        if self.refusal:
            return
        if self.notary is None:
            await self._start()
        notary = self.notary
        if notary is None:
            return
        self._follow_policy(notary)
        if not self._is_known:
            await self._agree(notary, await last_noted(self.context.bus, self.context.site))
        await self._read(notary, (await self._state(notary)).last, sign=True)
        if notary.is_due(self._now() - self._signed_at):
            await self._sign(notary)
        if self._waits:
            self._waits = False
            log.info("notary.goes_on", size=notary.size)

    def _wait_for(self, reason: str) -> None:
        """Say it once; the next success says that it is over."""
        if not self._waits:
            log.warning("notary.waiting", reason=reason)
        self._waits = True

    async def _start(self) -> None:
        """Restore, then check everything that was ever signed and remembered against the records."""
        verified = self.context.in_force.verified
        if verified is None:
            self._wait_for("no verified policy says who may write")
            return
        notary = await self._memory.restore(writers_of(verified.policy))
        self._created = self._memory.created
        noted = await last_noted(self.context.bus, self.context.site)
        last = trusted_checkpoint(noted, self.context.site, self._keys())
        marks = self._memory.marks(last, notary.size)
        notary.watch(mark.size for mark in marks)
        restored, state = notary.size, await self._state(notary)
        await self._read(notary, min(state.last, max((mark.size for mark in marks), default=0)))
        for mark in marks:
            notary.agree(mark)
        self._last, self._is_known = noted.sequence, True
        self._saved_size = restored
        self.notary = notary
        self.context.ready()
        log.info("notary.started", size=notary.size, origin=notary.origin, findings=notary.findings)

    async def _state(self, notary: Notary) -> StreamState:
        try:
            state = await self.context.bus.state("AUDIT")
        except StreamMissing as error:
            if not notary.size:
                raise
            detail = f"AUDIT is gone; it held {notary.size} records"
            raise LogDamaged(Finding(FindingKind.SHRUNK, 0, "", detail)) from error
        if self._created and state.created != self._created:
            detail = f"AUDIT was deleted and created again at {state.created}"
            raise LogDamaged(Finding(FindingKind.OTHER_LOG, None, "", detail))
        self._created = state.created
        notary.check_extent(state.first, state.last)
        return state

    async def _read(self, notary: Notary, last: int, *, sign: bool = False) -> None:
        """Cover the records up to sequence `last`; with `sign` a backlog is signed in parts."""
        while notary.size < last:
            limit = min(READ_RECORDS, last - notary.size)
            records = await self.context.bus.history("AUDIT", ">", notary.size + 1, limit)
            if not records:
                detail = f"records {notary.size} to {last - 1} of AUDIT are gone"
                raise LogDamaged(Finding(FindingKind.STREAM_GAP, notary.size, "", detail))
            found = notary.take(records, await self._believer.believe(records, notary.trusted))
            self._count(records)
            for finding in found[:_TOLD]:
                log.error("notary.bad_record", kind=finding.kind, index=finding.index, detail=finding.detail)
            if len(found) > _TOLD:
                log.error("notary.bad_records", more=len(found) - _TOLD)
            if sign and notary.size < last and notary.is_due(0):
                await self._sign(notary)

    def _count(self, records: Sequence[Stored]) -> None:
        for stored in records:
            writer = writer_on(stored.subject, self.context.site)
            if self._quota.take(writer, stored.time_ns):
                limit = self._quota.records_per_second
                log.warning("notary.over_quota", writer=writer, sequence=stored.sequence, per_second=limit)

    async def _sign(self, notary: Notary) -> None:
        proposed = notary.propose(new_origin(self.context.site))
        signed = checkpoint.sign(proposed, self.context.signer.key, name=key_name(self.context.site))
        event = CheckpointSigned(
            site=self.context.site,
            size=proposed.size,
            root=proposed.root.hex(),
            note=signed.decode(),
            findings=notary.findings,
        )
        try:
            self._last = await self._publish(event, f"checkpoint.{proposed.size}.{proposed.root.hex()}")
        except Conflict:
            await self._agree(notary, await last_noted(self.context.bus, self.context.site))
            return
        self._accept(notary, proposed)
        if notary.size - self._saved_size >= SNAPSHOT_RECORDS or not self._saved_size:
            await self.save()

    async def _agree(self, notary: Notary, noted: Noted) -> None:
        """Another notary signed, or it is not known whether we did."""
        found = trusted_checkpoint(noted, self.context.site, self._keys())
        if found is None:
            if notary.agreed is not None:
                detail = f"CHECKPOINTS lost the checkpoint over {notary.agreed.size} records"
                raise LogDamaged(Finding(FindingKind.CHECKPOINT_MISSING, None, "", detail))
        else:
            if found.size > notary.size:
                await self._read(notary, (await self._state(notary)).last)
            self._accept(notary, found)
        self._last, self._is_known = noted.sequence, True

    def _accept(self, notary: Notary, found: Checkpoint) -> None:
        notary.agree(found)
        self._signed_at = self._now()
        self._memory.remember(found)

    async def save(self) -> None:
        """Write a snapshot, if the last checkpoint covers everything and nobody took the bucket over."""
        notary = self.notary
        if notary is not None and notary.agreed is not None and notary.agreed.size == notary.size:
            await self._memory.save(notary, self._created)
            self._saved_size = notary.size

    async def _publish(self, event: Event, message_id: str) -> int:
        subject = checkpoint_subject(self.context.site)
        message = self.context.signer.message(subject, event, id=message_id, time=self.context.now())
        return await self.context.bus.publish(message, stream=STREAM, expected_last=self._last)

    async def _refuse(self, damage: LogDamaged) -> None:
        """Say it once in the log and once on the stream, and sign nothing more."""
        finding = damage.finding
        self.refusal = finding.detail
        log.error("notary.refuses", kind=finding.kind, index=finding.index, detail=damage.message)
        try:
            noted = await last_noted(self.context.bus, self.context.site)
            if noted.refused is not None and noted.refused.detail == finding.detail:
                return
            self._last = noted.sequence
            event = CheckpointRefused(
                site=self.context.site,
                kind=finding.kind,
                detail=finding.detail,
                index=finding.index,
                note=noted.note.decode(),
            )
            await self._publish(event, f"refused.{noted.sequence}")
        except (BrokerError, IntegrityError) as error:
            log.warning("notary.refusal_not_stored", reason=error.message)

    def _follow_policy(self, notary: Notary) -> None:
        verified = self.context.in_force.verified
        if verified is not None and (writers := writers_of(verified.policy)) != notary.trusted:
            notary.trust(writers)
            log.info("notary.writers", revision=verified.policy.revision, writers=len(writers))

    def _keys(self) -> tuple[VerifyKey, ...]:
        verified = self.context.in_force.verified
        keys = notary_keys(verified.policy) if verified else ()
        return tuple(dict.fromkeys((self.context.signer.key.public, *keys)))


async def run_notary(context: Context) -> None:
    """Until cancelled. Raises: BrokerError when a right is missing."""
    process = NotaryProcess(context)
    try:
        await process.run()
    finally:
        log.info("notary.stopped", size=process.notary.size if process.notary else 0)
