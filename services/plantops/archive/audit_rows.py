"""Records of AUDIT into rows, each with the leaf hash of its exact bytes. Pure; whose signature it is, is not
asked here: `plantops audit verify` does that, and the tree tells what stood there when it was signed over."""

from __future__ import annotations

from plantops.archive.batch import Row
from plantops.archive.entry import checked
from plantops.archive.record_tables import AUDIT
from plantops.events import EventUnreadable
from plantops.events.base import to_nanoseconds
from plantops.ledger.record import read_unverified
from plantops.ledger.tree import leaf_hash
from plantops.runtime.errors import MalformedEnvelope


def audit_row(position: int, data: bytes) -> Row:
    """The row of table `audit` for the record at a leaf; bytes that are none keep their place and hash."""
    leaf = leaf_hash(data).hex()
    try:
        record = read_unverified(data)
        return checked(
            AUDIT,
            (
                position,
                record.writer,
                record.sequence,
                to_nanoseconds(record.at) // 1000,
                record.kind,
                record.command,
                record.previous,
                leaf,
                bytes(record.body).decode(),
            ),
        )
    except (MalformedEnvelope, EventUnreadable, UnicodeDecodeError):
        return (position, "", 0, None, "", "", "", leaf, "")
