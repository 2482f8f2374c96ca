"""Conversations in the stream AGENT: read back from it, added to by compare-and-set.

What is kept in memory only saves reading. Whoever adds to a conversation that has moved on is told so and
looks again: between several hosts the first answer wins.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import structlog

from plantops.agent.conversation import Conversation, fold
from plantops.events import Event, event_type
from plantops.events.base import SiteName
from plantops.events.envelope import Message
from plantops.events.subjects import agent
from plantops.flow.bus import FEW, Bus, Stored
from plantops.flow.reading import UNUSABLE, read_event
from plantops.flow.signing import Signer
from plantops.flow.trust import Trust
from plantops.runtime.errors import BrokerError

STREAM: Final = "AGENT"
_PAGE: Final = 64
_KEPT: Final = 2_000

log = structlog.get_logger("plantops.agent")


@dataclass(frozen=True, slots=True)
class Held:
    """A conversation as it was at `last`, the sequence of its last event (0: it has none)."""

    name: str
    state: Conversation
    last: int


@dataclass
class Store:
    """The conversations of one site. `changed` is told the name of each that was added to or read anew."""

    site: SiteName
    bus: Bus
    signer: Signer
    trust: Trust
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    changed: Callable[[str], None] = lambda _name: None
    _kept: OrderedDict[str, Held] = field(default_factory=OrderedDict, repr=False)

    def kept(self, name: str) -> Held:
        """As far as it is known here, perhaps not at all: only for who adds to it and is told otherwise."""
        return self._kept.get(name) or Held(name, Conversation(), 0)

    async def load(self, name: str, *, at_least: int = 0) -> Held:
        """As it stands in the stream; with `at_least`, as it stood at that sequence or later.

        Raises: BrokerError.
        """
        held = self.kept(name)
        if at_least and held.last >= at_least:
            return held
        subject = self._all(name)
        last = await self.bus.last(STREAM, subject)
        if last is None:
            return self._keep(Held(name, Conversation(), 0))
        if last.sequence < held.last:  # the stream was made anew
            held = Held(name, Conversation(), 0)
        while held.last < last.sequence:
            page = await self.bus.history(STREAM, subject, held.last + 1, _PAGE)
            if not page:
                break
            held = Held(name, fold(self._events(page), held.state), page[-1].sequence)
        return self._keep(held)

    async def append(self, held: Held, *events: Event) -> Held:
        """Store 1 or more events behind `held`, in order.

        Raises: Conflict when somebody else has added to it; BrokerUnavailable when it is not known whether
        they are stored. Then a first part of them may be, and what is stored counts: load it.
        """
        messages = [self._message(held, event, number) for number, event in enumerate(events)]
        try:
            sequence = await self._publish(held, messages)
        except BrokerError:
            self._kept.pop(held.name, None)
            raise
        return self._keep(Held(held.name, fold(events, held.state), sequence))

    async def _publish(self, held: Held, messages: Sequence[Message]) -> int:
        subject, last = self._all(held.name), held.last
        if len(messages) > FEW:
            return await self.bus.publish_batch(
                messages, stream=STREAM, expected_last=last, expected_subject=subject
            )
        for message in messages:
            last = await self.bus.publish(
                message, stream=STREAM, expected_last=last, expected_subject=subject
            )
        return last

    def _message(self, held: Held, event: Event, number: int) -> Message:
        kind = event_type(event).partition(".")[2]
        turns = len(held.state.turns)
        return self.signer.message(
            agent(self.site, held.name, kind),
            event,
            id=f"{self.signer.name}.{held.name}.{held.last}.{number}",
            time=self.now(),
            causation=f"{STREAM}.{held.last}" if held.last else "",
            correlation=f"{held.name}.{getattr(event, 'turn', turns)}",
        )

    def _events(self, page: Sequence[Stored]) -> list[Event]:
        found = []
        for stored in page:
            try:
                found.append(read_event(stored, self.trust)[0])
            except UNUSABLE as error:
                # What nobody may say changes nothing; the stream keeps it for who looks.
                log.warning(
                    "agent.unusable_event",
                    subject=stored.subject,
                    sequence=stored.sequence,
                    reason=str(error),
                )
        return found

    def _keep(self, held: Held) -> Held:
        self._kept[held.name] = held
        self._kept.move_to_end(held.name)
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        self.changed(held.name)
        return held

    def _all(self, name: str) -> str:
        return f"agent.{self.site}.{name}.>"
