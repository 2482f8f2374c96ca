"""What the gate tells about commands: views over its state, computed when asked. Pure."""

from __future__ import annotations

from itertools import islice

from plantops.events.base import CommandId
from plantops.events.queries import ApprovalsListed, CommandsListed, CommandStatus
from plantops.gate.state import Asked, GateState, View

# `c` and a stream sequence, which has 64 bit.
MAX_HANDLE = 21


def find(state: GateState, text: str) -> CommandId | None:
    """The command meant by an identity or a handle such as `c12`."""
    if text in state.asked:
        return CommandId(text)
    if text.startswith("c") and text.isascii() and text[1:].isdigit() and len(text) <= MAX_HANDLE:
        return state.by_sequence.get(int(text[1:]))
    return None


def status(state: GateState, command: CommandId) -> CommandStatus | None:
    """Where a command stands; None when nobody asked for it."""
    view = View(state)
    asked = view.asked(command)
    return None if asked is None else _status(view, command, asked)


def _status(view: View, command: CommandId, asked: Asked) -> CommandStatus:
    course, deed = view.course(command), view.deed(command)
    expires_at = None
    if course.approval is not None:
        expires_at = course.approval.expires_at
    elif course.simulated is not None:
        expires_at = course.simulated.expires_at
    return CommandStatus(
        command=command,
        handle=f"c{asked.sequence}",
        asset=asked.intent.asset,
        operation=asked.intent.operation,
        arguments=asked.intent.arguments,
        actor=asked.intent.actor,
        phase=course.phase,
        reason=deed.reason or course.reason,
        outcome=deed.final or ("command.claimed" if deed.claimed else ""),
        asked_at=asked.at,
        confirms=asked.intent.confirms,
        expires_at=expires_at,
        simulation_digest=course.simulated.result if course.simulated else "",
        next=course.simulated.next if course.simulated else "",
        confirmed_by=_confirmed_by(view, command),
    )


def _confirmed_by(view: View, command: CommandId) -> str:
    confirming = view.confirmed_by(command)
    asked = view.asked(confirming) if confirming else None
    return f"c{asked.sequence}" if asked else ""


def listed(state: GateState, limit: int, *, open_only: bool) -> CommandsListed:
    """The newest commands first, at most `limit` (1 to 1,000) of them."""
    view = View(state)
    bound = max(1, min(limit, 1000))
    chosen = view.open_ones() if open_only else list(state.asked)
    return CommandsListed(
        commands=tuple(
            _status(view, command, state.asked[command]) for command in islice(reversed(chosen), bound)
        ),
        total=len(chosen),
    )


def approvals(state: GateState) -> ApprovalsListed:
    """What waits for a second person, the oldest first."""
    view = View(state)
    waiting = [(view.asked(command), view.course(command)) for command in view.waiting()]
    known = [
        (asked, course) for asked, course in waiting if asked is not None and course.approval is not None
    ]
    return ApprovalsListed(
        waiting=tuple(course.approval for _asked, course in known if course.approval),
        handles=tuple(f"c{asked.sequence}" for asked, _course in known),
        approved_by=tuple(course.approvers for _asked, course in known),
    )
