"""What a route is given: the plant's services and doors, asked in the gateway's name for whoever asks it.

The gateway decides nothing. It says for whom it asks (`on_behalf_of`), and the door believes that because the
policy gives this login the role `gateway`; what a person has signed himself is handed in as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, TypeVar

import msgspec

from plantops.events.base import AssetName, OperationName, PrincipalName, Record, Scalar, SiteName
from plantops.events.command_parts import APPROVAL_TYPE, INTENT_TYPE, Approval, Intent, Mode
from plantops.events.envelope import Message
from plantops.events.queries import ApprovalTaken, CommandStatus, IntentTaken
from plantops.flow.bus import Bus
from plantops.flow.client import Client
from plantops.flow.words import Verdict, fresh, new_approval, new_intent, sealed
from plantops.gateway.caller import Caller
from plantops.gateway.problems import rate_limited
from plantops.gateway.settings import GatewaySettings
from plantops.ledger import dsse
from plantops.ledger.keys import SigningKey
from plantops.model.load import Plant
from plantops.policy.document import Policy
from plantops.policy.in_force import InForce
from plantops.policy.judge import rule_for
from plantops.runtime.errors import Refused, TrustError

WATCH_SLACK_SECONDS: Final = 3.0

T = TypeVar("T", bound=Record)


@dataclass(frozen=True)
class Desk:
    """One worker's connection, keys and knowledge. `name` is the gateway's own principal, `key` its key.

    `in_force` is kept up to date from the envelope file. `stopping` is set when the process winds down: a
    stream of events then says good-bye and ends.
    """

    site: SiteName
    name: PrincipalName
    bus: Bus
    key: SigningKey
    in_force: InForce
    plant: Plant
    settings: GatewaySettings
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def policy(self) -> Policy:
        """The policy in force. Raises: Refused while there is none."""
        verified = self.in_force.verified
        if verified is None:
            raise Refused("no verified policy is in force here: publish one", reason="no_policy")
        return verified.policy

    @property
    def is_connected(self) -> bool:
        """Whether the broker is reached at this moment."""
        return bool(getattr(self.bus, "is_connected", True))

    # Asking

    @cached_property
    def client(self) -> Client:
        """Asks in the gateway's name."""
        return Client(self.site, self.name, self.bus, self.settings.ask_seconds)

    async def ask(
        self, area: str, verb: str, question: Record | None, kind: type[T], *, wait: float = 0.0
    ) -> T:
        """Ask a public service, such as `twin` `get` or `command` `list`; `wait` is how long the service
        itself is asked to hold the answer back.

        Raises: Refused with the service's reason, NobodyAnswers, BrokerUnavailable.
        """
        return await self.client.ask(area, verb, question, kind, seconds=self._seconds(wait))

    async def ask_door(
        self, area: str, verb: str, question: Record, kind: type[T], *, wait: float = 0.0
    ) -> T:
        """Ask a door by the own name: `tool` (list, search, call), `chat` (ask, watch, list, reset).

        The question names in `on_behalf_of` for whom (`Caller.chain`). Raises: as `ask`.
        """
        return await self.client.ask_door(area, verb, question, kind, seconds=self._seconds(wait))

    async def command(self, command: str) -> CommandStatus:
        """Where a command stands, by identity or handle. Raises: Refused (`unknown_command`), as `ask`."""
        return await self.client.command(command)

    # Intents

    def intent(
        self,
        caller: Caller,
        asset: str,
        operation: str,
        arguments: Mapping[str, Scalar],
        *,
        mode: Mode = "execute",
        confirms: CommandStatus | None = None,
        key: str = "",
        reason: str = "",
    ) -> Intent:
        """A complete intent of the gateway for `caller`; what it confirms, with the result that it had.

        `key` is the caller's own: two callers with the same key ask for two commands.
        Raises: HttpProblem (429) for a caller over his limit, unless it is a stop.
        """
        self._check_limit(caller, asset, operation)
        return new_intent(
            self.site,
            self.name,
            asset,
            operation,
            arguments,
            model=self.plant.digest,
            mode=mode,
            confirms=confirms,
            key=f"{caller.name}/{key or fresh()}",
            reason=reason,
            on_behalf_of=caller.chain,
        )

    async def send(self, intent: Intent) -> IntentTaken:
        """Sign an intent and hand it in at the door; a stop is handed in again until somebody answers.

        Raises: Refused with the door's reason, NobodyAnswers, BrokerUnavailable.
        """
        return await self._hand_in(intent, sealed(intent, self.key))

    async def relay(self, caller: Caller, envelope: bytes) -> tuple[Intent, IntentTaken]:
        """Hand in what somebody has signed himself; the door verifies it, here only its subject is read.

        Raises: Refused (`malformed`), and as `intent` and `send`.
        """
        intent = _payload(envelope, INTENT_TYPE, Intent)
        self._check_limit(caller, intent.asset, intent.operation)
        return intent, await self._hand_in(intent, envelope)

    async def _hand_in(self, intent: Intent, envelope: bytes) -> IntentTaken:
        self._check_site(intent)
        is_safe = self.is_safe(intent.asset, intent.operation)
        return await self.client.hand_in(intent, envelope, is_safe=is_safe)

    def is_safe(self, asset: str, operation: str) -> bool:
        """Whether the policy calls it safe-direction; what cannot be told is not."""
        verified = self.in_force.verified
        if verified is None:
            return False
        return rule_for(verified.policy, AssetName(asset), OperationName(operation)).safe_direction

    def _check_limit(self, caller: Caller, asset: str, operation: str) -> None:
        if caller.over_limit and not self.is_safe(asset, operation):
            raise rate_limited(caller.over_limit)

    def _check_site(self, said: Intent | Approval) -> None:
        if said.site != self.site:
            raise Refused(f"it says site {said.site!r}, here is {self.site!r}", reason="subject_differs")

    # Approvals

    async def approval(self, caller: Caller, command: str, verdict: Verdict, reason: str = "") -> Approval:
        """What `caller` says to a command that waits, bound to the decision that waits now.

        Raises: Refused (`not_waiting`, `unknown_command`), as `ask`.
        """
        status = await self.command(command)
        wanted = await self.client.waiting(status.command)
        if wanted is None:
            raise Refused(
                f"{status.handle} does not wait for an approval: {status.phase}", reason="not_waiting"
            )
        return new_approval(self.site, caller.name, wanted, verdict, reason=reason, by=self.name)

    async def send_approval(self, approval: Approval) -> ApprovalTaken:
        """Sign it for the caller and hand it in: of class delegated. Raises: as `send`."""
        return await self._approve(approval, sealed(approval, self.key))

    def read_approval(self, envelope: bytes) -> Approval:
        """What is in a signed approval, unverified. Raises: Refused (`malformed`)."""
        return _payload(envelope, APPROVAL_TYPE, Approval)

    async def relay_approval(self, envelope: bytes) -> tuple[Approval, ApprovalTaken]:
        """Hand in an approval that its person has signed himself. Raises: as `relay`."""
        approval = _payload(envelope, APPROVAL_TYPE, Approval)
        return approval, await self._approve(approval, envelope)

    async def _approve(self, approval: Approval, envelope: bytes) -> ApprovalTaken:
        self._check_site(approval)
        return await self.client.hand_in_approval(approval, envelope)

    # Hearing

    @asynccontextmanager
    async def listening(
        self, hear: Callable[[Message], Awaitable[None]], command: str = "*"
    ) -> AsyncIterator[None]:
        """Hear the events of one command as they are stored, or of all, while the block runs.

        With no memory: what is stored about it already must be asked for inside the block.
        """
        subject = f"cmd.{self.site}.*.*.{command}"
        subscription = await self.bus.listen(subject, hear)
        try:
            yield
        finally:
            await subscription.stop()

    def _seconds(self, wait: float) -> float:
        return max(self.settings.ask_seconds, wait + WATCH_SLACK_SECONDS if wait else 0.0)


def _payload(envelope: bytes, payload_type: str, kind: type[T]) -> T:
    """What is in a signed envelope, unverified. Raises: Refused."""
    try:
        opened = dsse.decode(envelope)
        if opened.payloadType != payload_type:
            raise Refused(
                f"this envelope carries {opened.payloadType!r}, wanted {payload_type}", reason="malformed"
            )
        return msgspec.json.decode(opened.body(), type=kind)
    except (TrustError, msgspec.DecodeError) as error:
        raise Refused(f"this is no signed {kind.__name__.lower()}: {error}", reason="malformed") from error
