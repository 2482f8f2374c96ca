"""`POST /delegate/{asset}/{operation}`: an AAS server lets us carry an operation out (BaSyx V2 delegation).

Who asks is proved by an HMAC over the request (`runtime.http_signing`), whose key the settings give to a
principal. A worker refuses a nonce that it has seen. The nonce is also the command's idempotency key, unless
a signed `Idempotency-Key` is: so what another worker or replica is sent again is the same command there, and
nothing is done twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeAlias

from litestar import Response, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import PathParameter

from plantops.events.base import PrincipalName, Scalar
from plantops.events.command_parts import command_id
from plantops.events.commands import CommandExecuted, CommandSimulated
from plantops.events.queries import CommandStatus
from plantops.gateway.asking import ask_once, until_rest
from plantops.gateway.bodies import AnyRequest, taking
from plantops.gateway.caller import Caller
from plantops.gateway.desk import Desk
from plantops.gateway.live import Follower, Live
from plantops.gateway.problems import HttpProblem
from plantops.gateway.standing import state_of, waits_for
from plantops.gateway.variables import OperationVariable, arguments_of, variables_of
from plantops.runtime.errors import TrustError
from plantops.runtime.http_signing import (
    KEY_HEADER,
    SIGNATURE_HEADER,
    SIMULATE_HEADER,
    Signature,
    SignedRequest,
    SignedResponse,
    SigningKey,
    Verifier,
)

DELEGATE_SECONDS: Final = 30.0

Name: TypeAlias = Annotated[str, PathParameter(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$", max_length=64)]


@dataclass(frozen=True)
class Delegates:
    """Who may let us carry something out: the principal of each key. One for a worker, since it remembers the
    nonces that it has seen."""

    principals: Mapping[str, str]
    verifier: Verifier

    @classmethod
    def of(cls, keys: Mapping[str, tuple[SigningKey, str]]) -> Delegates:
        """`keys`: key and principal by key id."""
        return cls(
            {name: principal for name, (_key, principal) in keys.items()},
            Verifier({name: key for name, (key, _principal) in keys.items()}),
        )


@post(
    "/delegate/{asset:str}/{operation:str}",
    status_code=200,
    tags=["delegate"],
    operation_class=taking(None, also={"application/json": "A list of OperationVariable, signed."}),
    responses={200: ResponseSpec(list[OperationVariable], description="The outputs, signed.")},
)
async def delegate(
    *,
    request: AnyRequest,
    desk: NamedDependency[Desk],
    live: NamedDependency[Live],
    delegates: NamedDependency[Delegates],
    asset: Name,
    operation: Name,
) -> Response[bytes]:
    """Carry an operation out and answer its outputs, both signed by HMAC.

    What has to be confirmed or approved by a person is 409, with the command that waits; what the gate denies
    is 403. With the header `PlantOps-Simulate: true` it is only simulated.
    """
    body = await request.body()
    simulate = request.headers.get(SIMULATE_HEADER.lower()) == "true"
    key = request.headers.get(KEY_HEADER.lower(), "")
    signature = _proved(request, delegates, body, key, simulate=simulate)
    caller = _caller(desk, delegates, signature, request)
    intent = desk.intent(
        caller,
        asset,
        operation,
        arguments_of(body),
        mode="simulate" if simulate else "execute",
        key=f"delegate/{key or signature.nonce}",
    )
    async with live.following(command_id(intent.actor, intent.key)) as follower:
        taken = await ask_once(desk, intent)
        is_new = not taken.repeated
        status = await until_rest(desk, follower, taken.command, DELEGATE_SECONDS, is_new=is_new)
    if status is None or not _is_done(status, simulate=simulate):
        raise _not_done(status, taken.handle)
    outputs = status.outputs if status.outputs is not None else _heard(follower)
    if outputs is None:
        raise _not_kept(status)
    answer = variables_of(outputs)
    headers = {SIMULATE_HEADER: "true"} if simulate else {}
    signed = delegates.verifier.sign(signature, SignedResponse(200, answer, simulated=simulate))
    return Response(answer, media_type="application/json", headers={**headers, SIGNATURE_HEADER: str(signed)})


def _proved(request: AnyRequest, delegates: Delegates, body: bytes, key: str, *, simulate: bool) -> Signature:
    """Raises: HttpProblem 401."""
    signed = SignedRequest(
        method=request.method, target=_target(request), body=body, idempotency_key=key, simulate=simulate
    )
    try:
        return delegates.verifier.check(request.headers.get(SIGNATURE_HEADER.lower()), signed)
    except TrustError as error:
        raise HttpProblem(
            401, "unauthorized", error.message, headers={"WWW-Authenticate": SIGNATURE_HEADER}
        ) from error


def _target(request: AnyRequest) -> str:
    """Path and query as they stand in the request line."""
    scope: Any = request.scope
    raw = scope.get("raw_path") or str(scope["path"]).encode()
    query = scope.get("query_string", b"")
    return (raw.partition(b"?")[0] + (b"?" + query if query else b"")).decode("latin-1")


def _caller(desk: Desk, delegates: Delegates, signature: Signature, request: AnyRequest) -> Caller:
    """Raises: HttpProblem 403 for a principal whom the policy does not name any more."""
    name = delegates.principals[signature.key]
    principal = desk.policy.principals.get(name)
    if principal is None:
        raise HttpProblem(403, "forbidden", f"{name!r}, whose key signed this, is not in the policy")
    state: Any = request.scope["state"]
    return Caller(PrincipalName(name), principal.roles, "hmac", str(state.get("request_id", "")))


def _heard(follower: Follower) -> Mapping[str, Scalar] | None:
    """What is too long for the gate to tell, from the event itself; None where it came before we listened."""
    for kind, data in reversed(follower.events):
        if kind == "command.executed":
            return follower.read(data, CommandExecuted).outputs
        if kind == "command.simulated":
            return follower.read(data, CommandSimulated).simulated
    return None


def _is_done(status: CommandStatus, *, simulate: bool) -> bool:
    return state_of(status) == ("simulated" if simulate else "executed")


def _not_done(status: CommandStatus | None, handle: str) -> HttpProblem:
    if status is None:
        return HttpProblem(504, "operation_failed", f"{handle} is not known yet: look again")
    state, details = state_of(status), {"command": status.command, "handle": status.handle}
    if waiting := waits_for(status):
        text = f"{status.handle} waits for the {waiting} of a person"
        return HttpProblem(409, "conflict", text, details={**details, "waits_for": waiting})
    if state == "denied":
        return HttpProblem(403, "forbidden", status.reason, details=details)
    text = f"{status.handle} is {state}: {status.reason}".rstrip(": ")
    return HttpProblem(504, "operation_failed", text, details={**details, "state": state})


def _not_kept(status: CommandStatus) -> HttpProblem:
    """An empty list would say that there was nothing, and a time-out that it may be asked again."""
    state = state_of(status)
    text = (
        f"{status.handle} is {state}; what it returned is too long to be told twice: it stands in its event"
    )
    details = {"command": status.command, "handle": status.handle, "state": state}
    return HttpProblem(409, "conflict", text, details=details)


HANDLERS: Final[tuple[Any, ...]] = (delegate,)
