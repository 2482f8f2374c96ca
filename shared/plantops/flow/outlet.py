"""The output of a processor: atomic batches upon the last own event, with the positions they stand for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import structlog

from plantops.events import Event
from plantops.events.envelope import CORRELATION, EVENT_ID, POSITION, TRACE, Message
from plantops.flow.bus import Bus, Stored
from plantops.flow.processor import Recorded
from plantops.flow.signing import Signer
from plantops.flow.snapshot import OWNER
from plantops.flow.wire import MAX_BATCH
from plantops.runtime.errors import BrokerUnavailable, Conflict, Fenced, IntegrityError
from plantops.runtime.tracing import carried

log = structlog.get_logger()

_PAUSE_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Produced:
    """The own events that one input caused, and the input positions once it is folded."""

    cause: Stored
    events: Sequence[Recorded]
    positions: Mapping[str, int]


class Outlet:
    """Stores own events. `covered` are the input positions for which the log holds all of them."""

    def __init__(self, bus: Bus, signer: Signer, stream: str, own_filter: str, token: str) -> None:
        self._bus, self._signer = bus, signer
        self._stream, self._filter, self._token = stream, own_filter, token
        self.covered: dict[str, int] = {}
        self.last = 0

    async def open(self) -> None:
        """Look up the last own event. Raises: IntegrityError when its positions cannot be read."""
        stored = await self._bus.last(self._stream, self._filter)
        if stored is None:
            return
        try:
            covered = msgspec.json.decode(stored.headers.get(POSITION, ""), type=dict[str, int])
        except msgspec.DecodeError as error:
            raise IntegrityError(
                f"the last event on {self._filter!r} (sequence {stored.sequence}) tells no input positions: "
                "something else than the processor wrote there",
                path=self._stream,
            ) from error
        self.last, self.covered = stored.sequence, covered

    async def store(self, produced: Sequence[Produced]) -> None:
        """All of it, in order; returns when it is stored, however long that takes. Raises: Fenced."""
        for batch in _batches(produced):
            positions = dict(batch[-1].positions)
            await self._store_batch(self._messages(batch, positions))
            self.covered = positions

    def _messages(self, batch: Sequence[Produced], positions: Mapping[str, int]) -> list[Message]:
        headers = {POSITION: msgspec.json.encode(positions).decode(), OWNER: self._token}
        return [message for part in batch for message in self._messages_of(part, headers)]

    def _messages_of(self, part: Produced, headers: Mapping[str, str]) -> list[Message]:
        cause = part.cause
        with carried(cause.headers.get(TRACE, "")):
            return [
                self._signer.message(
                    event.subject,
                    _event(event),
                    id=event.id,
                    time=event.time_ns,
                    causation=cause.headers.get(EVENT_ID, f"{cause.stream}.{cause.sequence}"),
                    correlation=cause.headers.get(CORRELATION, ""),
                    headers=headers,
                )
                for event in part.events
            ]

    async def _store_batch(self, messages: Sequence[Message]) -> None:
        is_told = False
        while True:
            try:
                self.last = await self._bus.publish_batch(
                    messages, stream=self._stream, expected_last=self.last, expected_subject=self._filter
                )
            except (Conflict, BrokerUnavailable) as error:
                if await self._is_stored(messages[-1]):
                    return
                if not is_told:
                    log.warning("output.waiting", stream=self._stream, reason=error.message)
                    is_told = True
            else:
                return
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _is_stored(self, message: Message) -> bool:
        """After a conflict or no answer: is our batch in? Raises: Fenced when somebody else wrote."""
        while True:
            try:
                stored = await self._bus.last(self._stream, self._filter)
                break
            except BrokerUnavailable:
                await asyncio.sleep(_PAUSE_SECONDS)
        sequence = stored.sequence if stored else 0
        if stored is None or sequence == self.last:
            return False
        headers = stored.headers
        if headers.get(OWNER) == self._token and headers.get(EVENT_ID) == message.header(EVENT_ID):
            self.last = sequence
            return True
        raise Fenced(
            f"another run wrote {sequence} on {self._filter!r} after our {self.last}: this one stops",
            stream=self._stream,
            owned=self._filter,
        )


def _batches(produced: Sequence[Produced]) -> Iterator[list[Produced]]:
    """Groups of at most 1,000 events; the events of one input are never parted.

    Raises: ValueError when one input caused more than that.
    """
    batch: list[Produced] = []
    size = 0
    for part in produced:
        if len(part.events) > MAX_BATCH:
            raise ValueError(
                f"{part.cause.stream} {part.cause.sequence} caused {len(part.events)} events, "
                f"at most {MAX_BATCH} can be stored as one"
            )
        if batch and size + len(part.events) > MAX_BATCH:
            yield batch
            batch, size = [], 0
        if part.events:
            batch.append(part)
            size += len(part.events)
    if batch:
        yield batch


def _event(recorded: Recorded) -> Event:
    assert isinstance(recorded.fact, Event)
    return recorded.fact
