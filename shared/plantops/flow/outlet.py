"""The output of a processor: what one input caused is stored whole, with the positions that it stands for.

A run begins with a word on a subject that takes nothing else, and everything it stores afterwards expects
that word to be the last one there. A younger run ends an older one by saying its own. That the broker looks
at one subject and not at a filter over all of them matters: it would visit each subject that the stream has
ever had, which is several for each command (ADR 0026).
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import msgspec
import structlog

from plantops.events import Event
from plantops.events.envelope import CORRELATION, EVENT_ID, POSITION, TRACE, Message
from plantops.flow.bus import FEW, Bus, Stored
from plantops.flow.processor import Output, Recorded
from plantops.flow.signing import Signer
from plantops.flow.snapshot import OWNER
from plantops.flow.wire import MAX_BATCH, MESSAGE_ID
from plantops.runtime.errors import BrokerUnavailable, Conflict, Fenced, IntegrityError
from plantops.runtime.tracing import carried

log = structlog.get_logger()

_PAUSE_SECONDS: Final = 0.2
_CLAIMS: Final = 5


@dataclass(frozen=True, slots=True)
class Produced:
    """The own events that one input caused, and the input positions once it is folded."""

    cause: Stored
    events: Sequence[Recorded]
    positions: Mapping[str, int]


class Outlet:
    """Stores own events. `covered` are the input positions for which the log holds all of them, `last` is
    the sequence of the last one."""

    def __init__(
        self, bus: Bus, signer: Signer, stream: str, own_filter: str, *, token: str, began: Output | None
    ) -> None:
        """`token` names this run, `began` is its first word; None for a processor without an output."""
        self._bus, self._signer = bus, signer
        self._stream, self._filter, self._token, self._began = stream, own_filter, token, began
        self._reign = 0
        self.covered: dict[str, int] = {}
        self.last = 0

    async def look(self) -> None:
        """Up to where the log goes, and what it covers; nothing is stored. Raises: IntegrityError when the
        last event's positions cannot be read; BrokerUnavailable."""
        stored = await self._bus.last(self._stream, self._filter)
        self.last, self.covered = (0, {}) if stored is None else (stored.sequence, self._covered(stored))

    async def begin(self) -> None:
        """After `look`. Afterwards no older run can store anything, and `covered` tells of all that they did.

        Raises: as `look`; Fenced when others begin all the time.
        """
        for _attempt in range(_CLAIMS):
            try:
                self._reign = self.last = await self._bus.publish(
                    self._first_word(),
                    stream=self._stream,
                    message_id=secrets.token_hex(12),
                    expected_last=self.last,
                    expected_subject=self._filter,
                )
            except Conflict:
                await self.look()  # an older run has just said something
                continue
            return
        raise self._fenced(self.last)

    def _covered(self, stored: Stored) -> dict[str, int]:
        try:
            return msgspec.json.decode(stored.headers.get(POSITION, ""), type=dict[str, int])
        except msgspec.DecodeError as error:
            raise IntegrityError(
                f"the last event on {self._filter!r} (sequence {stored.sequence}) tells no input positions: "
                "something else than the processor wrote there",
                path=self._stream,
            ) from error

    def _first_word(self) -> Message:
        assert self._began is not None
        return self._signer.message(
            self._began.subject,
            self._began.event,
            id=f"{self._signer.name}.{self._token}",
            time=datetime.now(UTC),
            headers=self._headers(self.covered),
        )

    def _headers(self, positions: Mapping[str, int]) -> dict[str, str]:
        return {POSITION: msgspec.json.encode(positions).decode(), OWNER: self._token}

    async def store(self, produced: Sequence[Produced]) -> None:
        """All of it, in order; returns when it is stored, however long that takes. Raises: Fenced."""
        for batch in _batches(produced):
            positions = dict(batch[-1].positions)
            await self._store_batch(self._messages(batch, positions))
            self.covered = positions

    def _messages(self, batch: Sequence[Produced], positions: Mapping[str, int]) -> list[Message]:
        headers = self._headers(positions)
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
                    # Nobody can guess it, and a repetition is known again where an answer was lost.
                    headers={**headers, MESSAGE_ID: secrets.token_hex(12)},
                )
                for event in part.events
            ]

    async def _store_batch(self, messages: Sequence[Message]) -> None:
        assert self._began is not None
        is_told = False
        while True:
            try:
                self.last = await self._bus.publish_batch(
                    messages,
                    stream=self._stream,
                    expected_last=self._reign,
                    expected_subject=self._began.subject,
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
        raise self._fenced(sequence)

    def _fenced(self, sequence: int) -> Fenced:
        return Fenced(
            f"another run wrote {sequence} on {self._filter!r} after our {self.last}: this one stops",
            stream=self._stream,
            owned=self._filter,
        )


def _batches(produced: Sequence[Produced]) -> Iterator[list[Produced]]:
    """A few events by their inputs, many in groups of at most 1,000; those of one input are never parted.

    Raises: ValueError when one input caused more than that.
    """
    is_few = sum(len(part.events) for part in produced) <= FEW
    batch: list[Produced] = []
    size = 0
    for part in produced:
        if len(part.events) > MAX_BATCH:
            raise ValueError(
                f"{part.cause.stream} {part.cause.sequence} caused {len(part.events)} events, "
                f"at most {MAX_BATCH} can be stored as one"
            )
        if batch and (is_few or size + len(part.events) > MAX_BATCH):
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
