"""Who owns a source: a rising epoch, issued by compare-and-set on the lease's subject.

The holder counts from before it asked, the standby from after it saw: so the holder has stopped
before anybody else may begin, whatever their clocks say.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from plantops.adapters.host.away import AWAY
from plantops.adapters.host.clock import Clock
from plantops.events import decode, subjects
from plantops.events.base import SiteName, SourceName
from plantops.events.frames import decode_frame
from plantops.events.sources import LeaseTaken
from plantops.flow.bus import Bus, Stored
from plantops.flow.signing import Signer
from plantops.runtime.errors import BrokerError, Conflict, Fenced, IntegrityError

log = structlog.get_logger()

DEFAULT_TTL_SECONDS = 6.0


class Lease:
    """One host's hold on one source. `owner` must differ for each run of each process.

    Lower epochs are never used again. While the broker is away the hold lapses (`is_held` is false) and
    comes back under the same epoch only when nobody took the source in between.
    """

    def __init__(
        self,
        bus: Bus,
        signer: Signer,
        clock: Clock,
        *,
        site: SiteName,
        source: SourceName,
        owner: str,
        ttl_seconds: float = DEFAULT_TTL_SECONDS,
    ) -> None:
        self._bus, self._signer, self._clock = bus, signer, clock
        self._subject = subjects.source(site, source, "lease")
        self._frames = subjects.tag(site, source)
        self._source, self._owner, self._ttl = source, owner, ttl_seconds
        self._sequence = 0
        self._valid_until = float("-inf")
        self.epoch = 0
        self.inherited = 0
        """The epoch of the holder before, when it ended without releasing; else 0."""

    @property
    def is_held(self) -> bool:
        """Whether frames may be published and writes made at this moment."""
        return self._clock.monotonic() < self._valid_until

    async def acquire(self, on_wait: Callable[[LeaseTaken], None] = lambda _lease: None) -> int:
        """Wait until the source is free, take it, and return the new epoch.

        Free is a source without lease, with a released one, or whose last lease stood unchanged for its
        time to live. `on_wait` hears each lease that is waited for. Raises: IntegrityError when the lease
        on the stream cannot be read.
        """
        watched, since = -1, 0.0
        while True:
            try:
                last = await self._bus.last("SOURCES", self._subject)
                held = None if last is None else _lease(last)
                if last is not None and held is not None and not held.released:
                    if last.sequence != watched:
                        watched, since = last.sequence, self._clock.monotonic()
                        on_wait(held)
                    left = held.ttl_seconds - (self._clock.monotonic() - since)
                    if left > 0:
                        await self._clock.sleep(min(left, self._ttl / 3))
                        continue
                if await self._take(last, held):
                    return self.epoch
            except AWAY:
                log.debug("lease.broker_away", source=self._source)
                await self._clock.sleep(self._ttl / 3)

    async def keep(self) -> None:
        """Renew for ever. Raises: Fenced as soon as it is seen that somebody else took the source."""
        while True:
            await self._clock.sleep(self._ttl / 3)
            await self.renew()

    async def renew(self) -> bool:
        """Whether the hold is good for another time to live. Raises: Fenced."""
        asked_at = self._clock.monotonic()
        try:
            self._sequence = await self._publish(self._sequence, self.epoch)
        except AWAY:
            return False
        except Conflict:
            return await self._recognise()
        self._valid_until = asked_at + self._ttl
        return True

    async def release(self) -> None:
        """End the hold, and say so where that is possible; a standby need not wait then."""
        if self.epoch == 0:
            return
        self._valid_until = float("-inf")
        try:
            await self._publish(self._sequence, self.epoch, is_released=True)
        except BrokerError as error:
            log.warning("lease.not_released", source=self._source, epoch=self.epoch, cause=str(error))

    def drop(self) -> None:
        """Hold nothing any more, without a word: somebody else does."""
        self.epoch, self._valid_until = 0, float("-inf")

    async def _recognise(self) -> bool:
        """After a lost compare-and-set: an own renewal whose answer never came is no other owner."""
        try:
            last = await self._bus.last("SOURCES", self._subject)
        except AWAY:
            return False
        found = None if last is None else _lease(last)
        if last is None or found is None or (found.owner, found.epoch) != (self._owner, self.epoch):
            self._valid_until = float("-inf")
            raise Fenced(
                f"source {self._source!r} belongs to {found.owner if found else 'nobody'!r} under epoch "
                f"{found.epoch if found else 0}, ours was {self.epoch}: stop, or wait as its standby",
                stream="SOURCES",
                owned=self._source,
            )
        self._sequence = last.sequence
        return False

    async def _take(self, last: Stored | None, held: LeaseTaken | None) -> bool:
        if last is not None and held is not None and held.owner == self._owner and not held.released:
            # Stored by this process, but the answer got lost.
            epoch, self._sequence = held.epoch, last.sequence
        else:
            epoch = 1 + (held.epoch if held is not None else await self._epoch_of_frames())
            self.inherited = held.epoch if held is not None and not held.released else 0
            self._sequence = 0 if last is None else last.sequence
        asked_at = self._clock.monotonic()
        try:
            self._sequence = await self._publish(self._sequence, epoch)
        except Conflict:
            return False
        self.epoch = epoch
        self._valid_until = asked_at + self._ttl
        return True

    async def _epoch_of_frames(self) -> int:
        """SOURCES forgets after a while; frames of the source may know a higher epoch."""
        last = await self._bus.last("TAGS", self._frames)
        return 0 if last is None else decode_frame(last.data).epoch

    async def _publish(self, expected: int, epoch: int, *, is_released: bool = False) -> int:
        event = LeaseTaken(
            source=self._source,
            epoch=epoch,
            owner=self._owner,
            ttl_seconds=self._ttl,
            released=is_released,
        )
        message = self._signer.message(
            self._subject,
            event,
            id=f"{self._source}.lease.{epoch}.{expected}",
            time=self._clock.now_ns(),
        )
        return await self._bus.publish(message, stream="SOURCES", expected_last=expected)


def _lease(stored: Stored) -> LeaseTaken:
    event = decode(stored.data)
    if not isinstance(event, LeaseTaken):
        raise IntegrityError(
            f"message {stored.sequence} on {stored.subject!r} is no lease but {type(event).__name__}: "
            f"look who wrote it"
        )
    return event
