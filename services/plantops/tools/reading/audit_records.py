"""The newest records of the audit log, each believed by its signature, or with the reason why not."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import Meta

from plantops.events.base import Record, from_nanoseconds, is_token
from plantops.events.provenance import Provenance
from plantops.flow.bus import Stored
from plantops.ledger.finding import Finding
from plantops.ledger.record import AuditRecord, Trusted, believe
from plantops.policy.audit_keys import writers_of
from plantops.tools.contract import Arguments, Call, Page, Tool, ToolError
from plantops.tools.reading.cursors import number_of
from plantops.tools.reading.stored import newest

Json: TypeAlias = Any


class AuditRecords(Arguments, frozen=True):
    """Which records."""

    writer: Annotated[
        str, Meta(max_length=64, description="Of one process, such as gate; empty: of all.")
    ] = ""
    command: Annotated[
        str, Meta(max_length=64, description="About one command, by its identity; empty: about any.")
    ] = ""
    bodies: Annotated[bool, Meta(description="With the event that each record documents.")] = False


class RecordGiven(Record, frozen=True):
    """A record at leaf `index`. Where it cannot be believed, `problem` says why, and the rest is empty.

    `at` is the writer's clock, `stored_at` the broker's. `body` is the documented event, or its digest where
    it was too large.
    """

    index: int
    writer: str
    stored_at: datetime
    at: datetime | None = None
    kind: str = ""
    command: str = ""
    body: Json = None
    problem: str = ""


class RecordsGiven(Record, frozen=True):
    """The newest first; `total` counts all records of the log. Whether each follows the one before is what
    `plantops audit verify` looks at."""

    records: tuple[RecordGiven, ...]
    total: int


async def audit_records(call: Call, asked: AuditRecords) -> Page[RecordsGiven]:
    """A page of records; one that cannot be believed is about no command."""
    if asked.writer and not is_token(asked.writer):
        raise ToolError("bad_arguments", f"{asked.writer!r} names no writer")
    trusted = writers_of(call.verified.policy)
    shown: dict[int, RecordGiven] = {}

    def wanted(stored: Stored) -> bool:
        told = _told(call, stored, trusted, with_body=asked.bodies)
        if asked.command not in ("", told.command):
            return False
        shown[stored.sequence] = told
        return True

    subject = f"audit.{call.site}.{asked.writer}" if asked.writer else ">"
    state = await call.audit.state("AUDIT")
    found, lowest = await newest(
        call.audit, "AUDIT", subject, before=number_of(call.cursor), limit=call.rows, wanted=wanted
    )
    return Page(
        RecordsGiven(records=tuple(shown[stored.sequence] for stored in found), total=state.last),
        provenance=tuple(
            Provenance(
                channel="audit", name=str(stored.sequence - 1), stream="AUDIT", sequence=stored.sequence
            )
            for stored in found
        ),
        next=str(lowest) if lowest else "",
    )


def _told(call: Call, stored: Stored, trusted: Trusted, *, with_body: bool) -> RecordGiven:
    parts = stored.subject.split(".")
    writer = parts[2] if len(parts) == 3 and parts[:2] == ["audit", call.site] else ""
    index, stored_at = stored.sequence - 1, from_nanoseconds(stored.time_ns)
    believed = believe(index, writer, stored.data, trusted)
    if isinstance(believed, Finding):
        problem = f"{believed.kind}: {believed.detail}"[:512]
        return RecordGiven(index=index, writer=writer, stored_at=stored_at, problem=problem)
    return RecordGiven(
        index=index,
        writer=believed.writer,
        stored_at=stored_at,
        at=believed.at,
        kind=believed.kind,
        command=believed.command,
        body=_body(believed) if with_body else None,
    )


def _body(record: AuditRecord) -> Json:
    return msgspec.json.decode(record.body)


AUDIT_RECORDS: Final = Tool(
    name="audit-records",
    description="The newest records of the audit log, of one writer or about one command where asked.",
    risk="medium",
    arguments=AuditRecords,
    result=RecordsGiven,
    work=audit_records,
    items="records",
)
