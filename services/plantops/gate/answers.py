"""What the gate tells about commands: views over its state, computed when asked. Pure."""

from __future__ import annotations

from datetime import datetime
from itertools import islice

from plantops.events.base import AssetName, CommandId, Digest
from plantops.events.command_parts import Intent
from plantops.events.queries import (
    ApprovalsListed,
    CircumstancesAsked,
    CircumstancesTold,
    CommandsListed,
    CommandStatus,
    HoldsListed,
)
from plantops.gate import undoing
from plantops.gate.circumstances import circumstances_of, too_much_to_count
from plantops.gate.returned import Returned
from plantops.gate.site import busy
from plantops.gate.state import Asked, Course, Deed, GateState, View
from plantops.policy.acts import is_act


def find(state: GateState, text: str) -> CommandId | None:
    """The command meant by an identity or a handle such as `c12`."""
    return View(state).find(text)


def status(state: GateState, command: CommandId) -> CommandStatus | None:
    """Where a command stands; None when nobody asked for it."""
    view = View(state)
    asked = view.asked(command)
    return None if asked is None else _status(state, command, asked)


def _status(state: GateState, command: CommandId, asked: Asked) -> CommandStatus:
    view = View(state)
    course, deed = view.course(command), view.deed(command)
    expires_at = None
    if course.approval is not None:
        expires_at = course.approval.expires_at
    elif course.simulated is not None:
        expires_at = course.simulated.expires_at
    return CommandStatus(
        command=command,
        handle=view.handle(command),
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
        undo=_is_undoable(state, command, asked),
        reconciled=deed.reconciled,
        cause=state.fallbacks[command].cause if command in state.fallbacks else CommandId(""),
        mode=asked.intent.mode,
        on_behalf_of=asked.intent.on_behalf_of,
        intent=asked.digest,
        outputs=_outputs(course, deed),
    )


def _outputs(course: Course, deed: Deed) -> Returned:
    if deed.final:
        return deed.outputs
    return course.simulated.told if course.simulated else None


def _is_undoable(state: GateState, command: CommandId, asked: Asked) -> bool:
    """The policy names the model that the gate runs on, or nothing is allowed at all."""
    if state.verified is None:
        return False
    model = state.verified.policy.model
    return not undoing.why_not(model, state, command, asset=asked.intent.asset)


def _confirmed_by(view: View, command: CommandId) -> str:
    confirming = view.confirmed_by(command)
    return view.handle(confirming) if confirming else ""


def listed(state: GateState, limit: int, *, open_only: bool) -> CommandsListed:
    """The newest commands first, at most `limit` (1 to 1,000) of them."""
    view = View(state)
    bound = max(1, min(limit, 1000))
    chosen = view.open_ones() if open_only else list(state.asked)
    return CommandsListed(
        commands=tuple(
            _status(state, command, asked)
            for command in islice(reversed(chosen), bound)
            if (asked := view.asked(command)) is not None
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
        escalated_to=tuple(course.escalated_to or () for _asked, course in known),
    )


def holds(state: GateState, asset: AssetName) -> HoldsListed:
    """What hangs on an asset, or on all where none is named; the oldest first."""
    view = View(state)
    locks = [each for each in state.locks.values() if asset in ("", each.asset)]
    bypasses = [each for each in state.bypasses.values() if asset in ("", each.asset)]
    locks.sort(key=lambda each: (each.since, each.lock))
    bypasses.sort(key=lambda each: (each.since, each.bypass))
    return HoldsListed(
        lockouts=tuple(locks),
        lockout_handles=tuple(view.handle(each.lock) for each in locks),
        bypasses=tuple(bypasses),
        bypass_handles=tuple(view.handle(each.bypass) for each in bypasses),
    )


def circumstances(state: GateState, question: CircumstancesAsked, now: datetime) -> CircumstancesTold:
    """What a judgement of such an intent would know at `now`."""
    intent = Intent(
        asset=question.asset,
        operation=question.operation,
        actor=question.actor,
        on_behalf_of=question.on_behalf_of,
    )
    asked = Asked(intent, Digest(""), question.actor, "", 0, now)
    verified = state.verified
    uncounted = too_much_to_count(state, verified.policy, asked, now) if verified is not None else ()
    return CircumstancesTold(
        circumstances=circumstances_of(state, asked, now, counts=not uncounted),
        policy=verified.digest if verified is not None else Digest(""),
        at=now,
        busy="" if is_act(intent.operation) else busy(View(state), intent.asset, now, CommandId("")),
        uncounted=uncounted,
    )
