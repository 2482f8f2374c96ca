"""An event with its place in the log: what the table `event` keeps, and derived tables follow from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from plantops.archive.batch import Row
from plantops.archive.table import SqlType, Table
from plantops.events import Event, EventUnreadable
from plantops.events.base import to_nanoseconds


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
