"""What was lost, told once and exactly: ranges of frames, and samples that the device itself lost."""

from __future__ import annotations

from collections import deque

from plantops.adapters.host.away import AWAY
from plantops.adapters.host.clock import Clock
from plantops.adapters.host.framing import sample_count
from plantops.events import decode, subjects
from plantops.events.base import SiteName, SourceName
from plantops.events.sources import GapCause, GapRecorded
from plantops.events.tags import TagFrame
from plantops.flow.bus import Bus
from plantops.flow.signing import Signer
from plantops.runtime.errors import Conflict

_MAX_KEPT = 4096


class GapTeller:
    """Collects losses of one epoch, joins neighbours, and publishes each as one `GapRecorded`."""

    def __init__(
        self, bus: Bus, signer: Signer, clock: Clock, *, site: SiteName, source: SourceName, epoch: int
    ) -> None:
        self._bus, self._signer, self._clock = bus, signer, clock
        self._subject = subjects.source(site, source, "gap")
        self._source, self._epoch = source, epoch
        self._kept: deque[GapRecorded] = deque()
        self._telling: GapRecorded | None = None
        self._expected: int | None = None
        self._doubt: int | None = None

    def dropped(self, frame: TagFrame, cause: GapCause = "outbox_full") -> None:
        """A numbered frame was dropped; frames come in rising order."""
        self._add(
            GapRecorded(
                source=self._source,
                epoch=self._epoch,
                first=frame.sequence,
                last=frame.sequence,
                frames=1,
                samples=sample_count(frame),
                cause=cause,
            )
        )

    def unnumbered(self, samples: int, cause: GapCause, epoch: int = 0) -> None:
        """Samples were lost before frames were numbered; `samples` 0 where nobody knows how many."""
        self._add(
            GapRecorded(
                source=self._source,
                epoch=epoch or self._epoch,
                first=0,
                last=0,
                frames=0,
                samples=samples,
                cause=cause,
            )
        )

    def _add(self, gap: GapRecorded) -> None:
        before = self._kept[-1] if self._kept else None
        joined = _joined(before, gap) if before is not None else None
        if joined is not None:
            self._kept[-1] = joined
        else:
            self._kept.append(gap)
        if len(self._kept) > _MAX_KEPT:
            self._merge_oldest()

    def _merge_oldest(self) -> None:
        """Memory is bounded: two ranges become one that covers both; the counts stay exact."""
        first, second = self._kept.popleft(), self._kept.popleft()
        self._kept.appendleft(
            GapRecorded(
                source=first.source,
                epoch=first.epoch,
                first=first.first or second.first,
                last=second.last or first.last,
                frames=first.frames + second.frames,
                samples=first.samples + second.samples,
                cause=first.cause,
            )
        )

    async def tell(self) -> None:
        """Publish what is known to be lost; what the broker does not take now stays for the next time."""
        try:
            while self._telling is not None or self._kept:
                if self._telling is None:
                    self._telling = self._kept.popleft()
                await self._store(self._telling)
                self._telling = None
        except AWAY:
            return

    async def _store(self, gap: GapRecorded) -> None:
        message = self._signer.message(
            self._subject,
            gap,
            id=f"{gap.source}.gap.{gap.epoch}.{gap.first}.{self._clock.now_ns()}",
            time=self._clock.now_ns(),
        )
        while True:
            if self._expected is None and await self._find(gap):
                return
            try:
                self._doubt = self._expected
                self._expected = await self._bus.publish(
                    message, stream="SOURCES", expected_last=self._expected
                )
            except Conflict:
                self._expected = None
            except AWAY:
                self._expected = None
                raise
            else:
                self._doubt = None
                return

    async def _find(self, gap: GapRecorded) -> bool:
        """Whether an attempt whose answer got lost has stored `gap`."""
        last = await self._bus.last("SOURCES", self._subject)
        self._expected = 0 if last is None else last.sequence
        doubt, self._doubt = self._doubt, None
        if doubt is None or last is None or last.sequence == doubt:
            self._doubt = doubt
            return False
        return decode(last.data) == gap


def _joined(before: GapRecorded, gap: GapRecorded) -> GapRecorded | None:
    """One gap for two neighbours of the same cause, or None when they are not neighbours."""
    if (before.cause, before.epoch) != (gap.cause, gap.epoch):
        return None
    is_next = gap.first == before.last + 1 and before.first > 0
    is_unnumbered = before.first == gap.first == 0 and (before.samples > 0) == (gap.samples > 0)
    if not (is_next or is_unnumbered):
        return None
    return GapRecorded(
        source=gap.source,
        epoch=gap.epoch,
        first=before.first,
        last=gap.last,
        frames=before.frames + gap.frames,
        samples=before.samples + gap.samples,
        cause=gap.cause,
    )
