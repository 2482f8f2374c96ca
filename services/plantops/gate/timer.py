"""The timer process: says when somebody's patience with a command has run out.

It decides nothing. The gate checks each expiry itself at use; the timer only makes silence an event.
It keeps what is due in memory and finds it again from the stream after a restart.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from plantops.events import Event
from plantops.events.base import CommandId, SiteName
from plantops.events.commands import (
    ApprovalRequested,
    CommandClaimed,
    CommandPermitted,
    CommandSimulated,
)
from plantops.events.operations import TimerFired
from plantops.events.subjects import timer
from plantops.flow.context import Context
from plantops.flow.declaration import ProcessSpec, Writes
from plantops.flow.policies import follow
from plantops.flow.processor import Output, Reads, Recorded
from plantops.flow.shell import Shell

NAME = "timer"
OWNER = "gate"
# The gate's own check at use is what counts; the word comes a little later, so that it is never early.
GRACE = timedelta(milliseconds=500)
AGAIN = timedelta(seconds=30)
LOOK_SECONDS = 0.25

Purpose = Literal["approval", "confirmation", "execution"]


class Due(msgspec.Struct, order=True):
    """One deadline."""

    due: datetime
    command: CommandId
    purpose: Purpose


@dataclass
class TimerState:
    """Open deadlines by command; the newest one of a command counts."""

    open: dict[CommandId, Due] = field(default_factory=dict)


@dataclass(frozen=True)
class Timer:
    """Folds the gate's words into open deadlines; emits nothing by itself, since a core has no clock."""

    site: SiteName
    name: str = NAME
    version: int = 1
    output_stream: str = ""
    output_filter: str = ""
    emits: tuple[type[Event], ...] = ()

    @property
    def consumes(self) -> tuple[Reads, ...]:
        """What opens and what closes a deadline."""
        return inputs_of(self.site)

    def initial(self) -> TimerState:
        """Nothing is due."""
        return TimerState()

    def decide(self, state: TimerState, recorded: Recorded) -> Sequence[Output]:
        """Nothing: see `run_timer`."""
        return ()

    def evolve(self, state: TimerState, recorded: Recorded) -> TimerState:
        """Open, replace or close the deadline of a command."""
        fact = recorded.fact
        match fact:
            case ApprovalRequested():
                state.open[fact.command] = Due(fact.expires_at, fact.command, "approval")
            case CommandSimulated() if fact.next == "confirm":
                state.open[fact.command] = Due(fact.expires_at, fact.command, "confirmation")
            case CommandPermitted():
                state.open[fact.command] = Due(fact.permit.not_after, fact.command, "execution")
            case CommandClaimed():
                # A claim may be read before the permit after a restart in no case: both stand in COMMANDS.
                state.open.pop(fact.command, None)
            case _:
                command = getattr(fact, "command", None)
                if command is not None and not isinstance(fact, CommandSimulated):
                    state.open.pop(command, None)
        return state

    def dump(self, state: TimerState) -> bytes:
        """Equal states give equal bytes."""
        return msgspec.msgpack.encode(sorted(state.open.values()))

    def load(self, data: bytes) -> TimerState:
        """Raises: ValueError when the bytes are no snapshot of this version."""
        due = msgspec.msgpack.decode(data, type=list[Due])
        return TimerState({each.command: each for each in due})


def inputs_of(site: str) -> tuple[Reads, ...]:
    """All of COMMANDS that opens or closes a deadline."""
    opening = ("approval_requested", "simulated", "permitted")
    closing = ("denied", "cancelled", "expired", "claimed", "executed", "failed", "outcome_unknown")
    return (Reads("COMMANDS", tuple(f"cmd.{site}.{each}.*.*" for each in (*opening, *closing))),)


def timer_spec(site: str) -> ProcessSpec:
    """What the timer may do on the broker."""
    return ProcessSpec(
        name=NAME,
        reads=inputs_of(site),
        writes=(
            Writes("TIMERS", (timer(site, OWNER),), ("timer.fired",)),
            Writes("DEAD", (f"dead.{NAME}",), ("message.buried",)),
        ),
        lookups=("POLICY",),
        snapshots=True,
    )


async def run_timer(context: Context) -> None:
    """Until cancelled. A deadline that was told stays open until the gate answers, and is told again."""
    shell = Shell(Timer(context.site), context.bus, context.signer, context.in_force, site=context.site)
    await shell.restore()
    async with asyncio.TaskGroup() as group:
        group.create_task(shell.run())
        group.create_task(follow(context.bus, context.in_force))
        group.create_task(_ring(context, shell))


async def _ring(context: Context, shell: Shell[TimerState]) -> None:
    told: dict[CommandId, tuple[Due, datetime]] = {}
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        now, open_ = context.now(), shell.state.open
        told = {command: word for command, word in told.items() if open_.get(command) == word[0]}
        ready = [due for due in open_.values() if due.due + GRACE <= now and _is_new(told, due, now)]
        for due in heapq.nsmallest(100, ready):
            event = TimerFired(site=context.site, command=due.command, due=due.due, purpose=due.purpose)
            identity = f"timer.{due.command}.{due.purpose}"
            message = context.signer.message(timer(context.site, OWNER), event, id=identity, time=now)
            await context.bus.publish(message, stream="TIMERS")
            told[due.command] = (due, now)


def _is_new(told: Mapping[CommandId, tuple[Due, datetime]], due: Due, now: datetime) -> bool:
    """Not told yet, or not heard: the gate ignores a word that comes before its own deadline."""
    word = told.get(due.command)
    return word is None or word[0] != due or now - word[1] >= AGAIN
