"""The door of the tools: who asks is what the server says, whom for is believed of agents only.

It answers `door.tool.<site>.<who asks>.<verb>` with the verbs list, search and call. Every call and every
refusal becomes a record of the audit; only how often one login is refused in a minute is bounded.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeVar

import msgspec
import structlog

from plantops.events.base import PrincipalName, Record, encode_json
from plantops.events.envelope import Message
from plantops.events.queries import problem
from plantops.events.tooling import CatalogueAsked, Json, ToolAsked, ToolTold
from plantops.flow.auditing import Auditor
from plantops.flow.caller import caller_of
from plantops.flow.refusals import Quota
from plantops.policy.in_force import InForce
from plantops.policy.verified import Verified
from plantops.runtime.errors import BrokerError, Refused, TrustError
from plantops.tools.chain import chain_of
from plantops.tools.clean import clean_text
from plantops.tools.contract import ToolError
from plantops.tools.desk import Desk
from plantops.tools.governor import digest_of

MAX_BYTES: Final = 64 * 1024
MAX_KEPT_ARGUMENTS: Final = 2048
MAX_TEXT: Final = 256
NOBODY: Final = PrincipalName("nobody")
_UNREADABLE: Final = (ValueError, OverflowError, RecursionError)

log = structlog.get_logger("plantops.tools.door")

T = TypeVar("T", bound=Record)


class ToolCalled(Record, frozen=True):
    """Audit body of one call. `outcome` is "answered", the code of the problem, or "broken" for a defect.

    `arguments` are left out where they are long; `digest` is that of the call. `call` is unique.
    """

    call: str
    tool: str
    chain: tuple[PrincipalName, ...]
    digest: str
    outcome: str
    arguments: Json = None
    conversation: str = ""


class ToolRefused(Record, frozen=True):
    """Audit body of what the door turned away."""

    call: str
    login: str
    subject: str
    reason: str
    tool: str = ""
    chain: tuple[PrincipalName, ...] = ()


@dataclass
class _Request:
    """What is known of a request so far, for the audit."""

    login: PrincipalName = NOBODY
    chain: tuple[PrincipalName, ...] = ()
    tool: str = ""
    is_recorded: bool = False


@dataclass
class Door:
    """`in_force` says who is known. What cannot be recorded is not answered with what it asked for."""

    desk: Desk
    in_force: InForce
    auditor: Auditor
    now: Callable[[], datetime]
    _quota: Quota = field(default_factory=Quota, repr=False)
    _inside: set[asyncio.Task[Any]] = field(default_factory=set, repr=False)

    async def answer(self, message: Message) -> bytes:
        """What was asked for, or a problem that says what to do."""
        task = asyncio.current_task()
        assert task is not None
        self._inside.add(task)
        request = _Request()
        try:
            return await self._answer(message, request)
        except (Refused, ToolError, BrokerError, TrustError) as error:
            return self._turn_away(message, request, _code(error), error.message)
        finally:
            self._inside.discard(task)

    async def drain(self, seconds: float) -> None:
        """Wait for who is inside, at most so long; who was let in this moment counts."""
        await asyncio.sleep(0)
        if self._inside:
            await asyncio.wait(set(self._inside), timeout=seconds)

    async def _answer(self, message: Message, request: _Request) -> bytes:
        verified = self.in_force.verified
        if verified is None:
            raise Refused("no verified policy is in force here: publish one", reason="no_policy")
        request.login = caller_of(message, self.in_force.keyring).name
        name, verb = _parse(message.subject)
        if name != request.login:
            raise Refused(
                f"{request.login!r} asks under the name of {name!r}: use your own", reason="not_the_login"
            )
        if len(message.data) > MAX_BYTES:
            raise Refused(f"{len(message.data)} bytes, the limit is {MAX_BYTES}", reason="too_large")
        match verb:
            case "call":
                return encode_json(await self._call(verified, request, _read(message.data, ToolAsked)))
            case "list" | "search":
                asked = _read(message.data, CatalogueAsked)
                request.chain = chain_of(verified.policy, request.login, asked.on_behalf_of)
                work = self.desk.list if verb == "list" else self.desk.search
                return encode_json(await work(verified, request.chain, asked))
            case _:
                raise Refused(f"there is no verb {verb!r}: list, search, call", reason="unknown_verb")

    async def _call(self, verified: Verified, request: _Request, asked: ToolAsked) -> ToolTold:
        request.tool = asked.tool
        request.chain = chain_of(verified.policy, request.login, asked.on_behalf_of)

        def record(outcome: str) -> None:
            request.is_recorded = True
            is_long = len(encode_json(asked.arguments)) > MAX_KEPT_ARGUMENTS
            body = ToolCalled(
                call=secrets.token_hex(12),
                tool=asked.tool,
                chain=request.chain,
                digest=digest_of(asked.tool, asked.arguments, asked.cursor),
                outcome=outcome,
                arguments=None if is_long else asked.arguments,
                conversation=asked.conversation[:MAX_TEXT],
            )
            self.auditor.note("tool.called", encode_json(body))

        return await self.desk.call(verified, request.chain, asked, record)

    def _turn_away(self, message: Message, request: _Request, code: str, text: str) -> bytes:
        """The problem. It goes into the audit, within the login's quota, unless the call was recorded."""
        answer = problem(code, text)
        if request.is_recorded or (left_out := self._quota.take(request.login, self.now())) is None:
            return answer
        log.info("door.refused", login=request.login, subject=message.subject[:MAX_TEXT], reason=code)
        more = f" ({left_out} more were refused before)" if left_out else ""
        body = ToolRefused(
            call=secrets.token_hex(12),
            login=request.login,
            subject=message.subject[:MAX_TEXT],
            reason=clean_text(f"{code}: {text}{more}", 2 * MAX_TEXT),
            tool=request.tool[:MAX_TEXT],
            chain=request.chain,
        )
        try:
            self.auditor.note("tool.refused", encode_json(body))
        except BrokerError as away:
            log.warning("door.refusal_not_audited", login=request.login, cause=away.message)
        return answer


def _parse(subject: str) -> tuple[str, str]:
    """Who asks, and the verb."""
    parts = subject.split(".")
    if len(parts) != 5:
        raise Refused(f"{subject[:MAX_TEXT]!r} is none of tool.<site>.<own name>.<verb>", reason="malformed")
    return parts[3], parts[4]


def _read(data: bytes, kind: type[T]) -> T:
    """A field that nobody knows is refused: a misspelt `on_behalf_of` would ask for somebody else."""
    known = {one.encode_name for one in msgspec.structs.fields(kind)}
    try:
        given = msgspec.json.decode(data or b"{}", type=dict[str, msgspec.Raw])
        asked = msgspec.json.decode(data or b"{}", type=kind)
    except _UNREADABLE as error:
        raise Refused(f"this is no question: {error}", reason="malformed") from error
    if strangers := sorted(given.keys() - known):
        raise Refused(
            f"there is no {', '.join(map(repr, strangers[:5]))}: it has {', '.join(sorted(known))}",
            reason="malformed",
        )
    return asked


def _code(error: Refused | ToolError | BrokerError | TrustError) -> str:
    match error:
        case Refused():
            return error.reason
        case ToolError():
            return error.code
        case TrustError():
            return "not_trusted"
        case _:
            return "unavailable"
