"""What happens to a source: who owns it, whether it answers, what it lost."""

from __future__ import annotations

from typing import Literal, TypeAlias

from plantops.events.base import Event, SourceName

GapCause: TypeAlias = Literal["outbox_full", "broker_refused", "server_overflow", "restart", "device_overrun"]


class LeaseTaken(Event, frozen=True, tag="source.lease"):
    """`owner` holds the source under `epoch` until `ttl_seconds` pass without another of these.

    Issued by compare-and-set on the subject, so epochs rise and no two owners share one.
    `released` ends the lease at once (a clean stop), so that a standby need not wait.
    """

    source: SourceName
    epoch: int
    owner: str
    ttl_seconds: float
    released: bool = False


class SourceUp(Event, frozen=True, tag="source.up"):
    """The device answers; said once when it comes."""

    source: SourceName
    epoch: int
    detail: str = ""


class SourceLost(Event, frozen=True, tag="source.lost"):
    """The device does not answer; said once when it goes. All its tags are bad until `source.up`."""

    source: SourceName
    epoch: int
    cause: str


class GapRecorded(Event, frozen=True, tag="source.gap"):
    """`samples` samples in `frames` frames never reached the stream, and why.

    `first` and `last` bound the missing frame sequences of `epoch`; both 0 where the loss happened
    before frames were numbered (a device's own buffer overran), and then the counts may be 0: unknown.
    """

    source: SourceName
    epoch: int
    first: int
    last: int
    frames: int
    samples: int
    cause: GapCause
