"""Frames on their way to the broker: bounded, in batches, each delivered once or told as a gap.

Two lanes. What is young goes first; what grew old is history and goes with what room is left. A frame
becomes history only together with all that were made before it, and then everything is sent anew
(`on_break`): so no confirmation ever covers a change that did not become current.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import structlog

from plantops.adapters.host.away import AWAY
from plantops.adapters.host.clock import Clock
from plantops.adapters.host.framing import as_history
from plantops.adapters.host.gaps import GapTeller
from plantops.events import subjects
from plantops.events.base import SiteName, SourceName
from plantops.events.envelope import Message
from plantops.events.frames import decode_frame
from plantops.events.tags import TagFrame
from plantops.flow.bus import Bus
from plantops.flow.signing import Signer
from plantops.runtime.errors import BrokerError, Conflict, Fenced

log = structlog.get_logger()

MAX_BATCH_FRAMES = 100
MAX_BATCH_BYTES = 4 * 1024 * 1024
_RETRY_SECONDS = 0.25
_RETRY_CAP_SECONDS = 2.0


@dataclass(slots=True)
class _Waiting:
    frame: TagFrame
    made_at: float


class Outbox:
    """Takes frames of one epoch and publishes them; holds `limit` frames besides the batch on its way.

    A frame older than `live_seconds` is delivered as history. `is_held` is asked before each batch:
    without the lease nothing is sent.
    """

    def __init__(
        self,
        bus: Bus,
        signer: Signer,
        clock: Clock,
        gaps: GapTeller,
        *,
        site: SiteName,
        source: SourceName,
        epoch: int,
        limit: int,
        live_seconds: float,
        is_held: Callable[[], bool],
        on_break: Callable[[], None],
    ) -> None:
        self._bus, self._signer, self._clock, self._gaps = bus, signer, clock, gaps
        self._subject = subjects.tag(site, source)
        self._source, self._epoch, self._limit, self._live_seconds = source, epoch, limit, live_seconds
        self._is_held, self._on_break = is_held, on_break
        self._live: deque[_Waiting] = deque()
        self._backlog: deque[_Waiting] = deque()
        self._batch: list[_Waiting] = []
        self._in_doubt = 0
        self._expected: int | None = None
        self._is_away = False
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def waiting(self) -> int:
        """Frames made and not known to be stored."""
        return len(self._live) + len(self._backlog) + len(self._batch)

    def add(self, frames: Iterable[TagFrame]) -> None:
        """Take frames in the order of their sequence. Never blocks; what is too much becomes a gap."""
        now = self._clock.monotonic()
        is_broken = False
        for frame in frames:
            if len(self._live) + len(self._backlog) >= self._limit:
                is_broken |= self._make_room()
            self._live.append(_Waiting(frame, now))
        self._idle.clear()
        self._wake.set()
        if is_broken:
            self._on_break()

    async def run(self) -> None:
        """Publish for ever; may be cancelled and run again. Raises: Fenced when another owner published."""
        while True:
            await self._wake.wait()
            if not self._batch:
                self._take()
            if not self._batch:
                await self._gaps.tell()
                self._wake.clear()
                if not self.waiting:
                    self._idle.set()
                continue
            await self._deliver()
            await self._gaps.tell()

    def abandon(self) -> None:
        """Give up what waits; all of it becomes a gap. For the end of an epoch."""
        for waiting in (*self._batch, *self._backlog, *self._live):
            self._gaps.dropped(waiting.frame, "restart")
        self._batch.clear()
        self._backlog.clear()
        self._live.clear()

    async def drained(self) -> None:
        """Returns when nothing waits any more."""
        await self._idle.wait()

    def _make_room(self) -> bool:
        """Drop the oldest frame; whether live data had to become history for that."""
        is_broken = not self._backlog
        if is_broken:
            self._relegate()
        self._gaps.dropped(self._backlog.popleft().frame)
        return is_broken

    def _relegate(self) -> None:
        self._backlog.extend(self._live)
        self._live.clear()

    def _is_old(self, waiting: _Waiting) -> bool:
        return self._clock.monotonic() - waiting.made_at > self._live_seconds

    def _take(self) -> None:
        """The next batch: young frames, then history as far as there is room."""
        if self._live and self._is_old(self._live[0]):
            self._relegate()
            self._on_break()
        for lane in (self._live, self._backlog):
            while lane and len(self._batch) < MAX_BATCH_FRAMES:
                waiting = lane.popleft()
                if lane is self._backlog:
                    waiting.frame = as_history(waiting.frame)
                self._batch.append(waiting)

    async def _deliver(self) -> None:
        """Until the batch is stored: whole or not at all, and found again when the answer got lost."""
        while self._batch:
            await self._deliver_part(self._messages())

    def _messages(self) -> list[Message]:
        """As many messages of the batch, from its start, as one publish may carry."""
        messages: list[Message] = []
        size = 0
        # What was tried and may be stored is tried again as it was, or its end could not be recognised.
        for waiting in self._batch[: self._in_doubt or len(self._batch)]:
            message = self._signer.frame_message(self._subject, waiting.frame)
            size += len(message.data)
            if messages and size > MAX_BATCH_BYTES and not self._in_doubt:
                break
            messages.append(message)
        return messages

    async def _deliver_part(self, messages: list[Message]) -> None:
        count = self._in_doubt = len(messages)
        tail = self._batch[count - 1].frame.sequence
        delay = _RETRY_SECONDS
        while not await self._attempt(messages, tail):
            await self._clock.sleep(delay)
            delay = min(delay * 2, _RETRY_CAP_SECONDS)
            if self._age():
                messages = self._messages()
        self._say_back()
        del self._batch[:count]
        self._in_doubt = 0

    async def _attempt(self, messages: list[Message], tail: int) -> bool:
        """Whether the messages are stored, by this or by an earlier attempt. Raises: Fenced."""
        if not self._is_held():
            return False
        try:
            if self._expected is None and await self._is_stored(tail):
                return True
            self._expected = await self._bus.publish_batch(
                messages, stream="TAGS", expected_last=self._expected
            )
        except AWAY as error:
            self._say_away(error)
        except Conflict:
            pass
        else:
            return True
        try:
            return await self._is_stored(tail)
        except AWAY:
            return False

    async def _is_stored(self, tail: int) -> bool:
        """Whether the subject ends with our frame `tail`; all of a batch is there, or nothing of it.

        Whatever the answer, `_expected` is then what the next attempt must expect: a copy still on its way
        loses against it, or is found here the next time.
        """
        last = await self._bus.last("TAGS", self._subject)
        if last is None:
            self._expected = 0  # the stream's own bounds took what was there
            return False
        frame = decode_frame(last.data)
        if frame.epoch > self._epoch:
            raise self._fenced(frame.epoch)
        self._expected = last.sequence
        return (frame.epoch, frame.sequence) == (self._epoch, tail)

    def _age(self) -> bool:
        """Turn a batch that grew old on its way into history, with everything that waits behind it."""
        if self._batch[0].frame.historical or not self._is_old(self._batch[0]):
            return False
        for waiting in self._batch:
            waiting.frame = as_history(waiting.frame)
        self._relegate()
        self._on_break()
        return True

    def _fenced(self, epoch: int) -> Fenced:
        return Fenced(
            f"source {self._source!r} has frames of epoch {epoch}, ours is {self._epoch}: "
            f"another host owns it",
            stream="TAGS",
            owned=self._source,
        )

    def _say_away(self, error: BrokerError) -> None:
        if not self._is_away:
            self._is_away = True
            log.warning("broker.lost", source=self._source, cause=str(error))

    def _say_back(self) -> None:
        if self._is_away:
            self._is_away = False
            log.info("broker.back", source=self._source, waiting=self.waiting)
