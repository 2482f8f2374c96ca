"""Records of AUDIT into rows, each with the leaf hash of its exact bytes. Pure; whose signature it is, is not
asked here: `plantops audit verify` does that, and the tree tells what stood there when it was signed over."""

from __future__ import annotations

from typing import Final

from plantops.archive.batch import Row
from plantops.events.base import to_nanoseconds
from plantops.ledger.record import read_unverified
from plantops.ledger.tree import leaf_hash
from plantops.runtime.errors import MalformedEnvelope

_MOST: Final = 2**63 - 1


def audit_row(position: int, data: bytes) -> Row:
    """The row of table `audit` for the record at a leaf; bytes that are none keep their place and hash."""
    leaf = leaf_hash(data).hex()
    try:
        record = read_unverified(data)
        body = bytes(record.body).decode()
    except (MalformedEnvelope, UnicodeDecodeError):
        return (position, "", 0, None, "", "", "", leaf, "")
    if record.sequence > _MOST:
        return (position, "", 0, None, "", "", "", leaf, "")
    at = to_nanoseconds(record.at) // 1000
    said = (record.writer, record.sequence, at, record.kind, record.command, record.previous)
    return (position, *said, leaf, body)
