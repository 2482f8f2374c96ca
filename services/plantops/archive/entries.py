"""Entries from stored messages, and to and from rows of the table `event`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from plantops.archive.batch import Row
from plantops.archive.entry import Entry, checked, micros
from plantops.archive.journal import derived
from plantops.archive.record_tables import EVENT
from plantops.events import AnyEvent, Event, EventUnreadable, check_known, decode, event_type
from plantops.events.envelope import CAUSATION, CORRELATION, DATA_SCHEMA, EVENT_ID, read_data_schema
from plantops.flow.bus import Stored
from plantops.flow.reading import header


def entry_of(stored: Stored, event: Event, signer: str) -> Entry:
    """The entry of a message that `read_event` has read. Raises: EventUnreadable when payload or headers are
    no text."""
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
        id=_told(stored, EVENT_ID) or f"{stored.stream}.{stored.sequence}",
        signer=signer,
        causation=_told(stored, CAUSATION),
        correlation=_told(stored, CORRELATION),
        command=_command(event),
        body=body,
        event=event,
    )


def entry_rows(entry: Entry) -> list[tuple[str, Row]]:
    """Table and row: the one of `event`, then all that follow from it.

    Raises: EventUnreadable when a number fits no column: JSON knows no bound, and one event must not stop a
    whole batch.
    """
    return [(EVENT.name, entry_row(entry)), *derived(entry)]


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


def _told(stored: Stored, name: str) -> str:
    text: object = header(stored, name)  # the client's parser gives other objects for what is no ASCII
    if isinstance(text, str) and text.isascii():
        return text
    raise EventUnreadable(f"the header {name} is no plain text: {text!r}")


def _command(event: Event) -> str:
    command = getattr(event, "command", "")
    return command if isinstance(command, str) else ""


def _integer(value: object) -> int:
    if isinstance(value, datetime):
        return micros(value)
    if isinstance(value, int):
        return value
    raise EventUnreadable(f"{value!r} is no integer")


__all__ = ["Entry", "entry_from_row", "entry_of", "entry_row", "entry_rows"]
