"""Puts a process's own stored events into the audit: each at least once, none forgotten."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Final

import structlog

from plantops.events import event_type
from plantops.events.base import Digest, Record, encode_json
from plantops.flow.bus import Stored
from plantops.flow.context import Context
from plantops.flow.declaration import consumer_name
from plantops.flow.processor import Reads
from plantops.flow.reading import UNUSABLE, read_event
from plantops.flow.worker import run_worker
from plantops.runtime.errors import Fenced, IntegrityError, UntrustedKey

UNUSABLE_KIND: Final = "event.unusable"
_CONCURRENCY: Final = 256
_MAX_REASON: Final = 1024

log = structlog.get_logger("plantops.audit")


class UnusableEvent(Record, frozen=True):
    """Audit body of a message on our own subject that is no event of ours."""

    stream: str
    sequence: int
    digest: Digest
    reason: str


async def keep_auditing(context: Context, reads: Reads | None = None) -> None:
    """Run the process's auditor, and put its own events into the audit where `reads` names them.

    Until cancelled. When the audit has ended for good (another process under this name, a damaged journal, a
    log that lost records), this says so and the process lives on: whoever must have a record before he acts
    is refused from then on, and a stop is still possible. A restart looks again.
    """
    if context.auditor is None:
        raise ValueError(f"{context.name!r} has no auditor: declare it with audits=True")
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(context.auditor.run())
            if reads is not None:
                group.create_task(audit_own_events(context, reads))
    except* (Fenced, IntegrityError) as ended:
        for error in ended.exceptions:
            log.error("audit.ended", writer=context.name, reason=str(error))  # noqa: TRY400
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError  # the group keeps a cancellation to itself that comes as it fails
    await asyncio.Event().wait()


async def audit_own_events(context: Context, reads: Reads) -> None:
    """Until cancelled. `reads` is an effect consumer of the process's own subjects.

    An event is acknowledged only after AUDIT has its record, whose body is the exact stored bytes and whose
    command the last token of the subject; records are in the order of the stream. After a crash in between
    an event may be recorded twice, which a reader sees by the equal body. What is no event that this process
    signed becomes an `event.unusable` record. Raises: as `Auditor.store`.
    """
    auditor = context.auditor
    if auditor is None:
        raise ValueError(f"{context.name!r} has no auditor: declare it with audits=True")

    async def record(stored: Stored) -> None:
        command = stored.subject.rpartition(".")[2]
        kind, body = _record_of(context, stored)
        await auditor.store(kind, body, command=command)

    reader = await context.bus.reader(reads.stream, consumer_name(context.name, reads))
    await run_worker(reader, record, concurrency=_CONCURRENCY)


def _record_of(context: Context, stored: Stored) -> tuple[str, bytes]:
    try:
        event, signer = read_event(stored, context.in_force)
        if signer != context.name:
            raise UntrustedKey(f"it is said by {signer!r}, not by {context.name!r}")
    except UNUSABLE as error:
        log.warning(
            "audit.unusable_event", subject=stored.subject, sequence=stored.sequence, reason=str(error)
        )
        unusable = UnusableEvent(
            stream=stored.stream,
            sequence=stored.sequence,
            digest=Digest(hashlib.sha256(stored.data).hexdigest()),
            reason=str(error)[:_MAX_REASON],
        )
        return UNUSABLE_KIND, encode_json(unusable)
    return event_type(event), stored.data
