"""What was asked, judged, approved and written."""

from __future__ import annotations

from typing import Final

from plantops.archive.table import COMMAND, SEQUENCE, STORED, Column, Table, needs

_LINK: Final = (
    needs("id", "VARCHAR", "of the event"),
    needs(
        "causation", "VARCHAR", "id of the event that caused it, as an unsigned header says; empty: not told"
    ),
)

INTENT: Final = Table(
    "intent",
    "What was asked for at the door, by whom (stream INTENTS).",
    (
        SEQUENCE,
        STORED,
        COMMAND,
        needs("handle", "VARCHAR", "c<sequence>, for people"),
        needs("actor", "VARCHAR"),
        needs("login", "VARCHAR", "who was connected, by the broker's word"),
        needs("signer", "VARCHAR", "empty: unsigned"),
        needs("on_behalf_of", "VARCHAR", "JSON list"),
        needs("asset", "VARCHAR"),
        needs("operation", "VARCHAR"),
        needs("arguments", "VARCHAR", "JSON object"),
        needs("mode", "VARCHAR"),
        needs("confirms", "VARCHAR", "the simulated command that it confirms"),
        needs("reason", "VARCHAR"),
        needs("digest", "VARCHAR"),
        needs("correlation", "VARCHAR", "what it belongs to, such as a conversation; empty: nothing told"),
        *_LINK,
    ),
    key=("sequence",),
    origin="derived",
    time="stored_at",
)

STEP: Final = Table(
    "step",
    "Each step in the life of a command (stream COMMANDS).",
    (
        SEQUENCE,
        STORED,
        COMMAND,
        needs("type", "VARCHAR"),
        needs("writer", "VARCHAR", "gate, or the executor"),
        needs("is_final", "BOOLEAN"),
        needs("reason", "VARCHAR", "in words, empty where there is nothing to say"),
        needs("person", "VARCHAR", "whose approval it counts or refuses, else empty"),
        Column("window_ms", "DOUBLE", "of an executed one: from the last judged read to the first write"),
        *_LINK,
    ),
    key=("sequence",),
    origin="derived",
    time="stored_at",
)

DECISION: Final = Table(
    "decision",
    "Each judgement of a command, with the digests that it rests on.",
    (
        SEQUENCE,
        STORED,
        COMMAND,
        needs("stage", "VARCHAR"),
        needs("judged_at", "TIMESTAMP"),
        needs("allowed", "BOOLEAN"),
        needs("asset", "VARCHAR"),
        needs("operation", "VARCHAR"),
        needs("actor", "VARCHAR"),
        needs("person", "VARCHAR"),
        needs("risk", "VARCHAR"),
        needs("safe_direction", "BOOLEAN"),
        needs("policy", "VARCHAR"),
        needs("model", "VARCHAR"),
        needs("digest", "VARCHAR", "of the decision's bytes: what an approval is bound to"),
    ),
    key=("sequence",),
    origin="derived",
    time="stored_at",
)

RULING: Final = Table(
    "ruling",
    "Each rule that a judgement applied, and what it said.",
    (
        SEQUENCE,
        STORED,
        COMMAND,
        needs("number", "USMALLINT", "order of application, from 0"),
        needs("rule", "VARCHAR"),
        needs("verdict", "VARCHAR", "true, false or unknown"),
        needs("text", "VARCHAR"),
    ),
    key=("sequence", "number"),
    origin="derived",
    time="stored_at",
)

EVIDENCE: Final = Table(
    "evidence",
    "Each tag value that a judgement used, with the frame in TAGS from which it came.",
    (
        SEQUENCE,
        STORED,
        COMMAND,
        needs("number", "USMALLINT"),
        needs("tag", "VARCHAR"),
        Column("value", "DOUBLE"),
        Column("text", "VARCHAR"),
        needs("quality", "UTINYINT"),
        Column("age_seconds", "DOUBLE"),
        Column("source_time", "TIMESTAMP"),
        needs("frame", "BIGINT", "sequence in TAGS; 0: read from the device for this judgement"),
        needs("note", "VARCHAR"),
    ),
    key=("sequence", "number"),
    origin="derived",
    time="stored_at",
)

WRITTEN: Final = Table(
    "written",
    "Each write to a device that was tried for a command, with what stood there before.",
    (
        SEQUENCE,
        STORED,
        COMMAND,
        needs("number", "USMALLINT"),
        needs("tag", "VARCHAR"),
        Column("value", "DOUBLE"),
        Column("text", "VARCHAR"),
        Column("before_value", "DOUBLE"),
        Column("before_text", "VARCHAR"),
        needs("before_quality", "UTINYINT"),
        Column("written_at", "TIMESTAMP"),
        Column("read_back_value", "DOUBLE"),
        Column("read_back_text", "VARCHAR"),
        needs("verified", "BOOLEAN"),
        needs("problem", "VARCHAR"),
        needs("verify", "VARCHAR", "how it was to be proved: echo, feedback or none"),
    ),
    key=("sequence", "number"),
    origin="derived",
    time="stored_at",
)

APPROVAL: Final = Table(
    "approval",
    "Approvals and rejections as persons signed them (stream APPROVALS); whether one counted is a `step`.",
    (
        SEQUENCE,
        STORED,
        COMMAND,
        needs("person", "VARCHAR"),
        needs("login", "VARCHAR"),
        needs("signer", "VARCHAR"),
        needs("verdict", "VARCHAR", "approve or reject"),
        needs("reason", "VARCHAR"),
        needs("intent", "VARCHAR"),
        needs("decision", "VARCHAR"),
        needs("expires_at", "TIMESTAMP"),
        *_LINK,
    ),
    key=("sequence",),
    origin="derived",
    time="stored_at",
)

POLICY: Final = Table(
    "policy",
    "Every revision that was put on POLICY.",
    (
        SEQUENCE,
        STORED,
        needs("revision", "BIGINT", "as told; the signed document has its own"),
        needs("digest", "VARCHAR", "of what was signed, as decisions name it; empty: no envelope"),
        needs("envelope", "VARCHAR", "the exact signed text"),
    ),
    key=("sequence",),
    origin="derived",
)
