"""Which samples are worth sending: deadband, quality, heartbeat. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from plantops.events.base import Scalar
from plantops.events.frames import Sample
from plantops.events.tags import SourceDefined


class Changes:
    """What was sent last of each tag, and whether a new sample says more than that.

    A sample is sent when it is the tag's first, when its quality differs, when its value lies further than
    the deadband from the one sent last, or when that is older than the heartbeat.
    """

    def __init__(self, definition: SourceDefined, heartbeat_seconds: float) -> None:
        size = len(definition.tags)
        self._heartbeat = heartbeat_seconds
        self._deadbands = [tag.deadband for tag in definition.tags]
        self._values: list[Scalar | None] = [None] * size
        self._qualities = [_NEVER] * size
        self._sent_at = [0.0] * size
        self._seen: list[Sample | None] = [None] * size
        self.is_forgotten = False
        """Whether nothing was chosen since `forget`."""

    def select(self, samples: Iterable[Sample], now: float) -> list[Sample]:
        """Those to send, in the order given, remembered as sent at `now` (monotonic seconds)."""
        values, qualities, sent_at, seen = self._values, self._qualities, self._sent_at, self._seen
        deadbands = self._deadbands
        expired = now - self._heartbeat
        chosen: list[Sample] = []
        self.is_forgotten = False
        for sample in samples:
            index = sample.index
            seen[index] = sample
            value = sample.value
            if (
                qualities[index] == sample.quality
                and sent_at[index] > expired
                and (value == values[index] or not _differs(values[index], value, deadbands[index]))
            ):
                continue
            values[index] = value
            qualities[index] = sample.quality
            sent_at[index] = now
            chosen.append(sample)
        return chosen

    def forget(self) -> None:
        """Nothing counts as sent any more: what was sent did not become current."""
        self._qualities = [_NEVER] * len(self._qualities)
        self.is_forgotten = True

    def newest(self, index: int) -> Sample | None:
        """The newest sample of a tag, sent or not; None before the first."""
        return self._seen[index]

    def with_seen(self, samples: Iterable[Sample]) -> list[Sample]:
        """`samples` behind the newest of each tag seen before: all that is known, to be sent anew."""
        return [*(sample for sample in self._seen if sample is not None), *samples]


_NEVER = -1


def _differs(old: Scalar | None, new: Scalar | None, deadband: float) -> bool:
    """Whether two values that are not equal differ by more than the deadband; NaN equals NaN."""
    if isinstance(old, (int, float)) and isinstance(new, (int, float)):
        if old != old or new != new:  # noqa: PLR0124 - only NaN differs from itself
            return (old == old) or (new == new)  # noqa: PLR0124
        return not abs(new - old) <= deadband
    return True
