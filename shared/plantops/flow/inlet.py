"""One input of a fold: its consumer, how far it was folded, and what was not acknowledged yet."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

import structlog

from plantops.flow.bus import Bus, Reader, Stored, StreamState
from plantops.flow.declaration import consumer_name
from plantops.flow.processor import Reads
from plantops.runtime.errors import IntegrityError

log = structlog.get_logger()

_WAIT_SECONDS: Final = 1.0
_QUIET_SECONDS: Final = 5.0
# What the run before us asked for is still given to it for a moment, dead or not: look again soon and often.
_TAKEOVER_SECONDS: Final = 3.0
_TAKEOVER_QUIET_SECONDS: Final = 0.3


class Inlet:
    """`key` names it in position vectors: the stream, and the consumer's own name where it has one.

    `ahead` and `most` as in `Bus.reader`; a number alone means ahead.
    """

    def __init__(self, process: str, reads: Reads, *, ahead: bool = False, most: int = 0) -> None:
        self.reads: Final = reads
        self.key: Final = f"{reads.stream}/{reads.name}" if reads.name else reads.stream
        self.position = 0
        self.clock_ns = 0
        self.is_adrift = False  # something delivered was lost: rewind before the next fetch
        self._consumer = consumer_name(process, reads)
        self._ahead, self._most = ahead, most
        self._reader: Reader | None = None
        self._expected = 1
        self._owed = 0  # messages that were there at the last rewind
        self._moved_at = 0.0
        self._opened_at = 0.0
        self._unacknowledged: Stored | None = None

    async def open(self, bus: Bus) -> None:
        """Bind and go to the position. Raises: StreamMissing, BrokerUnavailable."""
        stream, consumer = self.reads.stream, self._consumer
        if self._most:
            self._reader = await bus.reader(stream, consumer, ahead=True, most=self._most)
        else:
            self._reader = await bus.reader(stream, consumer, ahead=self._ahead)
        await self.rewind()
        self._opened_at = self._moved_at

    async def rewind(self) -> None:
        """Deliver from position + 1 on, whatever was delivered before."""
        self._owed = await self._bound().reset(self.position + 1)
        self._expected = 1
        self.is_adrift = False
        self._moved_at = asyncio.get_running_loop().time()

    def needs_rewind(self) -> bool:
        """After a jump, and now and then when nothing comes.

        The pull of a run that was replaced may have taken the last messages with it, and where nothing
        follows them no jump ever shows it.
        """
        now = asyncio.get_running_loop().time()
        quiet = _TAKEOVER_QUIET_SECONDS if self._has_just_taken_over(now) else _QUIET_SECONDS
        return self.is_adrift or now - self._moved_at >= quiet

    def _has_just_taken_over(self, now: float) -> bool:
        return now - self._opened_at < _TAKEOVER_SECONDS

    async def fetch(self, limit: int) -> list[Stored]:
        """What is delivered next, or nothing after a second at most."""
        now = asyncio.get_running_loop().time()
        wait = _TAKEOVER_QUIET_SECONDS if self._has_just_taken_over(now) else _WAIT_SECONDS
        delivered = await self._bound().fetch(limit, wait)
        if delivered:
            self._moved_at = asyncio.get_running_loop().time()
        return delivered

    def accept(self, delivered: Iterable[Stored]) -> list[Stored]:
        """The messages to fold now. A jump in the delivery count, or a first one with less behind it than
        there was, ends them and sets `is_adrift`."""
        fresh: list[Stored] = []
        position = self.position
        for stored in delivered:
            # Another run's reset has a first delivery too, and may skip what is before its own place.
            is_short = stored.delivery == 1 and stored.pending + 1 < self._owed
            if stored.delivery != self._expected or is_short:
                log.info("delivery.jump", input=self.key, expected=self._expected, got=stored.delivery)
                self.is_adrift = True
                break
            self._expected += 1
            if stored.sequence > position:
                position = stored.sequence
                fresh.append(stored)
        return fresh

    def folded(self, stored: Stored) -> None:
        """`stored` is in the state."""
        self.position = stored.sequence
        if stored.ack_subject:
            self._unacknowledged = stored

    def time_of(self, stored: Stored) -> int:
        """Broker time that never falls: a clock that was set back cannot turn the order round."""
        self.clock_ns = max(self.clock_ns, stored.time_ns)
        return self.clock_ns

    @property
    def unacknowledged(self) -> Stored | None:
        """The last message that was folded; None when it is acknowledged."""
        return self._unacknowledged

    async def acknowledge(self, last: Stored | None) -> None:
        """All up to `last`, which was `unacknowledged` for the snapshot that is stored by now.

        Raises: BrokerUnavailable.
        """
        if last is None:
            return
        await self._bound().ack(last)
        if self._unacknowledged is last:
            self._unacknowledged = None

    async def confirm(self, stored: Stored) -> None:
        """All up to and including `stored`, for who keeps count himself. Raises: BrokerUnavailable."""
        if stored.ack_subject:
            await self._bound().ack(stored)

    def _bound(self) -> Reader:
        if self._reader is None:
            raise RuntimeError(f"input {self.key!r} is not open: call restore first")
        return self._reader


def check_identity(stream: str, state: StreamState, created: str, position: int) -> None:
    """A stream that was made anew or cut short holds other history than what was folded.

    Raises: IntegrityError naming the stream.
    """
    if created and state.created != created:
        raise IntegrityError(
            f"stream {stream!r} was deleted and made again ({state.created}, known since {created}): what "
            "was folded is not what it holds; find out who did it, then delete the snapshot to rebuild",
            path=stream,
        )
    if state.last < position:
        raise IntegrityError(
            f"stream {stream!r} ends at {state.last}, but {position} was folded already: it lost messages; "
            "restore it, or delete the snapshot to rebuild from what is left",
            path=stream,
        )
    if 0 < position < state.first - 1:
        log.warning("stream.expired", stream=stream, folded=position, first=state.first)
