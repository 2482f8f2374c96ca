"""From samples to frames: numbering, the limits of a frame, confirmations. Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from plantops.events.base import Digest, Scalar
from plantops.events.frames import Sample, pack
from plantops.events.quality import Quality
from plantops.events.tags import MAX_SAMPLES, Kind, SourceDefined, TagFrame, layout_of

# A text above this could fill a frame on its own; no instrument says as much in one value.
MAX_TEXT_BYTES = 32 * 1024
# Below MAX_FRAME_BYTES by what index, quality, time and the frame's own fields take at most.
_TEXT_BUDGET = 200 * 1024
_MAX_SOURCE_TIME = 1 << 62
_FORMATS: dict[Kind, str] = {"f8": "<d", "i8": "<q", "u8": "<Q"}


class Framer:
    """Numbers the frames of one epoch: `sequence` starts at 1 and rises by one with every frame made.

    The number is given when the frame is made and never changes, however late the frame arrives: what
    is delivered as history has lower numbers than what went before it.
    """

    def __init__(self, definition: SourceDefined, epoch: int) -> None:
        self.definition = definition
        self.layout: Digest = layout_of(definition)
        self.epoch = epoch
        self.sequence = 0
        self._texts = {index for index, tag in enumerate(definition.tags) if tag.kind == "s"}

    def frames(
        self, samples: Sequence[Sample], observed_at: int, confirms: Iterable[int] = ()
    ) -> list[TagFrame]:
        """Frames with all `samples` in order; the last one carries `confirms`, since only then all is said.

        Empty when there is neither a sample nor a confirmation. A value that does not fit its column
        becomes a sample with bad quality and spares its neighbours.
        """
        chunks = list(self._chunks(samples))
        groups = sorted(confirms)
        if not chunks and groups:
            chunks = [[]]
        last = len(chunks) - 1
        return [
            self._frame(chunk, observed_at, groups if position == last else ())
            for position, chunk in enumerate(chunks)
        ]

    def _frame(self, samples: Sequence[Sample], observed_at: int, confirms: Iterable[int]) -> TagFrame:
        self.sequence += 1
        try:
            return self._pack(samples, observed_at, confirms)
        except (OverflowError, TypeError, ValueError):
            tags = self.definition.tags
            fitting = [fitted(sample, tags[sample.index].kind) for sample in samples]
            return self._pack(fitting, observed_at, confirms)

    def _pack(self, samples: Sequence[Sample], observed_at: int, confirms: Iterable[int]) -> TagFrame:
        return pack(
            self.definition,
            self.layout,
            samples,
            epoch=self.epoch,
            sequence=self.sequence,
            observed_at=observed_at,
            confirms=confirms,
        )

    def _chunks(self, samples: Sequence[Sample]) -> Iterator[Sequence[Sample]]:
        if not self._texts:
            for start in range(0, len(samples), MAX_SAMPLES):
                yield samples[start : start + MAX_SAMPLES]
            return
        chunk: list[Sample] = []
        budget = _TEXT_BUDGET
        for sample in samples:
            fitting = _bounded(sample) if sample.index in self._texts else sample
            size = len(fitting.value.encode()) if isinstance(fitting.value, str) else 0
            if len(chunk) == MAX_SAMPLES or size > budget:
                yield chunk
                chunk, budget = [], _TEXT_BUDGET
            chunk.append(fitting)
            budget -= size
        if chunk:
            yield chunk


def fitted(sample: Sample, kind: Kind) -> Sample:
    """The sample itself, or one without value and with bad quality where a column cannot hold it."""
    is_timed = isinstance(sample.source_time, int) and abs(sample.source_time) < _MAX_SOURCE_TIME
    if sample.source_time is not None and not is_timed:
        sample = Sample(sample.index, sample.value, sample.quality)
    return sample if sample.value is None or _fits(sample.value, kind) else _bad(sample)


def as_history(frame: TagFrame) -> TagFrame:
    """The same frame, as it is told late: it confirms nothing and never becomes current."""
    return frame if frame.historical else msgspec.structs.replace(frame, historical=True, confirms=b"")


def sample_count(frame: TagFrame) -> int:
    """How many samples are in a packed frame."""
    return sum(len(column.index) // 4 for column in frame.columns)


def _fits(value: Scalar, kind: Kind) -> bool:
    if kind in ("s", "b1"):
        return isinstance(value, str) == (kind == "s")
    try:
        struct.pack(_FORMATS[kind], value)
    except (struct.error, OverflowError):
        return False
    return True


def _bounded(sample: Sample) -> Sample:
    is_long = isinstance(sample.value, str) and len(sample.value.encode()) > MAX_TEXT_BYTES
    return _bad(sample) if is_long else sample


def _bad(sample: Sample) -> Sample:
    return Sample(sample.index, None, Quality.BAD_CONFIGURATION, sample.source_time)
