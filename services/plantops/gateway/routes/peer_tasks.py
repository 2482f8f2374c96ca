"""`/tasks`, as TwinOps has it: what waits for a person, and his word."""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeAlias

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import PathParameter

from plantops.events.queries import CommandStatus
from plantops.flow.words import Verdict
from plantops.gateway import tasks
from plantops.gateway.approving import Answered, give
from plantops.gateway.asking import ask_and_wait, until_rest
from plantops.gateway.bodies import AnyRequest, read_optional, taking
from plantops.gateway.caller import Caller
from plantops.gateway.desk import Desk
from plantops.gateway.live import Live
from plantops.gateway.problems import HttpProblem
from plantops.gateway.shapes.tasks import (
    ApproveBody,
    Approved,
    Executed,
    ExecutedResult,
    RejectBody,
    Rejected,
    TaskList,
    TaskShown,
)
from plantops.gateway.standing import state_of, waits_for
from plantops.runtime.errors import Refused

EXECUTE_SECONDS: Final = 30.0

TaskName: TypeAlias = Annotated[
    str, PathParameter(pattern=r"^task-c[0-9]{1,20}$", max_length=26, description="`task-` and a handle.")
]
NameHeader: TypeAlias = Annotated[str | None, PathParameter(max_length=64)]


@get("/tasks", tags=["twinops"])
async def list_tasks(desk: NamedDependency[Desk]) -> TaskList:
    """Commands that wait for an approval or a confirmation, the oldest first."""
    found = await tasks.waiting(desk)
    return TaskList(tasks=tuple(found), count=len(found))


@get("/tasks/{task:str}", tags=["twinops"])
async def show_task(desk: NamedDependency[Desk], task: TaskName) -> TaskShown:
    """A task in any state."""
    return TaskShown(task=await tasks.shown(desk, await tasks.command_of(desk, task)))


@post(
    "/tasks/{task:str}/approve",
    status_code=200,
    tags=["twinops"],
    operation_class=taking(ApproveBody, required=False),
)
async def approve_task(
    request: AnyRequest,
    desk: NamedDependency[Desk],
    caller: NamedDependency[Caller],
    live: NamedDependency[Live],
    task: TaskName,
) -> Approved:
    """Approve what somebody else asked; the last approval needed executes it. 403 when it does not count."""
    body = await read_optional(request, ApproveBody)
    tasks.refuse_other_name(body.approver or request.headers.get("x-approver"), caller.name)
    answered = await _word(desk, live, caller, task=task, verdict="approve", reason=body.reason)
    return Approved(
        status="approved",
        task_id=task,
        approved_by=caller.name,
        approved_by_roles=caller.roles,
        given=answered.given,
        needed=answered.needed,
    )


@post(
    "/tasks/{task:str}/reject",
    status_code=200,
    tags=["twinops"],
    operation_class=taking(RejectBody, required=False),
)
async def reject_task(
    request: AnyRequest,
    desk: NamedDependency[Desk],
    caller: NamedDependency[Caller],
    live: NamedDependency[Live],
    task: TaskName,
) -> Rejected:
    """End what waits for an approval."""
    body = await read_optional(request, RejectBody)
    tasks.refuse_other_name(body.rejector or request.headers.get("x-rejector"), caller.name)
    await _word(desk, live, caller, task=task, verdict="reject", reason=body.reason)
    return Rejected(
        status="rejected",
        task_id=task,
        rejected_by=caller.name,
        rejected_by_roles=caller.roles,
        reason=body.reason,
    )


async def _word(
    desk: Desk, live: Live, caller: Caller, *, task: str, verdict: Verdict, reason: str
) -> Answered:
    status = await tasks.command_of(desk, task)
    try:
        approval = await desk.approval(caller, status.command, verdict, reason)
    except Refused as error:
        if error.reason != "not_waiting":
            raise
        raise HttpProblem(
            404, "not_found", f"{task} does not wait for an approval: {state_of(status)}"
        ) from error
    return await give(desk, live, approval)


@post("/tasks/{task:str}/execute", status_code=200, tags=["twinops"])
async def execute_task(
    desk: NamedDependency[Desk], caller: NamedDependency[Caller], live: NamedDependency[Live], task: TaskName
) -> Executed:
    """Confirm what was simulated, with the result that it had, and wait for the outcome.

    What was approved is executed by its last approval: here is told what came of it. A second execution is
    refused: it is 200 with `success: false`, as TwinOps answers.
    """
    status = await tasks.command_of(desk, task)
    if waits_for(status) == "confirmation":
        return await _confirm(desk, caller, live, task, status)
    if status.confirmed_by:
        return _refused(
            task, status, f"{task} was executed already, by {status.confirmed_by}: ask for it anew"
        )
    if state_of(status) == "waiting":
        return _refused(task, status, f"{task} is not approved yet")
    async with live.following(status.command) as follower:
        ended = await until_rest(desk, follower, status.command, EXECUTE_SECONDS)
    return _executed(task, ended or status)


async def _confirm(desk: Desk, caller: Caller, live: Live, task: str, status: CommandStatus) -> Executed:
    # One key for the simulation, whoever executes it how often: a second one is another command of the
    # same name with other words, and refused by the door where this look was too early to see it.
    intent = desk.intent(
        caller,
        status.asset,
        status.operation,
        status.arguments,
        confirms=status,
        key=f"confirm.{status.command}",
    )
    done = await ask_and_wait(desk, live, intent, EXECUTE_SECONDS)
    if done.taken.repeated:
        return _refused(task, status, f"{task} is being executed already, by {done.taken.handle}")
    return _executed(task, done.status or status)


def _executed(task: str, status: CommandStatus) -> Executed:
    state = state_of(status)
    if state in ("executed", "done"):
        reply, success = f"Task {task} executed successfully.", True
    else:
        told = status.reason or f"it is {state}"
        reply, success = f"Task {task} was not executed: {told}", False
    result = ExecutedResult(
        tool=status.operation,
        asset=status.asset,
        success=success,
        result={"state": state, "command": status.command, "handle": status.handle},
        error=None if success else reply,
        job_id=status.command,
        status="completed" if success else state,
    )
    return Executed(reply=reply, tool_results=(result,))


def _refused(task: str, status: CommandStatus, reason: str) -> Executed:
    result = ExecutedResult(
        tool=status.operation,
        asset=status.asset,
        success=False,
        result=None,
        error=reason,
        job_id=None,
        status="denied",
    )
    return Executed(reply=f"Task {task} was not executed: {reason}", tool_results=(result,))


HANDLERS: Final[tuple[Any, ...]] = (list_tasks, show_task, approve_task, reject_task, execute_task)
