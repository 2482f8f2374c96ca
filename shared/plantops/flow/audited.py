"""Puts a process's own stored events into the audit: each at least once, none forgotten."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from plantops.events.envelope import EVENT_TYPE
from plantops.flow.bus import Reader, Stored
from plantops.flow.context import Context
from plantops.flow.declaration import consumer_name
from plantops.flow.processor import Reads
from plantops.flow.reading import header
from plantops.runtime.errors import BrokerUnavailable

FETCH: Final = 100
WAIT_SECONDS: Final = 5.0
_PAUSE_SECONDS: Final = 0.5

log = structlog.get_logger("plantops.audit")


async def audit_own_events(context: Context, reads: Reads) -> None:
    """Until cancelled. An event is acknowledged only after AUDIT has its record, whose body is the exact
    stored bytes; after a crash in between it stands there twice, which a reader sees by the equal body."""
    reader = await context.bus.reader(reads.stream, consumer_name(context.name, reads))
    while True:
        try:
            stored = await reader.fetch(FETCH, WAIT_SECONDS)
        except BrokerUnavailable:
            await asyncio.sleep(_PAUSE_SECONDS)
            continue
        await asyncio.gather(*(_record(context, reader, one) for one in stored))


async def _record(context: Context, reader: Reader, stored: Stored) -> None:
    assert context.auditor is not None
    kind = header(stored, EVENT_TYPE) or "event"
    command = stored.subject.rpartition(".")[2]
    try:
        await context.auditor.append(kind, stored.data, command=command)
        await reader.ack(stored)
    except BrokerUnavailable as error:
        # Not acknowledged: the broker delivers it again, and the record is made then.
        log.warning("audit.late", kind=kind, command=command, error=str(error))
