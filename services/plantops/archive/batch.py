"""What one commit adds to the archive: rows of tables, columns of samples, positions. Plain data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Row: TypeAlias = tuple[Any, ...]
"""Values in the order of the table's columns. Times are integers: microseconds since 1970, UTC."""


@dataclass(frozen=True, slots=True)
class SampleBlock:
    """Samples in the order of TAGS; columns of equal length n, as in the table `sample`.

    `value` is NaN both for a NaN that was sent and for no value: `has_value` tells them apart. `text` is None
    where no sample of the block has one, which is the usual case.
    """

    series: NDArray[np.int32]
    observed_at: NDArray[np.int64]
    value: NDArray[np.float64]
    has_value: NDArray[np.bool_]
    text: list[str | None] | None
    quality: NDArray[np.uint8]
    source_lag: NDArray[np.int64]
    sequence: NDArray[np.int64]
    place: NDArray[np.uint16]

    def __len__(self) -> int:
        return len(self.series)


def joined(blocks: Iterable[SampleBlock]) -> SampleBlock | None:
    """All blocks as one, in their order; None for no sample at all."""
    parts = [block for block in blocks if len(block)]
    if len(parts) <= 1:
        return parts[0] if parts else None
    text: list[str | None] | None = None
    if any(part.text is not None for part in parts):
        text = [one for part in parts for one in (part.text or [None] * len(part))]
    return SampleBlock(
        np.concatenate([part.series for part in parts]),
        np.concatenate([part.observed_at for part in parts]),
        np.concatenate([part.value for part in parts]),
        np.concatenate([part.has_value for part in parts]),
        text,
        np.concatenate([part.quality for part in parts]),
        np.concatenate([part.source_lag for part in parts]),
        np.concatenate([part.sequence for part in parts]),
        np.concatenate([part.place for part in parts]),
    )


@dataclass(frozen=True, slots=True)
class Position:
    """How far a stream was taken: its last sequence, its identity, that message's broker time (µs)."""

    sequence: int
    created: str
    stored_at: int


@dataclass(slots=True)
class Batch:
    """Rows by table, samples, and the positions that they stand for: stored together or not at all."""

    rows: dict[str, list[Row]] = field(default_factory=dict)
    samples: list[SampleBlock] = field(default_factory=list)
    positions: dict[str, Position] = field(default_factory=dict)

    def add(self, table: str, row: Row) -> None:
        """Append one row to a table."""
        self.rows.setdefault(table, []).append(row)

    @property
    def sample_count(self) -> int:
        return sum(map(len, self.samples))
