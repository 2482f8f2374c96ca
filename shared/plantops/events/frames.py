"""Frames between their packed bytes and columns of numbers; pure, and fast enough to be the hot path.

The way out: `pack` turns an adapter's samples into a `TagFrame`, `encode_frame` gives its bytes.
The way in: `decode_frame` reads msgpack, `resolve` checks it against the definition and gives a `Frame`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from plantops.events.base import Digest, Scalar, SourceName, TagName
from plantops.events.quality import has_value
from plantops.events.tags import MAX_FRAME_BYTES, MAX_SAMPLES, Column, Kind, SourceDefined, TagFrame

DTYPES: dict[Kind, str] = {"f8": "<f8", "i8": "<i8", "u8": "<u8", "b1": "u1"}

# Nanoseconds and counters stay within 64 bit with room to add and subtract; 2^62 ns is the year 2116.
MAX_NUMBER = 2**62

Values: TypeAlias = NDArray[Any] | list[str]


class FrameMalformed(ValueError):
    """The bytes are no frame, or contradict the definition they name; such a message goes to DEAD."""


class Sample(msgspec.Struct, frozen=True, gc=False):
    """One reading as an adapter hands it over: position of the tag in the definition, value, quality.

    `value` is None exactly where `quality` carries none. `source_time` is the device's time in
    nanoseconds since 1970, None where the device gives none.
    """

    index: int
    value: Scalar | None
    quality: int
    source_time: int | None = None


@dataclass(frozen=True, slots=True)
class Samples:
    """Columns of equal length: positions, values, quality bytes, source time in nanoseconds since 1970."""

    kind: Kind
    index: NDArray[np.uint32]
    values: Values
    quality: NDArray[np.uint8] | int
    source_time: NDArray[np.int64] | int


@dataclass(frozen=True, slots=True)
class Frame:
    """What a core sees of a frame, whatever the wire was."""

    source: SourceName
    epoch: int
    sequence: int
    observed_at: int
    layout: Digest
    definition: SourceDefined
    confirms: tuple[int, ...]
    columns: tuple[Samples, ...]
    historical: bool

    @property
    def size(self) -> int:
        """Number of samples."""
        return sum(len(column.index) for column in self.columns)

    def samples(self) -> Iterable[tuple[TagName, Scalar | None, int, int]]:
        """(tag, value or None, quality, source time in ns) one by one: for people, not for speed."""
        for column in self.columns:
            qualities = np.broadcast_to(np.asarray(column.quality, "u1"), len(column.index)).tolist()
            times = np.broadcast_to(np.asarray(column.source_time, "i8"), len(column.index)).tolist()
            values = column.values if isinstance(column.values, list) else column.values.tolist()
            for position, value, quality, time in zip(
                column.index.tolist(), values, qualities, times, strict=True
            ):
                plain = bool(value) if column.kind == "b1" else value
                yield (
                    self.definition.tags[position].name,
                    plain if has_value(quality) else None,
                    quality,
                    time,
                )


def pack(
    definition: SourceDefined,
    layout: Digest,
    samples: Sequence[Sample],
    *,
    epoch: int,
    sequence: int,
    observed_at: int,
    confirms: Iterable[int] = (),
    historical: bool = False,
) -> TagFrame:
    """Pack at most `MAX_SAMPLES` samples; the order of samples of one tag is kept within its column.

    A sample without a value keeps its place with a zero and its bad quality.
    """
    if len(samples) > MAX_SAMPLES:
        raise FrameMalformed(f"{len(samples)} samples in one frame, the limit is {MAX_SAMPLES}")
    tags = definition.tags
    by_kind: dict[Kind, list[Sample]] = {}
    for sample in samples:
        by_kind.setdefault(tags[sample.index].kind, []).append(sample)
    return TagFrame(
        source=definition.source,
        epoch=epoch,
        sequence=sequence,
        observed_at=observed_at,
        layout=layout,
        columns=[_column(kind, group, observed_at) for kind, group in by_kind.items()],
        confirms=bytes(confirms),
        historical=historical,
    )


def _column(kind: Kind, samples: list[Sample], observed_at: int) -> Column:
    values: bytes | list[str]
    if kind == "s":
        values = ["" if s.value is None else str(s.value) for s in samples]
    else:
        values = np.array([0 if s.value is None else s.value for s in samples], DTYPES[kind]).tobytes()
    qualities = bytes(s.quality for s in samples)
    offsets = [0 if s.source_time is None else observed_at - s.source_time for s in samples]
    return Column(
        kind,
        np.array([s.index for s in samples], "<u4").tobytes(),
        values,
        qualities[0] if qualities.count(qualities[0]) == len(qualities) else qualities,
        offsets[0] if offsets.count(offsets[0]) == len(offsets) else np.array(offsets, "<i8").tobytes(),
    )


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(TagFrame)


def encode_frame(frame: TagFrame) -> bytes:
    """Msgpack bytes of a frame. Raises: FrameMalformed above `MAX_FRAME_BYTES`."""
    data = _ENCODER.encode(frame)
    if len(data) > MAX_FRAME_BYTES:
        raise FrameMalformed(f"frame of {len(data)} bytes, the limit is {MAX_FRAME_BYTES}")
    return data


def decode_frame(data: bytes) -> TagFrame:
    """The frame in msgpack bytes, its columns still packed. Raises: FrameMalformed."""
    if len(data) > MAX_FRAME_BYTES:
        raise FrameMalformed(f"frame of {len(data)} bytes, the limit is {MAX_FRAME_BYTES}")
    try:
        return _DECODER.decode(data)
    except msgspec.DecodeError as error:
        raise FrameMalformed(f"not a tag frame: {error}") from error


def resolve(frame: TagFrame, definition: SourceDefined) -> Frame:
    """Unpack a frame's columns and check them against its definition.

    Raises: FrameMalformed when lengths disagree, a position is outside the definition, a kind differs
    from the tag's, a value has an impossible form (a text in a number's column), a number is impossible,
    or the definition contradicts itself.
    """
    if frame.source != definition.source:
        raise FrameMalformed(f"frame of {frame.source!r} with the definition of {definition.source!r}")
    kinds_of(definition)
    for number in (frame.epoch, frame.sequence, frame.observed_at):
        if not 0 <= number < MAX_NUMBER:
            raise FrameMalformed(f"epoch, sequence or time {number} is out of range")
    return Frame(
        source=frame.source,
        epoch=frame.epoch,
        sequence=frame.sequence,
        observed_at=frame.observed_at,
        layout=frame.layout,
        definition=definition,
        confirms=tuple(frame.confirms),
        columns=tuple(_unpack(column, definition, frame.observed_at) for column in frame.columns),
        historical=frame.historical,
    )


def _unpack(column: Column, definition: SourceDefined, observed_at: int) -> Samples:
    kinds = kinds_of(definition)
    try:
        index = np.frombuffer(column.index, "<u4") if column.index else kinds.positions(column.kind)
        values = _values(column)
        quality = column.quality if isinstance(column.quality, int) else np.frombuffer(column.quality, "u1")
        times = (
            observed_at - column.source_time
            if isinstance(column.source_time, int)
            else observed_at - np.frombuffer(column.source_time, "<i8")
        )
    except ValueError as error:
        raise FrameMalformed(f"column of kind {column.kind!r}: {error}") from error
    lengths = {len(index), len(values)}
    lengths |= {len(part) for part in (quality, times) if not isinstance(part, int)}
    if len(lengths) != 1:
        raise FrameMalformed(
            f"column of kind {column.kind!r} has parts of different lengths {sorted(lengths)}"
        )
    if isinstance(times, int) and not -MAX_NUMBER < times < MAX_NUMBER:
        raise FrameMalformed(f"source time {times} is out of range")
    if isinstance(quality, int) and not 0 <= quality <= 255:
        raise FrameMalformed(f"quality {quality} is no byte")
    if len(index) and (int(index.max()) >= len(kinds.codes) or not kinds.match(index, column.kind)):
        raise FrameMalformed(f"column of kind {column.kind!r} names tags that are not of this kind")
    return Samples(column.kind, index, values, quality, times)


def _values(column: Column) -> Values:
    if column.kind == "s":
        if isinstance(column.values, bytes):
            raise FrameMalformed("column of kind 's' holds bytes instead of texts")
        return column.values
    if not isinstance(column.values, bytes):
        raise FrameMalformed(f"column of kind {column.kind!r} holds texts instead of bytes")
    return np.frombuffer(column.values, DTYPES[column.kind])


class _Kinds:
    """Kind codes of a definition as an array, so that a column is checked in one comparison."""

    CODES: dict[Kind, int] = {"f8": 0, "i8": 1, "u8": 2, "b1": 3, "s": 4}

    def __init__(self, definition: SourceDefined) -> None:
        groups = len(definition.groups)
        if any(not 0 <= tag.group < groups for tag in definition.tags):
            raise FrameMalformed(f"the definition of {definition.source!r} names scan groups that it lacks")
        self.definition = definition
        self.codes = np.array([self.CODES[tag.kind] for tag in definition.tags], "u1")

    def positions(self, kind: Kind) -> NDArray[np.uint32]:
        return np.flatnonzero(self.codes == self.CODES[kind]).astype("<u4")

    def match(self, index: NDArray[np.uint32], kind: Kind) -> bool:
        return bool((self.codes[index] == self.CODES[kind]).all())


_KINDS: dict[int, _Kinds] = {}


def kinds_of(definition: SourceDefined) -> _Kinds:
    """Kind codes of `definition`, remembered by its identity: definitions are immutable and few."""
    known = _KINDS.get(id(definition))
    if known is None or known.definition is not definition:
        if len(_KINDS) >= 1024:
            _KINDS.clear()
        known = _KINDS[id(definition)] = _Kinds(definition)
    return known


def plain_number(value: Scalar | None) -> float | None:
    """A finite number as a float, else None: the form in which limits and permissives compare."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) else None
