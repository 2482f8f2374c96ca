"""The timer: which commands wait for somebody, and until when. Pure.

It decides nothing. The gate checks each expiry itself at use; the timer only makes silence an event.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import msgspec

from plantops.events import Event
from plantops.events.base import CommandId, SiteName
from plantops.events.commands import ApprovalRequested, CommandClaimed, CommandPermitted, CommandSimulated
from plantops.flow.processor import Output, Reads, Recorded

NAME = "timer"

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
        """Nothing: see `process`."""
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
