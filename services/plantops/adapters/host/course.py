"""How far a command has come, and how it ends. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from plantops.adapters.host.execution import first_problem, is_proved
from plantops.events.command_parts import Decision, Permit, StepResult, Write
from plantops.events.commands import CommandExecuted, CommandFailed, OutcomeUnknown

Final: TypeAlias = CommandExecuted | CommandFailed | OutcomeUnknown


@dataclass(frozen=True, slots=True)
class Course:
    """What happened so far. `stopped` says why it went no further where no write was at fault;
    `is_unknown` that a write may or may not have reached the device; `window_ms` is the first write's."""

    steps: tuple[StepResult, ...] = ()
    decision: Decision | None = None
    window_ms: float = 0.0
    stopped: str = ""
    is_unknown: bool = False

    @property
    def is_over(self) -> bool:
        """Whether nothing more may be written: something is wrong with the last step, or before the next."""
        return bool(self.stopped) or self.is_unknown or bool(self.steps and not is_proved(self.steps[-1]))

    @property
    def is_written(self) -> bool:
        """Whether the device took any of it."""
        return any(step.written_at is not None for step in self.steps)

    @property
    def problem(self) -> str:
        """Why it is over; empty where each step so far is proved."""
        return self.stopped or first_problem(self.steps)


@dataclass(frozen=True, slots=True)
class Back:
    """What was done to take the steps back; `problem` says why not all of it."""

    steps: tuple[StepResult, ...] = ()
    problem: str = ""
    is_unknown: bool = False


def ending(permit: Permit, course: Course, undo: tuple[Write, ...], back: Back | None) -> Final:
    """The last word on a command that writes. `back` is None where nothing was to be taken back."""
    problem = course.problem
    if back is not None and back.problem:
        problem = f"{problem}; not taken back: {back.problem}"
    if course.is_unknown or (back is not None and back.is_unknown):
        if course.is_unknown:
            problem = first_problem(course.steps) or course.stopped
        return OutcomeUnknown(site=permit.site, command=permit.command, reason=problem, steps=course.steps)
    is_taken_back = back is not None and not back.problem
    if problem or course.decision is None or len(course.steps) != len(permit.writes):
        return CommandFailed(
            site=permit.site,
            command=permit.command,
            reason=problem or "not every step was written",
            written=course.is_written,
            steps=course.steps,
            undo=() if is_taken_back else undo,
            decision=course.decision,
            compensation=() if back is None else back.steps,
            compensated=is_taken_back,
        )
    return CommandExecuted(
        site=permit.site,
        command=permit.command,
        steps=course.steps,
        undo=undo,
        window_ms=course.window_ms,
        decision=course.decision,
    )
