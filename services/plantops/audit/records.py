"""Looking at the newest audit records, each verified by itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from plantops.audit.signatures import writer_on
from plantops.events.base import from_nanoseconds
from plantops.flow.bus import Bus, Stored
from plantops.ledger.finding import Finding
from plantops.ledger.record import AuditRecord, Trusted, believe

_PAGE: Final = 1024


@dataclass(frozen=True, slots=True)
class ShownRecord:
    """A record of AUDIT at leaf `index`, stored at `stored_at` by the broker's clock.

    `writer` is the one whom the subject names. Either `record` is there, or `finding` says why it cannot
    be believed; whether it follows the one before is for `verify`.
    """

    index: int
    writer: str
    stored_at: datetime
    record: AuditRecord | None
    finding: Finding | None


async def read_records(
    bus: Bus, *, site: str, trusted: Trusted, last: int = 50, writer: str = "", command: str = ""
) -> list[ShownRecord]:
    """Up to `last` newest records, oldest first; only those of a writer or about a command where given.

    A record that cannot be believed is about no command. Raises: BrokerError.
    """
    state = await bus.state("AUDIT")
    end, found = state.last, list[ShownRecord]()
    subject = f"audit.{site}.{writer}" if writer else ">"
    while end >= state.first and len(found) < last:
        start = max(state.first, end - _PAGE + 1)
        page = await bus.history("AUDIT", subject, start, end - start + 1)
        for stored in reversed(page):
            shown = _shown(stored, site, trusted)
            is_asked = not command or (shown.record is not None and shown.record.command == command)
            if stored.sequence <= end and is_asked and len(found) < last:
                found.append(shown)
        end = start - 1
    return found[::-1]


def _shown(stored: Stored, site: str, trusted: Trusted) -> ShownRecord:
    writer = writer_on(stored.subject, site)
    believed = believe(stored.sequence - 1, writer, stored.data, trusted)
    record, finding = (None, believed) if isinstance(believed, Finding) else (believed, None)
    return ShownRecord(stored.sequence - 1, writer, from_nanoseconds(stored.time_ns), record, finding)
