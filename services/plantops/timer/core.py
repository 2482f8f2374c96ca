"""The timer: which commands wait for somebody, until when, and when a bypass ends. Pure.

It decides nothing. The gate checks each expiry itself at use; the timer only makes silence an event.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, TypeAlias

import msgspec

from plantops.events import Event
from plantops.events.base import CommandId, SiteName
from plantops.events.commands import (
    ApprovalRequested,
    CommandPermitted,
    CommandSimulated,
    SimulationOrdered,
)
from plantops.events.governance import ApprovalEscalated, BypassEnded, BypassGranted
from plantops.flow.processor import Fact, Output, Reads, Recorded

NAME = "timer"

Purpose: TypeAlias = Literal["approval", "confirmation", "execution", "escalation", "bypass"]
# What ends with the command's next word. A bypass goes on when the act that granted it is done.
OF_A_COMMAND: Final[tuple[Purpose, ...]] = ("approval", "confirmation", "execution", "escalation")


class Due(msgspec.Struct, order=True):
    """One deadline."""

    due: datetime
    command: CommandId
    purpose: Purpose


@dataclass
class TimerState:
    """Open deadlines by command and purpose; the newest of each counts."""

    open: dict[tuple[CommandId, Purpose], Due] = field(default_factory=dict)

    def wait(self, command: CommandId, purpose: Purpose, due: datetime) -> None:
        """Open a deadline, or move it."""
        self.open[command, purpose] = Due(due, command, purpose)

    def close(self, command: CommandId, *purposes: Purpose) -> None:
        """Close deadlines of a command, where they are open."""
        for purpose in purposes:
            self.open.pop((command, purpose), None)


@dataclass(frozen=True)
class Timer:
    """Folds the gate's words into open deadlines; emits nothing by itself, since a core has no clock."""

    site: SiteName
    name: str = NAME
    version: int = 2
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
        """Open, replace or close deadlines: each word on a command ends what it waited for until then.

        A claim never comes before its permit, also after a restart: both stand in COMMANDS.
        """
        fact = recorded.fact
        match fact:
            case SimulationOrdered():
                # Executor and simulator are asked in one breath; patience ends with the later of them.
                known = state.open.get((fact.command, "execution"))
                due = fact.permit.not_after if known is None else max(known.due, fact.permit.not_after)
                state.wait(fact.command, "execution", due)
            case BypassGranted():
                state.wait(fact.bypass.bypass, "bypass", fact.bypass.expires_at)
            case BypassEnded():
                state.close(fact.bypass, "bypass")
            case ApprovalEscalated():
                state.close(fact.command, "escalation")
            case _:
                _next_word(state, fact)
        return state

    def dump(self, state: TimerState) -> bytes:
        """Equal states give equal bytes."""
        return msgspec.msgpack.encode(sorted(state.open.values()))

    def load(self, data: bytes) -> TimerState:
        """Raises: ValueError when the bytes are no snapshot of this version."""
        due = msgspec.msgpack.decode(data, type=list[Due])
        return TimerState({(each.command, each.purpose): each for each in due})


def _next_word(state: TimerState, fact: Fact) -> None:
    command = getattr(fact, "command", None)
    if command is None:
        return
    state.close(command, *OF_A_COMMAND)
    match fact:
        case CommandSimulated() if fact.next == "confirm":
            state.wait(command, "confirmation", fact.expires_at)
        case ApprovalRequested():
            state.wait(command, "approval", fact.expires_at)
            if fact.escalates_at is not None and fact.escalates_at < fact.expires_at:
                state.wait(command, "escalation", fact.escalates_at)
        case CommandPermitted():
            state.wait(command, "execution", fact.permit.not_after)
            state.close(fact.confirms, "confirmation")  # the simulation that it confirms waits no more
        case _:
            return


def inputs_of(site: str) -> tuple[Reads, ...]:
    """All of COMMANDS that opens or closes a deadline."""
    opening = ("simulation_ordered", "simulated", "approval_requested", "permitted", "bypass_granted")
    closing = ("denied", "cancelled", "expired", "claimed", "executed", "failed", "outcome_unknown")
    acts = ("approval_escalated", "act_done", "bypass_ended", "reconcile_ordered")
    return (Reads("COMMANDS", tuple(f"cmd.{site}.{each}.*.*" for each in (*opening, *closing, *acts))),)
