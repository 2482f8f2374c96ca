"""`/v1/approvals`: what waits for a second person, and his word on it."""

from __future__ import annotations

from typing import Any, Final

from litestar import get, post
from litestar.di import NamedDependency

from plantops.events.command_parts import APPROVAL_TYPE, Approval
from plantops.events.queries import ApprovalsListed
from plantops.gateway.approving import Answered, give
from plantops.gateway.bodies import JSON, AnyRequest, content_type, decoded, taking, unsupported
from plantops.gateway.caller import Caller
from plantops.gateway.desk import Desk
from plantops.gateway.live import Live
from plantops.gateway.problems import HttpProblem
from plantops.gateway.shapes.approving import (
    ApprovalBody,
    ApprovalList,
    ApprovalTold,
    WaitingApproval,
)
from plantops.gateway.standing import place_of
from plantops.runtime.errors import Refused


@get("/v1/approvals", tags=["approvals"])
async def list_approvals(desk: NamedDependency[Desk]) -> ApprovalList:
    """What waits, the oldest first, with the digests that an approval names."""
    told = await desk.ask("command", "approvals", None, ApprovalsListed)
    others = told.escalated_to or ((),) * len(told.waiting)
    waiting = tuple(
        WaitingApproval(
            command=each.command,
            handle=handle,
            asset=each.asset,
            operation=each.operation,
            arguments=each.arguments,
            requester=each.requester,
            needed=each.needed,
            given=len(by),
            approved_by=tuple(by),
            roles=each.roles,
            escalated_to=asked_too,
            expires_at=each.expires_at,
            intent=each.intent,
            decision=each.decision,
            links={"command": place_of(each.command), "task": f"/tasks/task-{handle}"},
        )
        for each, handle, by, asked_too in zip(
            told.waiting, told.handles, told.approved_by, others, strict=True
        )
    )
    return ApprovalList(approvals=waiting, total=len(waiting))


@post(
    "/v1/approvals",
    status_code=201,
    tags=["approvals"],
    operation_class=taking(
        ApprovalBody, also={APPROVAL_TYPE: "An approval that its person signed himself: a DSSE envelope."}
    ),
)
async def give_approval(
    request: AnyRequest,
    desk: NamedDependency[Desk],
    caller: NamedDependency[Caller],
    live: NamedDependency[Live],
) -> ApprovalTold:
    """Approve or reject a command that waits; 403 when the gate does not count it, with its reason.

    As JSON the gateway signs for the caller (class `delegated`); the policy says up to which risk it counts.
    """
    data = await request.body()
    match content_type(request):
        case kind if kind == APPROVAL_TYPE:
            approval = _read(desk, data)
            return _told(await give(desk, live, approval, data))
        case kind if kind != JSON:
            raise unsupported(JSON, APPROVAL_TYPE)
    body = decoded(data, ApprovalBody)
    wanted = await desk.approval(caller, body.command, body.verdict, body.reason)
    return _told(await give(desk, live, wanted))


def _read(desk: Desk, envelope: bytes) -> Approval:
    """Raises: HttpProblem 403 for what nobody can have signed."""
    try:
        return desk.read_approval(envelope)
    except Refused as error:
        raise HttpProblem(403, "forbidden", error.message, details={"reason": error.reason}) from error


def _told(answered: Answered) -> ApprovalTold:
    status = answered.status
    return ApprovalTold(
        command=status.command,
        handle=status.handle,
        status=answered.made,
        given=answered.given,
        needed=answered.needed,
        links={"command": place_of(status.command)},
    )


HANDLERS: Final[tuple[Any, ...]] = (list_approvals, give_approval)
