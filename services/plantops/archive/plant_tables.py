"""What the plant said: samples, frames, sources, and the roll-ups of them."""

from __future__ import annotations

from typing import Final

from plantops.archive.table import SEQUENCE, STORED, Column, Table, needs

SAMPLE: Final = Table(
    "sample",
    "One value of one tag; join `series` for its name, or use the view `samples`.",
    (
        needs("series", "INTEGER", "which tag: `series.series`"),
        needs("observed_at", "TIMESTAMP", "the adapter's clock: the place of the value in time"),
        Column("value", "DOUBLE", "the number, 0 or 1 for a truth value; NULL where there is none"),
        Column("text", "VARCHAR", "a text value; or the exact digits of an integer that no double holds"),
        needs("quality", "UTINYINT", "OPC classic byte: 192 and above good, 64 to 127 uncertain, else bad"),
        needs("source_lag", "BIGINT", "microseconds from the device's time to `observed_at`"),
        needs("sequence", "BIGINT", "of its frame in TAGS"),
        needs("place", "USMALLINT", "number within its frame, from 0"),
    ),
    key=("sequence", "place"),
    time="observed_at",
)

FRAME: Final = Table(
    "frame",
    "One tag frame of TAGS: who sent it, when, and how many samples it carried.",
    (
        SEQUENCE,
        STORED,
        needs("source", "VARCHAR"),
        needs("epoch", "BIGINT", "the adapter's lease"),
        needs("number", "BIGINT", "the frame's own sequence within the epoch"),
        needs("observed_at", "TIMESTAMP"),
        needs("layout", "VARCHAR", "content hash of the definition that gave its columns a meaning"),
        needs("samples", "INTEGER"),
        needs("good", "INTEGER", "samples of good quality"),
        needs("historical", "BOOLEAN", "came late, from an outbox"),
        needs("signer", "VARCHAR"),
    ),
    key=("sequence",),
    time="observed_at",
    source="source",
)

LAYOUT: Final = Table(
    "layout",
    "Definitions of sources as the frames named them, for ever.",
    (
        needs("source", "VARCHAR"),
        needs("layout", "VARCHAR"),
        needs("sequence", "BIGINT", "of the first frame in TAGS that used it"),
        needs("body", "VARCHAR", "the exact JSON of `source.defined`"),
    ),
    key=("source", "layout"),
)

SERIES: Final = Table(
    "series",
    "One tag of one source, as its newest definition describes it.",
    (
        needs("series", "INTEGER", "counted from 1 in the order of first use; means nothing elsewhere"),
        needs("source", "VARCHAR"),
        needs("tag", "VARCHAR"),
        needs("kind", "VARCHAR", "f8, i8, u8, b1 or s"),
        needs("unit", "VARCHAR", "UCUM"),
        needs("description", "VARCHAR"),
        needs("area", "VARCHAR"),
        needs("period_ms", "INTEGER", "of its scan group; older than two of them is stale"),
        Column("low", "DOUBLE", "engineering range"),
        Column("high", "DOUBLE", "engineering range"),
        needs("layout", "VARCHAR", "the definition that this row shows"),
    ),
    key=("source", "tag"),
    origin="derived",
    replaces=True,
)

GAP: Final = Table(
    "gap",
    "Samples that an adapter could not deliver, with the cause that it told (`source.gap`).",
    (
        SEQUENCE,
        STORED,
        needs("source", "VARCHAR"),
        needs("epoch", "BIGINT"),
        needs("first", "BIGINT"),
        needs("last", "BIGINT"),
        needs("frames", "BIGINT"),
        needs("samples", "BIGINT", "0: not known how many"),
        needs("cause", "VARCHAR"),
    ),
    key=("sequence",),
    origin="derived",
    time="stored_at",
    source="source",
)

SOURCE_STATE: Final = Table(
    "source_state",
    "When a source's device came, went, and who held its lease.",
    (
        SEQUENCE,
        STORED,
        needs("source", "VARCHAR"),
        needs("state", "VARCHAR", "up, lost, lease, released"),
        needs("epoch", "BIGINT"),
        needs("owner", "VARCHAR", "of a lease, else empty"),
        needs("detail", "VARCHAR"),
    ),
    key=("sequence",),
    origin="derived",
    time="stored_at",
    source="source",
)


def _rollup(name: str, text: str) -> Table:
    return Table(
        name,
        f"Samples of a tag per {text}: minimum, maximum and total over finite good values.",
        (
            needs("series", "INTEGER"),
            needs("bucket", "TIMESTAMP", f"beginning of the {text}"),
            needs("samples", "BIGINT"),
            needs("good", "BIGINT"),
            needs("uncertain", "BIGINT"),
            needs("numbers", "BIGINT", "finite good values; the mean is total / numbers"),
            Column("minimum", "DOUBLE"),
            Column("maximum", "DOUBLE"),
            Column("total", "DOUBLE", "sum in the order of TAGS, so that it is always the same"),
            Column("last_value", "DOUBLE", "of the newest sample by observed_at, then by place in TAGS"),
            Column("last_text", "VARCHAR"),
            needs("last_quality", "UTINYINT"),
            needs("last_at", "TIMESTAMP"),
        ),
        key=("series", "bucket"),
        origin="derived",
        time="bucket",
    )


ROLLUP_1S: Final = _rollup("rollup_1s", "second")
ROLLUP_1M: Final = _rollup("rollup_1m", "minute")
ROLLUP_1H: Final = _rollup("rollup_1h", "hour")
ROLLUPS: Final = (ROLLUP_1S, ROLLUP_1M, ROLLUP_1H)
