"""The last known state of one source, in columns by tag position; the hot path of the twin.

Arrays are as long as the source's definition. A tag's value stands in the array of its kind; the others
hold zero there. Times are nanoseconds since 1970; sequences are those of the stream TAGS, 0 for never.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from plantops.events.base import Digest, Scalar
from plantops.events.frames import Frame, Samples
from plantops.events.quality import Quality, has_value
from plantops.events.tags import SourceDefined, layout_of

NUMERIC = ("f8", "i8", "u8", "b1")
DTYPES = {"f8": "<f8", "i8": "<i8", "u8": "<u8", "b1": "u1"}


@dataclass
class Columns:
    """All tags of one source under one layout."""

    definition: SourceDefined
    layout: Digest
    values: dict[str, NDArray[Any]]
    texts: dict[int, str]
    quality: NDArray[np.uint8]
    source_time: NDArray[np.int64]
    stored_at: NDArray[np.int64]
    sequence: NDArray[np.int64]
    confirmed_at: NDArray[np.int64]
    confirmed_by: NDArray[np.int64]
    group: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.group = np.array([tag.group for tag in self.definition.tags], "<i8")

    @classmethod
    def of(cls, definition: SourceDefined, layout: Digest) -> Columns:
        """Nothing known yet: every tag waits for its first value."""
        size, groups = len(definition.tags), len(definition.groups)
        return cls(
            definition=definition,
            layout=layout,
            values={kind: np.zeros(size, DTYPES[kind]) for kind in NUMERIC},
            texts={},
            quality=np.full(size, int(Quality.BAD_WAITING), "u1"),
            source_time=np.zeros(size, "<i8"),
            stored_at=np.zeros(size, "<i8"),
            sequence=np.zeros(size, "<i8"),
            confirmed_at=np.zeros(groups, "<i8"),
            confirmed_by=np.zeros(groups, "<i8"),
        )

    def fold(self, frame: Frame, sequence: int, stored_at: int) -> None:
        """Take in a live frame of this layout. Within a frame the last sample of a tag wins."""
        for column in frame.columns:
            self._fold_column(column, sequence, stored_at)
        for group in frame.confirms:
            if group < len(self.confirmed_at):
                self.confirmed_at[group] = stored_at
                self.confirmed_by[group] = sequence

    def _fold_column(self, column: Samples, sequence: int, stored_at: int) -> None:
        index = column.index
        if isinstance(column.values, list):
            self.texts.update(zip(index.tolist(), column.values, strict=True))
        else:
            self.values[column.kind][index] = column.values
        self.quality[index] = column.quality
        self.source_time[index] = column.source_time
        self.stored_at[index] = stored_at
        self.sequence[index] = sequence

    def value(self, position: int) -> Scalar | None:
        """The value with its own type; None where its quality carries none."""
        if not has_value(int(self.quality[position])):
            return None
        kind = self.definition.tags[position].kind
        if kind == "s":
            return self.texts.get(position)
        plain = self.values[kind][position].item()
        return bool(plain) if kind == "b1" else plain

    def seen_at(self, position: int) -> int:
        """When the tag was last known to be as it stands: its own sample or its group's confirmation."""
        group = int(self.group[position])
        return max(int(self.stored_at[position]), int(self.confirmed_at[group]))

    def seen_by(self, position: int) -> int:
        """The TAGS sequence behind `seen_at`."""
        return max(int(self.sequence[position]), int(self.confirmed_by[int(self.group[position])]))

    def moved_to(self, definition: SourceDefined, layout: Digest) -> Columns:
        """The same knowledge under a new layout: tags are matched by name and kind, the rest starts anew."""
        moved = Columns.of(definition, layout)
        known = {(tag.name, tag.kind): position for position, tag in enumerate(self.definition.tags)}
        for position, tag in enumerate(definition.tags):
            before = known.get((tag.name, tag.kind))
            if before is not None:
                self._copy(before, moved, position)
        return moved

    def _copy(self, before: int, moved: Columns, position: int) -> None:
        for kind in NUMERIC:
            moved.values[kind][position] = self.values[kind][before]
        if before in self.texts:
            moved.texts[position] = self.texts[before]
        for name in ("quality", "source_time", "stored_at", "sequence"):
            getattr(moved, name)[position] = getattr(self, name)[before]


class ColumnsDump(msgspec.Struct):
    """Columns as bytes; arrays little-endian."""

    definition: SourceDefined
    values: dict[str, bytes]
    texts: list[tuple[int, str]]
    rest: dict[str, bytes]


_REST = {
    "quality": "u1",
    "source_time": "<i8",
    "stored_at": "<i8",
    "sequence": "<i8",
    "confirmed_at": "<i8",
    "confirmed_by": "<i8",
}


def dump_columns(columns: Columns) -> ColumnsDump:
    """Equal columns give equal dumps."""
    return ColumnsDump(
        definition=columns.definition,
        values={kind: array.tobytes() for kind, array in columns.values.items()},
        texts=sorted(columns.texts.items()),
        rest={name: getattr(columns, name).tobytes() for name in _REST},
    )


def load_columns(dump: ColumnsDump) -> Columns:
    """Raises: ValueError when arrays are missing or have another length than the definition."""
    columns = Columns.of(dump.definition, layout_of(dump.definition))
    if set(dump.values) != set(NUMERIC) or set(dump.rest) != set(_REST):
        raise ValueError("the snapshot holds other columns than this version")
    for kind in NUMERIC:
        _fill(columns.values[kind], dump.values[kind], DTYPES[kind])
    columns.texts = dict(dump.texts)
    for name, dtype in _REST.items():
        _fill(getattr(columns, name), dump.rest[name], dtype)
    return columns


def _fill(target: NDArray[Any], data: bytes, dtype: str) -> None:
    array = np.frombuffer(data, dtype)
    if len(array) != len(target):
        raise ValueError(f"snapshot column of {len(array)} entries, the definition has {len(target)}")
    target[:] = array
