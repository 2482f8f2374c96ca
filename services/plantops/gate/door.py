"""The door: the one way in for intents and approvals.

It is a plain responder. The server writes who asks into `Nats-Request-Info`; what arrives by a forged
reply, a JetStream delivery or from inside the plant's account carries no client there and is refused.
What it lets in is stored as the gate's own signed event, together with what it observed for it.

Several doors may hear one request: that of stops beside the common one, that of a gate which was replaced and
does not know it yet. Whatever they take of it is one command, since it gets its name from the request itself.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import msgspec
import structlog

from plantops.events import decode, event_type
from plantops.events.base import CommandId, Digest, PrincipalName, SiteName, TagName, encode_json, is_token
from plantops.events.command_parts import Approval, Intent, Observation, command_id
from plantops.events.commands import ApprovalReceived, CommandRequested
from plantops.events.envelope import Message
from plantops.events.queries import ApprovalTaken, IntentTaken, problem
from plantops.events.subjects import approval as approval_subject
from plantops.events.subjects import intent as intent_subject
from plantops.events.subjects import parse_intent
from plantops.flow.bus import Bus
from plantops.flow.caller import Caller, caller_of
from plantops.flow.refusals import Quota
from plantops.flow.signing import Signer
from plantops.gate.crowd import Crowd, speaker_of
from plantops.gate.line import Line, Overrun
from plantops.gate.needed import tags_needed
from plantops.gate.sizes import check_size
from plantops.gate.state import Asked, GateState
from plantops.ledger import dsse
from plantops.model.load import Plant
from plantops.policy.judge import rule_for
from plantops.policy.keyring import Keyring
from plantops.runtime.errors import BrokerError, Conflict, Fenced, Refused, TrustError

MAX_BYTES = 64 * 1024
# A permit holds the words of up to eight approvers beside the intent (`soundness.MAX_APPROVALS`).
MAX_APPROVAL_BYTES = 6 * 1024
MAX_TAKEN = 10_000
UNSIGNED_LIFE = timedelta(minutes=15)
# What bytes of a stranger can make a decoder raise.
UNREADABLE = (ValueError, OverflowError, RecursionError)
_INTENT_FIELDS = frozenset(field.name for field in msgspec.structs.fields(Intent))

log = structlog.get_logger("plantops.gate.door")

Taken: TypeAlias = CommandRequested | ApprovalReceived
Observe = Callable[[tuple[TagName, ...]], Awaitable[Observation]]
Refuse = Callable[[str, str, str], Awaitable[None]]
"""Told (login, subject, reason) of what was turned away, so that the audit knows it too."""


async def _always() -> None:
    """Where nobody else can have taken over."""


def _nowhere(_asset: str, _operation: str) -> bool:
    return False


@dataclass
class Door:
    """Takes requests on `door.intent.<site>.>` and `door.approval.<site>.>`.

    `state` is the gate's own; the door reads it to know what was asked before, and never changes it. `owns`
    raises Fenced when another gate is at work: then nothing is stored and nothing answered. `is_heard_twice`
    says which operations have another door, whose no counts: this one says yes to them or nothing.
    """

    site: SiteName
    bus: Bus
    signer: Signer
    plant: Plant
    state: Callable[[], GateState]
    observe: Observe
    refuse: Refuse
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    owns: Callable[[], Awaitable[None]] = _always
    is_heard_twice: Callable[[str, str], bool] = _nowhere
    _known: tuple[Digest, Keyring] | None = field(default=None, repr=False)
    _taken: dict[CommandId, Digest] = field(default_factory=dict, repr=False)
    _crowd: Crowd = field(init=False, repr=False)
    _line: Line = field(default_factory=Line, repr=False)
    _quota: Quota = field(default_factory=Quota, repr=False)

    def __post_init__(self) -> None:
        self._crowd = Crowd(lambda: self.state().asked)

    async def intent(self, message: Message) -> bytes | None:
        """Answers `IntentTaken`, or a problem that says why the intent was not taken; None when replaced."""
        return await self._answer(message, self._take_intent)

    async def approval(self, message: Message) -> bytes | None:
        """Answers `ApprovalTaken`, or a problem that says why it was not taken; None when replaced."""
        return await self._answer(message, self._take_approval)

    async def _answer(
        self, message: Message, take: Callable[[Message, Caller, Keyring], Awaitable[bytes]]
    ) -> bytes | None:
        login = "nobody"
        try:
            login = caller_of(message, self._keyring()).name
            async with self._line.turn(login):
                keyring = self._keyring()  # it may be a newer one by now
                return await take(_bounded(message), caller_of(message, keyring), keyring)
        except Overrun:
            return None
        except Fenced as replaced:
            log.info("door.closed", subject=message.subject, reason=replaced.message)
            return None
        except BrokerError as error:
            if self._leaves_no_to_another(message.subject):
                return None
            return problem(
                "unavailable", f"{error}; whether it was taken is not known: try again with the same key"
            )
        except (Refused, TrustError, *UNREADABLE) as error:
            if self._leaves_no_to_another(message.subject):
                return None
            return await self._turn_away(login, message.subject, error)

    async def _turn_away(self, login: str, subject: str, error: Exception) -> bytes:
        match error:
            case Refused():
                reason = error.reason
            case TrustError():
                reason = "not_trusted"
            case _:
                reason = "malformed"
        left_out = self._quota.take(login, self.now())
        if left_out is None:
            return problem(reason, str(error))
        log.info("door.refused", login=login, subject=subject, reason=reason, left_out=left_out)
        more = f" ({left_out} more were refused before)" if left_out else ""
        try:
            await self.refuse(login, subject, f"{reason}: {error}{more}")
        except BrokerError as away:
            log.warning("door.refusal_not_audited", login=login, subject=subject, cause=str(away))
        return problem(reason, str(error))

    def _leaves_no_to_another(self, subject: str) -> bool:
        """Here a stop may find a crowd, there it does not."""
        return self.is_heard_twice(*subject.split(".")[-2:])

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
        if stated != subject or intent.site != self.site:
            raise Refused(
                f"the intent says {'.'.join(stated)}, its subject {'.'.join(subject)}, here is {self.site}",
                reason="subject_differs",
            )
        check_size(intent)
        words = message.data if signer else f"{message.subject}\0{evidence}".encode()
        digest = Digest(hashlib.sha256(words).hexdigest())
        command = command_id(intent.actor, intent.key)
        if known := self.state().asked.get(command):
            return _repeated(command, known, digest)
        is_safe = rule_for(keyring.policy, intent.asset, intent.operation).safe_direction
        speaker = speaker_of(keyring.policy, caller.name, intent)
        with self._crowd.place(caller.name, command, speaker=speaker, is_safe=is_safe):
            self._reserve(command, digest)
            event = CommandRequested(
                site=self.site,
                command=command,
                intent=intent,
                digest=digest,
                login=caller.name,
                signer=signer,
                evidence=evidence,
                received_at=self.now(),
                observation=await self._observe(intent, is_held_against=bool(intent.confirms)),
            )
            target = intent_subject(self.site, intent.actor, intent.asset, intent.operation)
            sequence = await self._store("INTENTS", target, event, f"{command}.{digest[:24]}")
        return encode_json(IntentTaken(command=command, handle=f"c{sequence}"))

    def _read_intent(self, message: Message, caller: Caller, keyring: Keyring) -> tuple[Intent, str, str]:
        """(intent, signer or empty, exact text). A signed intent counts by its signature; the login only
        has to be allowed on the subject, which the broker has checked already."""
        text = message.data.decode()
        given = _fields(message.data or b"{}")
        if "payloadType" in given:
            intent, signer = keyring.open_intent(message.data)
            _fields(dsse.decode(message.data).body(), _INTENT_FIELDS)
            return intent, signer, text
        _fields(message.data or b"{}", _INTENT_FIELDS)
        plain = msgspec.json.decode(message.data or b"{}", type=Intent)
        return self._complete(plain, message, caller), "", text

    def _reserve(self, command: CommandId, digest: Digest) -> None:
        """Between the door and the fold a key must not be used twice. Raises: Refused."""
        taken, asked = self._taken, self.state().asked
        if taken.setdefault(command, digest) != digest:
            raise Refused(
                "key already used a moment ago for other words; take a new key", reason="key_conflict"
            )
        if len(taken) > MAX_TAKEN:
            for old in [each for each in taken if each in asked]:
                del taken[old]
        while len(taken) > MAX_TAKEN:
            del taken[next(iter(taken))]

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
            key=plain.key or _name_of(message),
            nonce=plain.nonce or secrets.token_hex(16),
            issued_at=plain.issued_at or now,
            expires_at=plain.expires_at or now + UNSIGNED_LIFE,
        )

    async def _observe(self, intent: Intent, *, is_held_against: bool) -> Observation | None:
        """What the judgement will need, and what stands in the tags to be written where that is held against
        a simulation. A safe-direction command needs nothing and waits for nothing."""
        verified = self.state().verified
        assert verified is not None
        if rule_for(verified.policy, intent.asset, intent.operation).safe_direction:
            return None
        policy = verified.policy
        needed = tags_needed(self.state(), self.plant, policy, intent, is_held_against=is_held_against)
        return await self.observe(needed)

    async def _take_approval(self, message: Message, caller: Caller, keyring: Keyring) -> bytes:
        approval, signer = keyring.open_approval(_bounded(message, MAX_APPROVAL_BYTES).data)
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
            observation=await self._observe(asked.intent, is_held_against=True),
        )
        target = approval_subject(self.site, approval.person, approval.command)
        identity = f"{approval.command}.{_fingerprint(approval)}"
        sequence = await self._store("APPROVALS", target, event, identity)
        return encode_json(ApprovalTaken(command=approval.command, sequence=sequence))

    async def _store(self, stream: str, subject: str, event: Taken, identity: str) -> int:
        """The same words sent again while the first are on their way are stored once.

        Raises: Fenced when another gate is at work.
        """
        await self.owns()
        signed = self.signer.message(subject, event, id=f"{stream.lower()}.{identity}", time=self.now())
        try:
            return await self.bus.publish(signed, stream=stream, message_id=f"{stream.lower()}.{identity}")
        except Conflict as conflict:
            if conflict.last is None or not await self._has_stored(stream, conflict.last, signed, event):
                raise
            return conflict.last

    async def _has_stored(self, stream: str, sequence: int, signed: Message, event: Taken) -> bool:
        """Whether this door stored these very words there, with the moment and plant of their first time."""
        stored = await self.bus.get(stream, sequence)
        if stored is None or stored.subject != signed.subject:
            return False
        message = Message(stored.subject, stored.data, stored.headers)
        self._keyring().believe(event_type(event), event.version, message)
        found = decode(stored.data)
        return isinstance(found, type(event)) and (found.command, found.evidence) == (
            event.command,
            event.evidence,
        )


def _name_of(request: Message) -> str:
    """A key for words without one: the broker's own name for the request, so each door gives the same."""
    if not request.reply:
        return secrets.token_hex(16)
    return hashlib.sha256(f"{request.reply}\0{request.subject}".encode()).hexdigest()[:32]


def _bounded(message: Message, limit: int = MAX_BYTES) -> Message:
    """Measured is also what becomes of it as a text in an event, where some characters take two places."""
    size = len(message.data)
    if size <= limit:
        size = len(encode_json(message.data.decode())) - 2  # without the quotes around
    if size > limit:
        raise Refused(f"{size} bytes, the limit is {limit}: say it shorter", reason="too_large")
    return message


def _fields(data: bytes, known: frozenset[str] | None = None) -> Collection[str]:
    """The names in a JSON object. A field that the door does not know is refused, not skipped: a misspelt
    `mode` would execute what was meant to be simulated; nor is one taken that stands there twice, which two
    readers may read differently. Raises: Refused, DecodeError."""
    json.loads(data.decode(), object_pairs_hook=_once)
    names = msgspec.json.decode(data, type=dict[str, msgspec.Raw]).keys()
    strangers = sorted(names - known) if known is not None else []
    if strangers:
        raise Refused(
            f"an intent has no {', '.join(map(repr, strangers[:5]))};"
            f" it has {', '.join(sorted(_INTENT_FIELDS))}",
            reason="malformed",
        )
    return names


def _once(pairs: list[tuple[str, object]]) -> None:
    names = [name for name, _value in pairs]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise Refused(f"{twice!r} stands there twice: say it once", reason="malformed")


def _repeated(command: CommandId, known: Asked, digest: Digest) -> bytes:
    if known.digest != digest:
        raise Refused(
            f"key already used by c{known.sequence} for other words; take a new key", reason="key_conflict"
        )
    return encode_json(IntentTaken(command=command, handle=f"c{known.sequence}", repeated=True))


def _fingerprint(approval: Approval) -> str:
    return hashlib.sha256(encode_json(approval)).hexdigest()[:24]
