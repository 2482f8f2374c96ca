"""An archive filled with made-up rows: some sources, some streams, any hours. No broker, no projection."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from plantops.archive.batch import Batch, Position, SampleBlock
from plantops.archive.series import SeriesBook
from plantops.archive.store import Store, insert
from plantops.events.base import SiteName, SourceName, TagName
from plantops.events.tags import ScanGroup, SourceDefined, TagDefinition, layout_of

HOUR = 3_600_000_000
MINUTE = 60_000_000
DAWN = 1_790_000_000_000_000 // HOUR * HOUR
"""The beginning of an hour, in microseconds."""

CREATED = "2026-01-01T00:00:00Z"


def definition(source: str, tags: int = 5) -> SourceDefined:
    """A source of some tags: the last holds texts."""
    return SourceDefined(
        site=SiteName("demo"),
        source=SourceName(source),
        groups=(ScanGroup(name="fast", period_ms=100),),
        tags=tuple(
            TagDefinition(name=TagName(f"{source}.t{n}"), kind="s" if n == tags - 1 else "f8")
            for n in range(tags)
        ),
    )


@dataclass
class ArchivedPlant:
    """A live file and how far its streams are; each `frame` is one commit unless a batch is shared."""

    folder: Path
    store: Store
    sequences: dict[str, int] = field(default_factory=dict)
    clocks: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.book = SeriesBook({}, ())

    @classmethod
    def make(cls, folder: Path) -> ArchivedPlant:
        """A new one."""
        return cls(folder, Store.open(folder / "live.duckdb", "demo", memory_megabytes=256))

    @property
    def parquet(self) -> Path:
        return self.folder / "parquet"

    def frame(self, source: str, at: int, *, stored_at: int | None = None, batch: Batch | None = None) -> int:
        """One frame of all tags, observed `at`; its sequence."""
        own, defined = batch or Batch(), definition(source)
        sequence = self._next("TAGS", at if stored_at is None else stored_at)
        numbers = self.book.numbers(defined, layout_of(defined), sequence, own)
        count = len(numbers)
        own.add(
            "frame",
            (sequence, self.clocks["TAGS"], source, 1, sequence, at, layout_of(defined), count, count, False,
             "adapter"),
        )  # fmt: skip
        own.samples.append(block(numbers, at, sequence))
        if batch is None:
            self.commit(own)
        return sequence

    def event(self, stream: str, at: int, body: str = '{"type":"x"}', *, batch: Batch | None = None) -> int:
        """One event of a stream; its sequence."""
        own = batch or Batch()
        sequence = self._next(stream, at)
        own.add(
            "event",
            (stream, sequence, at, f"{stream.lower()}.demo", "x", 1, f"{stream}.{sequence}", "gate", "", "",
             "", body),
        )  # fmt: skip
        if batch is None:
            self.commit(own)
        return sequence

    def unread(self, stream: str, at: int) -> None:
        """One message that could not be used."""
        batch = Batch()
        row = (stream, self._next(stream, at), at, "s", "t", "malformed", "why", "{}", b"\x00\xff")
        batch.add("unread", row)
        self.commit(batch)

    def hole(self, stream: str, missing: int, at: int) -> None:
        """So many sequences that the stream did not hold any more."""
        first, batch = self.sequences.get(stream, 0) + 1, Batch()
        self.sequences[stream] = first + missing - 1
        batch.add("hole", (stream, first, first + missing - 1, at, "missing"))
        self.commit(batch)

    def tick(self, stream: str, at: int) -> None:
        """The stream is at this time, with a message that left no row (as AUDIT's do here)."""
        self._next(stream, at)
        self.commit(Batch())

    def commit(self, batch: Batch) -> None:
        """Store a batch with the positions of now."""
        batch.positions.update(
            {
                stream: Position(sequence, CREATED, self.clocks[stream])
                for stream, sequence in self.sequences.items()
            }
        )
        with self.store.transaction() as connection:
            insert(connection, batch)

    def counted(self, table: str) -> int:
        """Rows in a table."""
        found = self.store.connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        assert found is not None
        return int(found[0])

    def _next(self, stream: str, at: int) -> int:
        self.sequences[stream] = self.sequences.get(stream, 0) + 1
        self.clocks[stream] = max(self.clocks.get(stream, 0), at)
        return self.sequences[stream]


def block(numbers: np.ndarray, at: int, sequence: int) -> SampleBlock:
    """A sample of each tag: NaN, missing, infinity, numbers, and a text last."""
    count = len(numbers)
    values = np.array([np.nan, 0.0, np.inf, sequence + 0.25, np.nan])[:count]
    has_value = np.array([True, False, True, True, False])[:count]
    return SampleBlock(
        numbers,
        np.full(count, at, "i8"),
        values,
        has_value,
        [None] * (count - 1) + [f"text {sequence}"],
        np.array([192, 24, 192, 64, 192], "u1")[:count],
        np.full(count, 1500, "i8"),
        np.full(count, sequence, "i8"),
        np.arange(count, dtype="u2"),
    )
