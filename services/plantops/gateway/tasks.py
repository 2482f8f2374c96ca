"""Commands that wait for a person, as the tasks of TwinOps."""

from __future__ import annotations

import re
from typing import Final

from plantops.events.queries import ApprovalsListed, CommandsAsked, CommandsListed, CommandStatus
from plantops.gateway.desk import Desk
from plantops.gateway.problems import HttpProblem, not_found
from plantops.gateway.shapes.commands import State
from plantops.gateway.shapes.tasks import Task
from plantops.gateway.standing import requester_of, risk_of, state_of, waits_for
from plantops.runtime.errors import Refused

_TASK: Final = re.compile(r"task-(c[0-9]{1,20})")
# In these words the gate tells who has rejected it, and why.
_REJECTION: Final = re.compile(r"rejected by ([^:\s]+): (.*)", re.DOTALL)
_MOST: Final = 1000
_ENDED: Final[dict[State, str]] = {
    "executed": "Executed",
    "done": "Executed",
    "executing": "Approved",
    "permitted": "Approved",
    "cancelled": "Cancelled",
    "expired": "Expired",
    "failed": "Failed",
    "unknown": "Unknown",
    "simulated": "Simulated",
}


async def command_of(desk: Desk, task: str) -> CommandStatus:
    """The command behind `task-c12`. Raises: HttpProblem 404."""
    found = _TASK.fullmatch(task)
    if found is None:
        raise not_found("task", task)
    try:
        return await desk.command(found[1])
    except Refused as error:
        if error.reason == "unknown_command":
            raise not_found("task", task) from error
        raise


async def waiting(desk: Desk) -> list[Task]:
    """What waits for an approval or a confirmation, the oldest first."""
    listed = await desk.ask("command", "list", CommandsAsked(limit=_MOST, open_only=True), CommandsListed)
    approvals = await desk.ask("command", "approvals", None, ApprovalsListed)
    return [task_of(desk, each, approvals) for each in reversed(listed.commands) if waits_for(each)]


async def shown(desk: Desk, status: CommandStatus) -> Task:
    """One of them, in any state."""
    approvals = await desk.ask("command", "approvals", None, ApprovalsListed)
    return task_of(desk, status, approvals)


def task_of(desk: Desk, status: CommandStatus, approvals: ApprovalsListed) -> Task:
    """As TwinOps writes it."""
    person = requester_of(status)
    verified = desk.in_force.verified
    policy = None if verified is None else verified.policy
    principal = None if policy is None else policy.principals.get(person)
    needed, given = 0, tuple[str, ...]()
    for each, by in zip(approvals.waiting, approvals.approved_by, strict=True):
        if each.command == status.command:
            needed, given = each.needed, tuple(by)
    rejection = _REJECTION.fullmatch(status.reason) if _status(status) == "Rejected" else None
    return Task(
        task_id=f"task-{status.handle}",
        tool=status.operation,
        asset=status.asset,
        risk=risk_of(policy, desk.plant, status.asset, status.operation).upper(),
        status=_status(status),
        requested_by=person,
        requested_by_roles=() if principal is None else principal.roles,
        args=status.arguments,
        safety_reasoning=status.reason,
        created_at=status.asked_at.timestamp(),
        expires_at=None if status.expires_at is None else status.expires_at.timestamp(),
        approved_by=", ".join(given) or None,
        rejected_by=None if rejection is None else rejection[1],
        rejection_reason=None if rejection is None else rejection[2],
        needed=needed,
        action_id=status.command,
    )


def _status(status: CommandStatus) -> str:
    match waits_for(status):
        case "approval":
            return "PendingApproval"
        case "confirmation":
            return "PendingConfirmation"
    state = state_of(status)
    if state == "denied":
        return "Rejected" if _REJECTION.fullmatch(status.reason) else "Denied"
    if state == "simulated" and status.confirmed_by:
        return "Executed"
    return _ENDED.get(state, "Approved")


def refuse_other_name(said: str | None, caller: str) -> None:
    """Raises: HttpProblem 403 when a body or header names somebody else as who approves."""
    if said and said != caller:
        raise HttpProblem(
            403,
            "forbidden",
            f"you are {caller}: nobody approves or rejects under another name",
            details={"caller": caller},
        )
