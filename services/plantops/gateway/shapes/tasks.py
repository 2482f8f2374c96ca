"""Tasks: commands that wait for a person, in the shapes of TwinOps."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from plantops.events.base import Scalar
from plantops.gateway.shapes.words import Body, Reason, Told

Person = Annotated[str, Meta(max_length=64)]


class Task(Told, frozen=True):
    """`status` is PendingApproval or PendingConfirmation while it waits; then Approved, Executed, Rejected,
    Denied, Cancelled, Expired, Failed, Unknown, Simulated. `task_id` is `task-` and the command's handle.

    `tool` is the operation, of `asset`. Times are seconds since 1970. `safety_reasoning` is the gate's word.
    `approved_by`: names with commas, as long as it waits for more. What there is none of is null.
    """

    task_id: str
    tool: str
    asset: str
    risk: str
    status: str
    requested_by: str
    requested_by_roles: tuple[str, ...]
    args: dict[str, Scalar]
    safety_reasoning: str
    created_at: float
    expires_at: float | None
    approved_by: str | None
    rejected_by: str | None
    rejection_reason: str | None
    needed: int
    action_id: str


class TaskList(Told, frozen=True):
    """What waits, the oldest first."""

    tasks: tuple[Task, ...]
    count: int


class TaskShown(Told, frozen=True):
    """One task in any state."""

    task: Task


class ApproveBody(Body, frozen=True):
    """`approver` changes nothing: who approves is who has proved himself. Another name is refused."""

    approver: Person | None = None
    reason: Reason = ""


class RejectBody(Body, frozen=True):
    """As `ApproveBody`."""

    rejector: Person | None = None
    reason: Reason = ""


class Approved(Told, frozen=True):
    """The approval counts. With `given` below `needed` others must approve too; else it is being executed."""

    status: str
    task_id: str
    approved_by: str
    approved_by_roles: tuple[str, ...]
    given: int
    needed: int


class Rejected(Told, frozen=True):
    """The command is ended."""

    status: str
    task_id: str
    rejected_by: str
    rejected_by_roles: tuple[str, ...]
    reason: str


class ExecutedResult(Told, frozen=True):
    """What came of it; `job_id` is the command that executed it. `tool` is the operation, of `asset`."""

    tool: str
    asset: str
    success: bool
    result: Any
    error: str | None
    job_id: str | None
    status: str


class Executed(Told, frozen=True):
    """The answer of execute, also when it was refused: then `success` is false."""

    reply: str
    tool_results: tuple[ExecutedResult, ...]
