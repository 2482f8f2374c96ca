"""The second reader's core: counter tags, by which every lost, repeated or swapped sample shows. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from plantops.events import Event
from plantops.events.base import SourceName
from plantops.events.frames import Frame, Samples
from plantops.events.quality import has_value
from plantops.flow.processor import Output, Reads, Recorded


class Totals(msgspec.Struct):
    """What was counted. `lost` and `out_of_order` are samples; a repeated one counts as out of order.

    `bad` are samples without a value, which prove nothing. Times are the broker's, in nanoseconds.
    """

    position: int = 0
    frames: int = 0
    samples: int = 0
    lost: int = 0
    out_of_order: int = 0
    bad: int = 0
    historical: int = 0
    first_ns: int = 0
    last_ns: int = 0
    delay_ns: int = 0  # of the last frame, from its observation to its storage


@dataclass
class Counted:
    """Totals, and the last value of each counter; -1 for never seen."""

    totals: Totals = field(default_factory=Totals)
    last: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))


@dataclass(frozen=True)
class Counting:
    """Checks the tags of one source whose names start with `prefix`: each sample is `step` above the last
    one of its tag, modulo `modulus`."""

    site: str
    source: SourceName
    name: str
    prefix: str = ""
    step: int = 1
    modulus: int = 1 << 62
    version: int = 1
    output_stream: str = ""
    output_filter: str = ""
    emits: tuple[type[Event], ...] = ()

    @property
    def consumes(self) -> tuple[Reads, ...]:
        """All frames of the site."""
        return (Reads("TAGS", (f"tag.{self.site}.*",)),)

    def initial(self) -> Counted:
        """Nothing seen."""
        return Counted()

    def decide(self, state: Counted, recorded: Recorded) -> Sequence[Output]:
        """It only counts."""
        return ()

    def evolve(self, state: Counted, recorded: Recorded) -> Counted:
        """Count one frame."""
        totals = state.totals
        totals.position = recorded.sequence
        frame = recorded.fact
        if not isinstance(frame, Frame) or frame.source != self.source:
            return state
        if len(state.last) != len(frame.definition.tags):
            state.last = self._unseen(frame)
        totals.frames += 1
        totals.historical += frame.historical
        totals.first_ns = totals.first_ns or recorded.time_ns
        totals.last_ns = recorded.time_ns
        totals.delay_ns = recorded.time_ns - frame.observed_at
        for column in frame.columns:
            if column.kind in ("u8", "i8") and isinstance(column.values, np.ndarray):
                self._count(state, column)
        return state

    def _unseen(self, frame: Frame) -> NDArray[np.int64]:
        """-1 for counters, -2 for tags that are none."""
        marks = [-1 if tag.name.startswith(self.prefix) else -2 for tag in frame.definition.tags]
        return np.array(marks, np.int64)

    def _count(self, state: Counted, column: Samples) -> None:
        totals, last = state.totals, state.last
        index, values = _with_value(column)
        totals.bad += len(column.index) - len(index)
        is_counter = last[index] != -2
        if not is_counter.all():
            index, values = index[is_counter], values[is_counter]
        if len(index) > 1 and not (index[1:] > index[:-1]).all():
            order = np.argsort(index, kind="stable")  # several samples of a tag stay in their order
            index, values = index[order], values[order]
        before = last[index]
        same = np.zeros(len(index), bool)
        same[1:] = index[1:] == index[:-1]
        before[same] = values[:-1][same[1:]]
        risen = (values - before) % self.modulus
        known = before >= 0
        is_back = known & ((risen == 0) | (risen > self.modulus // 2))
        missing = np.where(known & ~is_back, risen // self.step - 1, 0)
        totals.samples += len(index)
        totals.lost += int(missing.sum())
        # A rise by a part of a step is a swapped or foreign value.
        totals.out_of_order += int(is_back.sum()) + int((known & (risen % self.step != 0)).sum())
        last[index] = values

    def dump(self, state: Counted) -> bytes:
        """Totals and counters."""
        return msgspec.msgpack.encode((state.totals, state.last.tobytes()))

    def load(self, data: bytes) -> Counted:
        """Raises: ValueError when the bytes are no snapshot of this version."""
        totals, last = msgspec.msgpack.decode(data, type=tuple[Totals, bytes])
        return Counted(totals, np.frombuffer(last, np.int64).copy())


def _with_value(column: Samples) -> tuple[NDArray[Any], NDArray[np.int64]]:
    values = np.asarray(column.values).astype(np.int64)
    if isinstance(column.quality, int):
        return (column.index, values) if has_value(column.quality) else (column.index[:0], values[:0])
    good = column.quality >= 64  # OPC classic: below stand the bad ones
    return column.index[good], values[good]
