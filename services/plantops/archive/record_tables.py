"""The record itself: events as stored, what could not be read or was missing, audit and checkpoints."""

from __future__ import annotations

from typing import Final

from plantops.archive.table import SEQUENCE, STORED, Column, Table, needs

EVENT: Final = Table(
    "event",
    "Every event but frames and audit records, as it was stored.",
    (
        needs("stream", "VARCHAR"),
        SEQUENCE,
        STORED,
        needs("subject", "VARCHAR"),
        needs("type", "VARCHAR"),
        needs("version", "USMALLINT"),
        needs("id", "VARCHAR", "ce-id, or stream and sequence where it has none"),
        needs("signer", "VARCHAR", "whose signature was verified; empty where the type needs none"),
        needs("causation", "VARCHAR", "id of the event that caused it"),
        needs("correlation", "VARCHAR"),
        needs("command", "VARCHAR", "the command's identity; empty where it is about none"),
        needs("body", "VARCHAR", "the exact JSON"),
    ),
    key=("stream", "sequence"),
    time="stored_at",
)

UNREAD: Final = Table(
    "unread",
    "Messages that could not be used, whole: an unknown type or version, a bad signature, damaged bytes.",
    (
        needs("stream", "VARCHAR"),
        SEQUENCE,
        STORED,
        needs("subject", "VARCHAR"),
        needs("type", "VARCHAR", "as its header says"),
        needs("cause", "VARCHAR", "unknown_type, unknown_version, untrusted, malformed"),
        needs("reason", "VARCHAR"),
        needs("headers", "VARCHAR", "JSON"),
        needs("data", "BLOB"),
    ),
    key=("stream", "sequence"),
    time="stored_at",
)

HOLE: Final = Table(
    "hole",
    "Sequences that a stream no longer held when they were due: they are in no table.",
    (
        needs("stream", "VARCHAR"),
        needs("first", "BIGINT", "first missing sequence"),
        needs("last", "BIGINT", "last missing sequence"),
        needs("stored_at", "TIMESTAMP", "the broker's clock of the message behind the hole"),
        needs("cause", "VARCHAR", "expired: before the stream's first message; missing: within it"),
    ),
    key=("stream", "first"),
    time="stored_at",
)

FINDING: Final = Table(
    "finding",
    "What diagnostics told on FINDINGS.",
    (
        SEQUENCE,
        STORED,
        needs("analyser", "VARCHAR"),
        needs("type", "VARCHAR"),
        needs("body", "VARCHAR", "JSON"),
    ),
    key=("sequence",),
    origin="derived",
    time="stored_at",
)

AUDIT: Final = Table(
    "audit",
    "Every record of the signed log. A record that cannot be read keeps its row, with empty fields.",
    (
        needs("position", "BIGINT", "leaf index in the log's tree, from 0"),
        needs("writer", "VARCHAR"),
        needs("number", "BIGINT", "in the writer's own chain, from 1; 0: unreadable"),
        Column("recorded_at", "TIMESTAMP", "the writer's clock"),
        needs("kind", "VARCHAR"),
        needs("command", "VARCHAR"),
        needs("previous", "VARCHAR", "hash of the writer's record before"),
        needs("leaf", "VARCHAR", "RFC 6962 leaf hash of the exact bytes, hexadecimal"),
        needs("body", "VARCHAR", "the documented event's exact JSON, or its digest"),
    ),
    key=("position",),
)

CHECKPOINT: Final = Table(
    "checkpoint",
    "What the notary signed over the audit log, and where it refused to.",
    (
        SEQUENCE,
        STORED,
        needs("size", "BIGINT", "records that it covers; 0 of a refusal"),
        needs("root", "VARCHAR"),
        needs("findings", "BIGINT", "bad records below it"),
        needs("refusal", "VARCHAR", "why nothing more is signed; empty: it was signed"),
        needs("note", "VARCHAR", "the exact C2SP signed note"),
    ),
    key=("sequence",),
    origin="derived",
)


PARQUET_FILE: Final = Table(
    "parquet_file",
    "What was written to Parquet, file by file.",
    (
        needs("path", "VARCHAR", "below the archive's parquet folder"),
        needs("table_name", "VARCHAR"),
        needs("stream", "VARCHAR", "the stream whose sequences are meant"),
        needs("created", "VARCHAR", "the stream's identity"),
        needs("source", "VARCHAR", "empty for tables without one"),
        needs("hour", "TIMESTAMP", "its beginning; 1970 for tables without a time"),
        needs("up_to", "BIGINT", "sequence up to which this hour was looked at when it was written"),
        needs("rows", "BIGINT"),
        needs("first", "BIGINT", "lowest sequence in it"),
        needs("last", "BIGINT", "highest sequence in it"),
        needs("first_at", "TIMESTAMP", "earliest time in it"),
        needs("last_at", "TIMESTAMP", "latest time in it"),
        needs("bytes", "BIGINT"),
        needs("sha256", "VARCHAR"),
        needs("manifest", "VARCHAR", "digest of the manifest that names it; empty until it is audited"),
    ),
    key=("path",),
    origin="own",
)

POSITION: Final = Table(
    "position",
    "How far each stream is in these tables; written with the rows, in one transaction.",
    (
        needs("stream", "VARCHAR"),
        needs("sequence", "BIGINT"),
        needs("created", "VARCHAR", "the stream's identity"),
        needs("stored_at", "TIMESTAMP", "the broker's clock of that message"),
    ),
    key=("stream",),
    origin="own",
    replaces=True,
)

ABOUT: Final = Table(
    "about",
    "Facts on the file itself: schema, site, how far the roll-ups are.",
    (needs("name", "VARCHAR"), needs("value", "VARCHAR")),
    key=("name",),
    origin="own",
)
