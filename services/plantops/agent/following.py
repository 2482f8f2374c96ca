"""Where a command stands that the agent asked for: the gate says it, the news says when to ask."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from plantops.events import EventUnreadable, decode
from plantops.events.base import CommandId, SiteName, encode_json
from plantops.events.commands import CommandExecuted, CommandSimulated
from plantops.events.envelope import Message
from plantops.events.queries import CommandAsked, CommandStatus, ProblemDetail, read_answer
from plantops.events.subjects import service
from plantops.flow.bus import Bus, Subscription
from plantops.flow.results import is_at_rest, listen_to_results, may_rest
from plantops.runtime.errors import BrokerError

_ASK_SECONDS: Final = 2.0
_FIRST_SECONDS: Final = 0.25
_SOON_SECONDS: Final = 0.01
_LATER_SECONDS: Final = 1.0


@dataclass
class Heard:
    """What was heard of one command. `simulated` and `executed` are only shown: the gate has the word."""

    news: asyncio.Event = field(default_factory=asyncio.Event)
    simulated: CommandSimulated | None = None
    executed: CommandExecuted | None = None


@dataclass
class Commands:
    """Hears `cmd.<site>.>` and asks `command.<site>.get`, as any client may."""

    site: SiteName
    client: Bus
    _heard: dict[str, Heard] = field(default_factory=dict, repr=False)
    _listening: Subscription | None = None

    async def start(self) -> None:
        """Begin to hear. Raises: BrokerError."""
        self._listening = await listen_to_results(self.client, f"cmd.{self.site}.>", self._hear)

    async def stop(self) -> None:
        if self._listening is not None:
            await self._listening.stop()

    @contextmanager
    def hearing(self, command: CommandId) -> Iterator[Heard]:
        """Nothing is missed of what comes from here on."""
        heard = self._heard.setdefault(command, Heard())
        try:
            yield heard
        finally:
            self._heard.pop(command, None)

    async def follow(self, command: CommandId, heard: Heard, *, seconds: float) -> CommandStatus | None:
        """Until nothing more happens without a person, at most `seconds`: then as it stands. None: the gate
        knows of no such command."""
        deadline = time.monotonic() + seconds
        pause = _FIRST_SECONDS
        while True:
            await _wait(heard.news, min(pause, deadline - time.monotonic()))
            pause = min(2 * pause, _LATER_SECONDS) if not heard.news.is_set() else _SOON_SECONDS
            heard.news.clear()
            status = await self.status(command)
            if status is not None and is_at_rest(status):
                return status
            if time.monotonic() >= deadline:
                return status

    async def status(self, command: CommandId) -> CommandStatus | None:
        """As the gate tells it; None when it does not answer or knows nothing of it yet."""
        question = encode_json(CommandAsked(command=command))
        try:
            reply = await self.client.request(
                service("command", self.site, "get"), question, timeout=_ASK_SECONDS
            )
            told = read_answer(reply.data, CommandStatus)
        except (BrokerError, ValueError):
            return None  # it is asked again until the deadline
        return None if isinstance(told, ProblemDetail) else told

    async def _hear(self, message: Message) -> None:
        parts = message.subject.split(".")
        heard = self._heard.get(parts[-1]) if len(parts) == 5 else None
        if heard is None:
            return
        if parts[2] in ("simulated", "executed"):
            self._note(heard, message)
        if may_rest(parts[2]):
            heard.news.set()

    def _note(self, heard: Heard, message: Message) -> None:
        try:
            event = decode(message.data)
        except EventUnreadable:
            return  # of a newer version; where the command stands is asked anyway
        if isinstance(event, CommandSimulated):
            heard.simulated = event
        elif isinstance(event, CommandExecuted):
            heard.executed = event


async def _wait(news: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(max(seconds, 0.0)):
            await news.wait()
    except TimeoutError:
        return
