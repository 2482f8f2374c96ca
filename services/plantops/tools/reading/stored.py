"""Events as they stand in a stream, read one by one: believed, or with the reason why not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeAlias

import msgspec

from plantops.events import event_type
from plantops.events.base import Record, from_nanoseconds
from plantops.events.envelope import EVENT_TYPE
from plantops.flow.bus import Bus, Stored
from plantops.flow.reading import UNUSABLE, header, read_event
from plantops.policy.in_force import InForce

Json: TypeAlias = Any
_PAGE: Final = 256
_PAGES: Final = 20


class EventRead(Record, frozen=True):
    """An event at its place in a stream. `body` is its JSON, None where `problem` says why it is not
    believed.

    `stored_at` is the broker's clock, `signer` who said it ("" where its type needs no signature).
    """

    sequence: int
    stored_at: datetime
    subject: str
    type: str
    signer: str = ""
    body: Json = None
    problem: str = ""


def read_stored(stored: Stored, in_force: InForce) -> EventRead:
    """The event in a stored message; what cannot be believed is told, not dropped."""
    place = partial(
        EventRead,
        sequence=stored.sequence,
        stored_at=from_nanoseconds(stored.time_ns),
        subject=stored.subject,
    )
    try:
        event, signer = read_event(stored, in_force)
        body = msgspec.json.decode(stored.data)
    except UNUSABLE as error:
        return place(type=header(stored, EVENT_TYPE)[:256], problem=str(error)[:512])
    return place(type=event_type(event), signer=signer, body=body)


async def newest(
    bus: Bus, stream: str, subject: str, *, before: int, limit: int, wanted: Callable[[Stored], bool]
) -> tuple[list[Stored], int]:
    """Up to `limit` wanted messages below sequence `before` (0: the end), the newest first, and the sequence
    below which nothing was looked at, 0 when that is the beginning.

    Looks at 5,120 sequences at most, so that a rare message does not make it read a whole stream.
    Raises: BrokerError.
    """
    state = await bus.state(stream)
    end = min(state.last, before - 1) if before else state.last
    lowest = max(state.first, 1)
    found: list[Stored] = []
    for _page in range(_PAGES):
        if end < lowest:
            break
        start = max(lowest, end - _PAGE + 1)
        page = await bus.history(stream, subject, start, end - start + 1)
        for stored in reversed(page):
            if stored.sequence <= end and wanted(stored):
                found.append(stored)
                if len(found) == limit:
                    return found, stored.sequence if stored.sequence > lowest else 0
        end = start - 1
    return found, end + 1 if end >= lowest else 0


def any_of_them(_stored: Stored) -> bool:
    """Wants every message."""
    return True
