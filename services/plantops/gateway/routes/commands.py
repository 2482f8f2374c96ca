"""`/v1/commands`: ask for a command, follow it, confirm, cancel or undo it."""

from __future__ import annotations

from typing import Annotated, Any, Final

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import QueryParameter

from plantops.events.command_parts import INTENT_TYPE, command_id
from plantops.events.queries import CommandsAsked, CommandsListed, CommandStatus
from plantops.gateway.asking import Taken, ask_and_wait, known, known_soon, until_rest
from plantops.gateway.bodies import (
    JSON,
    AnyRequest,
    content_type,
    read_body,
    read_optional,
    taking,
    unsupported,
)
from plantops.gateway.caching import conditional
from plantops.gateway.caller import Caller
from plantops.gateway.desk import Desk
from plantops.gateway.live import Live
from plantops.gateway.preferences import (
    CommandName,
    KeyHeader,
    Limit,
    Place,
    Wait,
    key_of,
    place_in_list,
    wait_seconds,
)
from plantops.gateway.problems import HttpProblem, not_found
from plantops.gateway.shapes.commands import (
    CommandBody,
    CommandList,
    CommandShown,
    CommandTaken,
    OnCommandBody,
)
from plantops.gateway.standing import place_of, shown, state_of, waits_for
from plantops.policy import acts
from plantops.runtime.errors import Refused

_MOST: Final = 1000
"""How far back the list of the gate's newest commands reaches."""

_SHOWN: Final = {200: ResponseSpec(CommandShown, description="It rests, within the time waited for.")}


@post(
    "/v1/commands",
    status_code=202,
    tags=["commands"],
    operation_class=taking(
        CommandBody, also={INTENT_TYPE: "An intent that its actor signed himself: a DSSE envelope."}
    ),
    responses=_SHOWN,
)
async def ask_command(
    *,
    request: AnyRequest,
    desk: NamedDependency[Desk],
    caller: NamedDependency[Caller],
    live: NamedDependency[Live],
    idempotency: KeyHeader = "",
    wait: Wait = 0.0,
) -> Response[CommandTaken]:
    """Ask for an operation.

    The answer is 202 with `Location` as soon as the command is stored; with `wait` 200 and where it stands,
    if it rests by then.
    """
    seconds = wait_seconds(request, wait)
    match content_type(request):
        case kind if kind == INTENT_TYPE:
            return await _relay(desk, caller, live, await request.body(), seconds)
        case kind if kind != JSON:
            raise unsupported(JSON, INTENT_TYPE)
    body = await read_body(request, CommandBody)
    intent = desk.intent(
        caller,
        body.asset,
        body.operation,
        body.arguments,
        mode=body.mode,
        confirms=await _simulated(desk, body.confirms, body.simulation) if body.confirms else None,
        key=key_of(idempotency, body.key),
        reason=body.reason,
    )
    done = await ask_and_wait(desk, live, intent, seconds)
    return _answer(desk, done, seconds)


async def _relay(desk: Desk, caller: Caller, live: Live, envelope: bytes, seconds: float) -> Response[Any]:
    """What a person signed himself counts by his signature, whoever carries it."""
    try:
        intent, taken = await desk.relay(caller, envelope)
    except Refused as error:
        if error.reason != "malformed":
            raise
        raise HttpProblem(403, "forbidden", error.message, details={"reason": "malformed"}) from error
    status = None
    if seconds > 0:
        command = command_id(intent.actor, intent.key)
        async with live.following(command) as follower:
            status = await until_rest(desk, follower, command, seconds)
    return _answer(desk, Taken(taken, status), seconds)


async def _simulated(desk: Desk, command: str, simulation: str) -> CommandStatus:
    """The simulation to be confirmed. Raises: HttpProblem when its result is another than was seen."""
    status = await desk.command(command)
    if simulation and simulation != status.simulation_digest:
        raise HttpProblem(
            409,
            "conflict",
            f"the result of {status.handle} is not the one that was seen: look again",
            details={"simulation": status.simulation_digest},
        )
    return status


def _answer(desk: Desk, done: Taken, seconds: float) -> Response[Any]:
    taken = done.taken
    place = place_of(taken.command)
    headers = {"Location": place}
    if seconds > 0:
        headers["Preference-Applied"] = f"wait={seconds:g}"
    if done.status is not None:
        told = shown(done.status, desk.policy, desk.plant)
        if told.is_final or told.waits_for:
            return Response(told, status_code=200, headers=headers)
    told_taken = CommandTaken(
        command=taken.command, handle=taken.handle, repeated=taken.repeated, links={"self": place}
    )
    return Response(told_taken, status_code=202, headers=headers)


@get("/v1/commands", tags=["commands"])
async def list_commands(
    desk: NamedDependency[Desk],
    limit: Limit = 50,
    cursor: Place = "",
    is_open: Annotated[bool, QueryParameter(name="open", description="Only those not at their end.")] = False,
) -> CommandList:
    """The newest first; the thousand newest can be paged through, all others stand in the history."""
    start = place_in_list(cursor)
    asked = CommandsAsked(limit=min(_MOST, start + limit), open_only=is_open)
    told = await desk.ask("command", "list", asked, CommandsListed)
    page = told.commands[start : start + limit]
    end = start + len(page)
    policy = desk.policy
    return CommandList(
        commands=tuple(shown(each, policy, desk.plant) for each in page),
        total=told.total,
        next=str(end) if page and end < min(told.total, _MOST) else "",
    )


@get("/v1/commands/{command:str}", tags=["commands"])
async def show_command(
    request: AnyRequest,
    desk: NamedDependency[Desk],
    live: NamedDependency[Live],
    command: CommandName,
    wait: Wait = 0.0,
) -> Response[CommandShown]:
    """Where a command stands. With `wait` (or `Prefer: wait=N`) as soon as it rests, or then."""
    seconds = wait_seconds(request, wait)
    # What was taken a moment ago may not be folded yet; who waits is spared a 404 for it.
    status = await (known_soon(desk, command) if seconds else known(desk, command))
    if status is None:
        raise not_found("command", command)
    if seconds:
        async with live.following(status.command) as follower:
            status = await until_rest(desk, follower, status.command, seconds) or status
    headers = {"Preference-Applied": f"wait={seconds:g}"} if seconds else {}
    return conditional(request, shown(status, desk.policy, desk.plant), headers)


@post(
    "/v1/commands/{command:str}/confirm",
    status_code=202,
    tags=["commands"],
    operation_class=taking(OnCommandBody, required=False),
    responses=_SHOWN,
)
async def confirm_command(
    *,
    request: AnyRequest,
    desk: NamedDependency[Desk],
    caller: NamedDependency[Caller],
    live: NamedDependency[Live],
    command: CommandName,
    idempotency: KeyHeader = "",
    wait: Wait = 0.0,
) -> Response[CommandTaken]:
    """Execute what was simulated, with the result that it had. A simulation is confirmed once."""
    body = await read_optional(request, OnCommandBody)
    status = await _simulated(desk, command, body.simulation)
    key = key_of(idempotency, body.key) or f"confirm.{status.command}"
    refuse_confirmation(status, is_repetition=bool(idempotency or body.key))
    intent = desk.intent(
        caller,
        status.asset,
        status.operation,
        status.arguments,
        confirms=status,
        key=key,
        reason=body.reason,
    )
    seconds = wait_seconds(request, wait)
    done = await ask_and_wait(desk, live, intent, seconds)
    return _answer(desk, done, seconds)


def refuse_confirmation(status: CommandStatus, *, is_repetition: bool) -> None:
    """Raises: HttpProblem 409 when this is no simulation that waits to be confirmed."""
    if status.confirmed_by and is_repetition:
        return
    if status.confirmed_by:
        text = f"{status.handle} was confirmed already, by {status.confirmed_by}: simulate again"
    elif waits_for(status) == "confirmation":
        return
    else:
        text = f"{status.handle} waits for no confirmation: {state_of(status)} {status.reason}".rstrip()
    raise HttpProblem(409, "conflict", text, details={"state": state_of(status)})


@post(
    "/v1/commands/{command:str}/cancel",
    status_code=202,
    tags=["commands"],
    operation_class=taking(OnCommandBody, required=False),
    responses=_SHOWN,
)
async def cancel_command(
    *,
    request: AnyRequest,
    desk: NamedDependency[Desk],
    caller: NamedDependency[Caller],
    live: NamedDependency[Live],
    command: CommandName,
    idempotency: KeyHeader = "",
    wait: Wait = 0.0,
) -> Response[CommandTaken]:
    """End an open command: an act of its own, which the gate judges like any other."""
    return await _act(
        request, desk, caller, live, act=acts.CANCEL, command=command, header=idempotency, wait=wait
    )


@post(
    "/v1/commands/{command:str}/undo",
    status_code=202,
    tags=["commands"],
    operation_class=taking(OnCommandBody, required=False),
    responses=_SHOWN,
)
async def undo_command(
    *,
    request: AnyRequest,
    desk: NamedDependency[Desk],
    caller: NamedDependency[Caller],
    live: NamedDependency[Live],
    command: CommandName,
    idempotency: KeyHeader = "",
    wait: Wait = 0.0,
) -> Response[CommandTaken]:
    """Write back what stood there before, with the risk of the operation that is undone."""
    return await _act(
        request, desk, caller, live, act=acts.UNDO, command=command, header=idempotency, wait=wait
    )


async def _act(
    request: AnyRequest,
    desk: Desk,
    caller: Caller,
    live: Live,
    *,
    act: str,
    command: str,
    header: str,
    wait: float,
) -> Response[Any]:
    body = await read_optional(request, OnCommandBody)
    status = await desk.command(command)
    key, seconds = key_of(header, body.key), wait_seconds(request, wait)
    named = {"command": str(status.command)}
    intent = desk.intent(caller, status.asset, act, named, key=key, reason=body.reason)
    done = await ask_and_wait(desk, live, intent, seconds)
    return _answer(desk, done, seconds)


HANDLERS: Final = (
    ask_command,
    list_commands,
    show_command,
    confirm_command,
    cancel_command,
    undo_command,
)
