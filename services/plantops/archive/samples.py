"""Tag frames into rows: many frames at once, one array operation per column and not per sample. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from plantops.archive.batch import Row, SampleBlock
from plantops.events.frames import Frame, Samples
from plantops.events.quality import has_value, is_good

HAS_VALUE: Final = np.array([has_value(quality) for quality in range(256)])
IS_GOOD: Final = np.array([is_good(quality) for quality in range(256)])
_EXACT: Final = 2**53


@dataclass(frozen=True, slots=True)
class StoredFrame:
    """A frame with its place in TAGS, who signed it, and the series number of each tag of its definition."""

    sequence: int
    stored_at: int
    signer: str
    frame: Frame
    numbers: NDArray[np.int32]


def frame_row(stored: StoredFrame) -> Row:
    """The row of table `frame`."""
    frame = stored.frame
    return (
        stored.sequence,
        stored.stored_at,
        frame.source,
        frame.epoch,
        frame.sequence,
        frame.observed_at // 1000,
        frame.layout,
        frame.size,
        sum(map(_good, frame.columns)),
        frame.historical,
        stored.signer,
    )


def _good(column: Samples) -> int:
    if isinstance(column.quality, int):
        return len(column.index) if IS_GOOD[column.quality] else 0
    return int(np.count_nonzero(IS_GOOD[column.quality]))


def block_of(frames: Sequence[StoredFrame]) -> SampleBlock | None:
    """All samples of some frames in the order of TAGS; None where they carry none.

    A value stands as a double where one holds it exactly; an integer that none holds has its digits in
    `text` beside the nearest double. Without a value (by its quality) both are missing.
    """
    parts = [(stored, column) for stored in frames for column in stored.frame.columns if len(column.index)]
    if not parts:
        return None
    lengths = np.array([len(column.index) for _stored, column in parts])
    quality = np.concatenate([_filled(column.quality, len(column.index), "u1") for _stored, column in parts])
    present = HAS_VALUE[quality]
    value = np.concatenate([_numbers(column) for _stored, column in parts])
    observed = [stored.frame.observed_at // 1000 for stored, _column in parts]
    return SampleBlock(
        series=np.concatenate([stored.numbers[column.index] for stored, column in parts]),
        observed_at=np.repeat(np.array(observed, "i8"), lengths),
        value=value,
        has_value=present & _is_number([column for _stored, column in parts], lengths),
        text=_texts([column for _stored, column in parts], present),
        quality=quality,
        source_lag=np.concatenate(
            [
                _filled(time - column.source_time // 1000, len(column.index), "i8")
                for (_stored, column), time in zip(parts, observed, strict=True)
            ]
        ),
        sequence=np.repeat(np.array([stored.sequence for stored, _column in parts], "i8"), lengths),
        place=np.concatenate(
            [np.arange(stored.frame.size, dtype="u2") for stored in frames if stored.frame.size]
        ),
    )


def _filled(value: Any, length: int, kind: str) -> NDArray[Any]:
    return np.asarray(value, kind) if isinstance(value, np.ndarray) else np.full(length, value, kind)


def _numbers(column: Samples) -> NDArray[np.float64]:
    if isinstance(column.values, list):
        return np.full(len(column.index), np.nan)
    return column.values.astype("f8", copy=False)


def _is_number(columns: Sequence[Samples], lengths: NDArray[Any]) -> NDArray[np.bool_]:
    return np.repeat(np.array([column.kind != "s" for column in columns]), lengths)


def _texts(columns: Sequence[Samples], present: NDArray[np.bool_]) -> list[str | None] | None:
    """None where no sample has a text: texts and huge integers are rare, and lists of them slow."""
    if not any(column.kind == "s" or _has_huge(column) for column in columns):
        return None
    texts: list[str | None] = []
    for column in columns:
        if isinstance(column.values, list):
            texts += column.values
        elif _has_huge(column):
            texts += [None if int(float(n)) == n else str(n) for n in column.values.tolist()]
        else:
            texts += [None] * len(column.index)
    return [text if there else None for text, there in zip(texts, present.tolist(), strict=True)]


def _has_huge(column: Samples) -> bool:
    if column.kind not in ("i8", "u8") or isinstance(column.values, list):
        return False
    return bool((column.values > _EXACT).any() or (column.values.astype("i8") < -_EXACT).any())
