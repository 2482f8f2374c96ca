"""The door: the one way in for intents and approvals.

It is a plain responder. The server writes who asks into `Nats-Request-Info`; what arrives by a forged
reply, a JetStream delivery or from inside the plant's account carries no client there and is refused.
What it lets in is stored as the gate's own signed event, together with what it observed for it.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import msgspec
import structlog

from plantops.events import Event
from plantops.events.base import CommandId, Digest, PrincipalName, SiteName, TagName, encode_json, is_token
from plantops.events.commands import (
    Approval,
    ApprovalReceived,
    CommandRequested,
    Intent,
    Observation,
    command_id,
)
from plantops.events.envelope import Message
from plantops.events.queries import ApprovalTaken, IntentTaken, problem
from plantops.events.subjects import SubjectInvalid, parse_intent
from plantops.events.subjects import approval as approval_subject
from plantops.events.subjects import intent as intent_subject
from plantops.flow.bus import Bus
from plantops.flow.signing import Signer
from plantops.gate.caller import Caller, caller_of
from plantops.gate.state import Asked, GateState
from plantops.model.load import Plant
from plantops.policy.judge import inputs_needed, rule_for
from plantops.policy.keyring import Keyring
from plantops.runtime.errors import BrokerError, Refused, TrustError

MAX_BYTES = 64 * 1024
UNSIGNED_LIFE = timedelta(minutes=15)

log = structlog.get_logger("plantops.gate.door")

Observe = Callable[[tuple[TagName, ...]], Awaitable[Observation]]
Refuse = Callable[[str, str, str], Awaitable[None]]
"""Told (login, subject, reason) of what was turned away, so that the audit knows it too."""


@dataclass
class Door:
    """Takes requests on `door.intent.<site>.>` and `door.approval.<site>.>`.

    `state` is the gate's own; the door reads it to know what was asked before, and never changes it.
    """

    site: SiteName
    bus: Bus
    signer: Signer
    plant: Plant
    state: Callable[[], GateState]
    observe: Observe
    refuse: Refuse
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _known: tuple[Digest, Keyring] | None = field(default=None, repr=False)

    async def intent(self, message: Message) -> bytes:
        """Answers `IntentTaken`, or a problem that says why the intent was not taken."""
        return await self._answer(message, self._take_intent)

    async def approval(self, message: Message) -> bytes:
        """Answers `ApprovalTaken`, or a problem that says why the approval was not taken."""
        return await self._answer(message, self._take_approval)

    async def _answer(
        self, message: Message, take: Callable[[Message, Caller, Keyring], Awaitable[bytes]]
    ) -> bytes:
        login = "nobody"
        try:
            caller = caller_of(message, self._keyring())
            login = caller.name
            return await take(_bounded(message), caller, self._keyring())
        except (Refused, TrustError, SubjectInvalid) as error:
            reason = error.reason if isinstance(error, Refused) else "not_trusted"
            log.info("door.refused", login=login, subject=message.subject, reason=reason)
            await self.refuse(login, message.subject, f"{reason}: {error}")
            return problem(reason, str(error))
        except BrokerError as error:
            return problem("unavailable", f"{error}; try again with the same key")

    def _keyring(self) -> Keyring:
        verified = self.state().verified
        if verified is None:
            raise Refused("no verified policy is in force here: publish one", reason="no_policy")
        if self._known is None or self._known[0] != verified.digest:
            self._known = (verified.digest, Keyring(verified.policy))
        return self._known[1]

    async def _take_intent(self, message: Message, caller: Caller, keyring: Keyring) -> bytes:
        subject = parse_intent(message.subject.removeprefix("door."))
        intent, signer, evidence = self._read_intent(message, caller, keyring)
        stated = (intent.site, intent.actor, intent.asset, intent.operation)
        if stated != subject:
            raise Refused(
                f"the intent says {'.'.join(stated)}, its subject {'.'.join(subject)}",
                reason="subject_differs",
            )
        words = message.data if signer else f"{message.subject}\0{evidence}".encode()
        digest = Digest(hashlib.sha256(words).hexdigest())
        command = command_id(intent.actor, intent.key)
        if known := self.state().asked.get(command):
            return _repeated(command, known, digest)
        event = CommandRequested(
            site=self.site,
            command=command,
            intent=intent,
            digest=digest,
            login=caller.name,
            signer=signer,
            evidence=evidence,
            received_at=self.now(),
            observation=await self._observe(intent),
        )
        target = intent_subject(self.site, intent.actor, intent.asset, intent.operation)
        sequence = await self._store("INTENTS", target, event, command, signer or caller.name)
        return encode_json(IntentTaken(command=command, handle=f"c{sequence}"))

    def _read_intent(self, message: Message, caller: Caller, keyring: Keyring) -> tuple[Intent, str, str]:
        """(intent, signer or empty, exact text). A signed intent counts by its signature; the login only
        has to be allowed on the subject, which the broker has checked already."""
        try:
            text = message.data.decode()
        except UnicodeDecodeError as error:
            raise Refused(f"not UTF-8: {error}", reason="malformed") from error
        if '"payloadType"' in text[:4096]:
            intent, signer = keyring.open_intent(message.data)
            return intent, signer, text
        try:
            plain = msgspec.json.decode(message.data or b"{}", type=Intent)
        except msgspec.DecodeError as error:
            raise Refused(f"not an intent: {error}", reason="malformed") from error
        return self._complete(plain, message, caller), "", text

    def _complete(self, plain: Intent, message: Message, caller: Caller) -> Intent:
        """Fill what an unsigned intent left out, from subject and login, which the server vouches for."""
        subject = parse_intent(message.subject.removeprefix("door."))
        now = self.now()
        actor = plain.actor or caller.name
        if actor != caller.name:
            raise Refused(
                f"login {caller.name!r} cannot speak for {actor!r} without a signature",
                reason="not_the_login",
            )
        return msgspec.structs.replace(
            plain,
            site=plain.site or subject.site,
            asset=plain.asset or subject.asset,
            operation=plain.operation or subject.operation,
            actor=PrincipalName(actor),
            key=plain.key or secrets.token_hex(16),
            nonce=plain.nonce or secrets.token_hex(16),
            issued_at=plain.issued_at or now,
            expires_at=plain.expires_at or now + UNSIGNED_LIFE,
        )

    async def _observe(self, intent: Intent) -> Observation | None:
        """What the judgement will need. A safe-direction command needs nothing and waits for nothing."""
        verified = self.state().verified
        assert verified is not None
        if rule_for(verified.policy, intent.asset, intent.operation).safe_direction:
            return None
        needed = inputs_needed(verified.policy, self.plant, intent.asset, intent.operation)
        return await self.observe(needed)

    async def _take_approval(self, message: Message, caller: Caller, keyring: Keyring) -> bytes:
        approval, signer = keyring.open_approval(message.data)
        parts = message.subject.removeprefix("door.").split(".")
        if (
            tuple(parts[1:]) != (approval.site, approval.person, approval.command)
            or approval.site != self.site
        ):
            raise Refused("the approval's subject and its content differ", reason="subject_differs")
        if not is_token(approval.command):
            raise Refused(f"{approval.command!r} is no command", reason="malformed")
        asked = self.state().asked.get(approval.command)
        if asked is None:
            raise Refused(f"no command {approval.command!r} was asked for here", reason="unknown_command")
        event = ApprovalReceived(
            site=self.site,
            command=approval.command,
            approval=approval,
            login=caller.name,
            signer=signer,
            evidence=message.data.decode(),
            received_at=self.now(),
            observation=await self._observe(asked.intent),
        )
        target = approval_subject(self.site, approval.person, approval.command)
        identity = f"{approval.command}.{_fingerprint(approval)}"
        sequence = await self._store("APPROVALS", target, event, identity, signer)
        return encode_json(ApprovalTaken(command=approval.command, sequence=sequence))

    async def _store(self, stream: str, subject: str, event: Event, identity: str, actor: str) -> int:
        signed = self.signer.message(
            subject, event, id=f"{stream.lower()}.{identity}", time=self.now(), causation=actor
        )
        return await self.bus.publish(signed, stream=stream)


def _bounded(message: Message) -> Message:
    if len(message.data) > MAX_BYTES:
        raise Refused(f"{len(message.data)} bytes, the limit is {MAX_BYTES}", reason="too_large")
    return message


def _repeated(command: CommandId, known: Asked, digest: Digest) -> bytes:
    if known.digest != digest:
        raise Refused(
            f"key already used by c{known.sequence} for other words; take a new key", reason="key_conflict"
        )
    return encode_json(IntentTaken(command=command, handle=f"c{known.sequence}", repeated=True))


def _fingerprint(approval: Approval) -> str:
    return hashlib.sha256(encode_json(approval)).hexdigest()[:24]
