"""An event with its place in the log: what the table `event` keeps, and derived tables follow from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from plantops.archive.batch import Row
from plantops.archive.record_tables import EVENT
from plantops.archive.table import SqlType, Table
from plantops.events import AnyEvent, Event, EventUnreadable, check_known, decode, event_type
from plantops.events.base import to_nanoseconds
from plantops.events.envelope import CAUSATION, CORRELATION, DATA_SCHEMA, EVENT_ID, read_data_schema
from plantops.flow.bus import Stored
from plantops.flow.reading import header


@dataclass(frozen=True, slots=True)
class Entry:
    """`stored_at` counts microseconds since 1970; `body` is the exact JSON text that `event` came from.

    `signer` is whose signature was verified, `causation` and `correlation` are what unsigned headers say.
    """

    stream: str
    sequence: int
    stored_at: int
    subject: str
    type: str
    version: int
    id: str
    signer: str
    causation: str
    correlation: str
    command: str
    body: str
    event: Event


def entry_of(stored: Stored, event: Event, signer: str) -> Entry:
    """The entry of a message that `read_event` has read. Raises: EventUnreadable for what is no text."""
    schema = header(stored, DATA_SCHEMA)
    try:
        body = stored.data.decode()
    except UnicodeDecodeError as error:
        raise EventUnreadable(f"the payload is no UTF-8 text: {error}") from error
    return Entry(
        stream=stored.stream,
        sequence=stored.sequence,
        stored_at=stored.time_ns // 1000,
        subject=stored.subject,
        type=event_type(event),
        version=read_data_schema(schema)[1] if schema else event.version,
        id=header(stored, EVENT_ID) or f"{stored.stream}.{stored.sequence}",
        signer=signer,
        causation=header(stored, CAUSATION),
        correlation=header(stored, CORRELATION),
        command=_command(event),
        body=body,
        event=event,
    )


def entry_row(entry: Entry) -> Row:
    """The row of table `event`. Raises: EventUnreadable when a number fits no column."""
    return checked(
        EVENT,
        (
            entry.stream,
            entry.sequence,
            entry.stored_at,
            entry.subject,
            entry.type,
            entry.version,
            entry.id,
            entry.signer,
            entry.causation,
            entry.correlation,
            entry.command,
            entry.body,
        ),
    )


def entry_from_row(row: Sequence[object]) -> Entry:
    """The entry behind a row of table `event`, for rebuilding; the signer is believed as it stands there.

    `stored_at` is microseconds, or a time as DuckDB and Arrow give it (UTC).
    Raises: TypeUnknown, VersionUnknown, EventUnreadable when the body is no event of its type.
    """
    facts = dict(zip(EVENT.names, row, strict=True))
    kind, version, body = str(facts["type"]), _integer(facts["version"]), str(facts["body"])
    check_known(kind, version)
    event: AnyEvent = decode(body.encode())
    if event_type(event) != kind:
        raise EventUnreadable(f"the row says {kind!r}, its body is {event_type(event)!r}")
    return Entry(
        stream=str(facts["stream"]),
        sequence=_integer(facts["sequence"]),
        stored_at=_integer(facts["stored_at"]),
        subject=str(facts["subject"]),
        type=kind,
        version=version,
        id=str(facts["id"]),
        signer=str(facts["signer"]),
        causation=str(facts["causation"]),
        correlation=str(facts["correlation"]),
        command=str(facts["command"]),
        body=body,
        event=event,
    )


def micros(moment: datetime) -> int:
    """Microseconds since 1970. A time on the wire that names no zone is UTC, as all times there are."""
    return to_nanoseconds(moment if moment.tzinfo else moment.replace(tzinfo=UTC)) // 1000


_BOUNDS: Final[dict[SqlType, tuple[int, int]]] = {
    "BIGINT": (-(2**63), 2**63 - 1),
    "INTEGER": (-(2**31), 2**31 - 1),
    "TIMESTAMP": (-(2**63), 2**63 - 1),
    "USMALLINT": (0, 2**16 - 1),
    "UTINYINT": (0, 2**8 - 1),
}


def checked(table: Table, row: Row) -> Row:
    """`row`, whose integers fit their columns: JSON knows no bound, and one number must not stop a batch.

    Raises: EventUnreadable naming the column.
    """
    for column, value in zip(table.columns, row, strict=True):
        bounds = _BOUNDS.get(column.type)
        if bounds and isinstance(value, int) and not bounds[0] <= value <= bounds[1]:
            raise EventUnreadable(
                f"{table.name}.{column.name} is {value}: it must be {bounds[0]} to {bounds[1]}"
            )
    return row


def _command(event: Event) -> str:
    command = getattr(event, "command", "")
    return command if isinstance(command, str) else ""


def _integer(value: object) -> int:
    if isinstance(value, datetime):
        return micros(value)
    if isinstance(value, int):
        return value
    raise EventUnreadable(f"{value!r} is no integer")
