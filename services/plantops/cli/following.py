"""Following a command: what is stored about it is told as it comes; the gate says where it stands."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from plantops.cli.output import exact, safe
from plantops.cli.session import Session
from plantops.events import Event, EventUnreadable, decode, event_type
from plantops.events.base import CommandId
from plantops.events.command_parts import Intent, StepResult, command_id
from plantops.events.commands import (
    ApprovalRequested,
    CommandClaimed,
    CommandExecuted,
    CommandExpired,
    CommandPermitted,
    CommandSimulated,
    SafePermitted,
)
from plantops.events.envelope import Message
from plantops.events.governance import ActDone, ApprovalEscalated
from plantops.events.queries import CommandAsked, CommandStatus
from plantops.flow.bus import Subscription
from plantops.flow.results import is_at_rest, listen_to_results
from plantops.runtime.errors import Refused

LOOK_SECONDS = 1.0
_LAST_WORD = {"waiting": "approval_requested", "done": "act_done"}


@dataclass(frozen=True, slots=True)
class Told:
    """One stored step, in words."""

    at: datetime
    kind: str
    text: str
    event: object


class Follower:
    """Hears the stored events of one command. Between `async with` and `until_rest` nothing is missed."""

    def __init__(self, here: Session, intent: Intent, tell: Callable[[Told], None]) -> None:
        self._here, self._tell = here, tell
        self.command: CommandId = command_id(intent.actor, intent.key)
        self.events: list[Event] = []
        self._news = asyncio.Event()
        self._listening: Subscription | None = None

    async def __aenter__(self) -> Self:
        subject = f"cmd.{self._here.site.name}.*.*.{self.command}"
        self._listening = await listen_to_results(self._here.bus, subject, self._hear)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._listening is not None:
            await self._listening.stop()

    async def _hear(self, message: Message) -> None:
        try:
            event = decode(message.data)
        except EventUnreadable:
            return  # a newer event type; where the command stands is asked anyway
        self.events.append(event)
        self._tell(Told(datetime.now(UTC), event_type(event).removeprefix("command."), words(event), event))
        self._news.set()

    async def until_rest(self, seconds: float) -> CommandStatus:
        """Until the command is at its end or waits for a person. Raises: Refused when it takes longer."""
        deadline = time.monotonic() + seconds
        while True:
            self._news.clear()
            status = await self._status()
            if status is not None and is_at_rest(status):
                await self._hear_out(status)
                return status
            if time.monotonic() > deadline:
                where = f"{status.handle} {describe(status)}" if status else str(self.command)
                raise Refused(
                    f"{where}, still after {seconds:g} s: follow it with `plantops commands`", reason="late"
                )
            try:
                await asyncio.wait_for(self._news.wait(), LOOK_SECONDS)
            except TimeoutError:
                continue

    async def _hear_out(self, status: CommandStatus) -> None:
        """The answer may be quicker than the news of it: let the last step be told too."""
        last = status.outcome or f"command.{_LAST_WORD.get(status.phase, status.phase)}"
        deadline = time.monotonic() + LOOK_SECONDS
        while not any(event_type(event) == last for event in self.events) and time.monotonic() < deadline:
            self._news.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), LOOK_SECONDS / 4)

    async def _status(self) -> CommandStatus | None:
        try:
            return await self._here.ask("command", "get", CommandAsked(command=self.command), CommandStatus)
        except Refused as error:
            if error.reason == "unknown_command":
                return None  # stored, and not yet folded
            raise


def describe(status: CommandStatus, now: datetime | None = None) -> str:
    """Where a command stands, in words; `now` (default: the clock) tells what is too late."""
    if status.outcome and status.outcome != "command.claimed":
        ended = status.outcome.removeprefix("command.").replace("_", " ")
        return f"{ended}: {status.reason}" if status.reason else ended
    if status.phase == "simulated":
        return _simulated(status, now or datetime.now(UTC))
    if status.phase == "waiting" and status.expires_at:
        return f"waits for approval until {status.expires_at:%H:%M:%S} UTC: plantops approve {status.handle}"
    return f"{status.phase}: {status.reason}" if status.reason else status.phase


def _simulated(status: CommandStatus, now: datetime) -> str:
    if status.confirmed_by:
        return f"simulated, and confirmed by {status.confirmed_by}"
    if status.next == "nothing" or status.expires_at is None:
        return "simulated; nothing was written"
    if now >= status.expires_at:
        return f"simulated; its time to be confirmed ended at {status.expires_at:%H:%M:%S} UTC, ask again"
    return f"simulated; to execute it: --confirm {status.handle} before {status.expires_at:%H:%M:%S} UTC"


def words(event: object) -> str:
    """What an event says, for people."""
    match event:
        case CommandSimulated():
            return _foreseen(event)
        case CommandPermitted() | SafePermitted():
            writes = ", ".join(f"{safe(write.tag)} = {exact(write.value)}" for write in event.permit.writes)
            if event.permit.invocation is not None:
                writes = safe(f"calls {event.permit.invocation.path}")
            return f"{writes} at {event.permit.source}, until {event.permit.not_after:%H:%M:%S} UTC"
        case ActDone():
            return safe(event.text)
        case CommandClaimed():
            return f"by {event.executor}"
        case CommandExecuted():
            steps = "; ".join(map(_step, event.steps))
            return f"{steps}; window {event.window_ms:.1f} ms"
        case ApprovalRequested() | ApprovalEscalated() | CommandExpired():
            return _waited_for(event)
        case _:
            reason = getattr(event, "reason", "") or getattr(event, "problem", "")
            return safe(str(reason))


def _step(done: StepResult) -> str:
    text = f"{safe(done.write.tag)}: {exact(done.before)} → {exact(done.write.value)}"
    return f"{text}, read back {exact(done.read_back)}" + (" [green]verified[/]" if done.verified else "")


def _foreseen(event: CommandSimulated) -> str:
    after = ", ".join(f"{safe(tag)} → {exact(value)}" for tag, value in event.projected.items())
    after = after or safe(str(event.simulated.get("act", "nothing is written")))
    told = ", ".join(
        f"{safe(name)} = {exact(value)}" for name, value in event.simulated.items() if name != "act"
    )
    after += f"; the simulator says {told}" if told else ""
    return f"{after}; next: {event.next} (result {event.result[:12]})"


def _waited_for(event: ApprovalRequested | ApprovalEscalated | CommandExpired) -> str:
    match event:
        case ApprovalRequested():
            return f"{event.needed} of {', '.join(event.roles)} before {event.expires_at:%H:%M:%S} UTC"
        case ApprovalEscalated():
            return f"nobody has answered: {', '.join(event.roles)} may approve too"
        case CommandExpired():
            return f"nobody answered in time: {event.waiting_for}"
