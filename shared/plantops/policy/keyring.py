"""The principals of one policy by name, key and login: whose word counts, and for what."""

from __future__ import annotations

from datetime import datetime
from typing import Final, NoReturn, TypeVar

import msgspec

from plantops.events.base import PrincipalName
from plantops.events.command_parts import APPROVAL_TYPE, INTENT_TYPE, Approval, Intent
from plantops.events.envelope import CONTENT_TYPE, JSON, MSGPACK, SIGNATURE, Message, payload_type
from plantops.ledger import dsse
from plantops.ledger.keys import VerifyKey
from plantops.policy import rights
from plantops.policy.delegated import is_gateway
from plantops.policy.document import Policy, Principal
from plantops.policy.speakers import SPEAKERS, fits
from plantops.runtime.errors import (
    MalformedEnvelope,
    PolicyRejected,
    SettingsError,
    SignatureInvalid,
    UntrustedKey,
)

T = TypeVar("T")

# What a signed intent must state itself; left out are only words and what has one meaning when absent.
_INTENT_FIELDS: Final = frozenset(
    ("site", "asset", "operation", "arguments", "mode", "actor", "key", "nonce", "issued_at", "expires_at")
) | {"model"}
_INTENT_TEXTS: Final = ("site", "asset", "operation", "actor", "key", "nonce", "model")
_APPROVAL_TEXTS: Final = ("site", "command", "person", "intent", "decision", "nonce")


class Keyring:
    """Looks up and believes. Immutable; a new policy makes a new one. Implements `flow.trust.Trust`.

    No revoked key stands in it: neither one that the policy itself revokes nor one of `revoked` (Base64).
    """

    def __init__(self, policy: Policy, revoked: frozenset[str] = frozenset()) -> None:
        """Raises: PolicyRejected when a key is none, or two principals share a key or a login."""
        self._revoked: Final = revoked | {each.key for each in policy.revoked}
        self._policy: Final = policy
        self._keys: Final[dict[str, VerifyKey]] = {}
        self._owners: Final[dict[str, PrincipalName]] = {}
        self._logins: Final[dict[str, PrincipalName]] = {}
        for name, principal in policy.principals.items():
            self._enter(PrincipalName(name), principal)

    @property
    def policy(self) -> Policy:
        return self._policy

    def principal(self, name: str) -> Principal | None:
        """Who stands in the policy under `name`."""
        return self._policy.principals.get(name)

    def login(self, nkey: str) -> PrincipalName | None:
        """The principal who logs in with a user nkey."""
        return self._logins.get(nkey)

    def owner(self, keyid: str) -> PrincipalName | None:
        """The principal to whom a signing key belongs."""
        return self._owners.get(keyid)

    def keys_of(self, name: str) -> dict[str, VerifyKey]:
        """The keys of one principal by key id; empty for a stranger."""
        return {keyid: self._keys[keyid] for keyid, owner in self._owners.items() if owner == name}

    def roles_of(self, name: str) -> tuple[str, ...]:
        """The roles of a principal; none for a stranger."""
        found = self.principal(name)
        return () if found is None else found.roles

    def person_of(self, name: str, on_behalf_of: tuple[str, ...] = ()) -> str:
        """The natural person at the end of the chain; empty when there is none."""
        return rights.person_of(self._policy, name, on_behalf_of)

    def persons_of(self, name: str, on_behalf_of: tuple[str, ...] = ()) -> frozenset[str]:
        """Every natural person in the chain: none of them counts as another person."""
        return rights.persons_of(self._policy, name, on_behalf_of)

    def may(self, name: str, asset: str, operation: str) -> bool:
        """Whether a role of `name` covers the operation."""
        return rights.may(self._policy, name, rights.patterns_for(asset, operation))

    def believe(self, event_type: str, version: int, message: Message) -> str:
        """The principal who signed `message` and may say this event on this subject; "" where none need.

        Raises: TrustError: no or a bad signature, a key of nobody here, a role that may not say it, or a
        subject that names another site, writer or source.
        """
        speaker = SPEAKERS.get(event_type)
        if speaker is None:
            raise UntrustedKey(f"nobody may say {event_type!r}: it is no event of this version")
        if not speaker.role:
            return ""
        keyid = self._signer(event_type, version, message)
        name = self._owners[keyid]
        if speaker.role not in self._policy.principals[name].roles:
            raise UntrustedKey(
                f"{name!r} may not say {event_type!r}: the policy does not give it the role {speaker.role!r}",
                keyids=(keyid,),
            )
        if not fits(speaker, message.subject, site=self._policy.audience, signer=name, event_type=event_type):
            raise UntrustedKey(
                f"{name!r} may not say {event_type!r} on {message.subject!r}: wanted {speaker.subject}",
                keyids=(keyid,),
            )
        return name

    def at(self, time_ns: int) -> Keyring:
        """Itself."""
        return self

    @property
    def ever(self) -> Keyring:
        """Itself."""
        return self

    def open_intent(self, data: bytes) -> tuple[Intent, PrincipalName]:
        """A signed intent and who signed it, which is its actor.

        Raises: TrustError when it is not signed by its actor alone, or does not state everything itself.
        """
        payload, signer = self._open(data, INTENT_TYPE)
        fields = _decoded(payload, dict[str, msgspec.Raw], "intent")
        intent = _decoded(payload, Intent, "intent")
        missing = sorted(
            _INTENT_FIELDS - fields.keys() | {name for name in _INTENT_TEXTS if not getattr(intent, name)}
        )
        _check_stated("intent", missing, intent.issued_at, intent.expires_at)
        if intent.actor != signer:
            _not_the_signer("intent", intent.actor, signer)
        return intent, signer

    def open_approval(self, data: bytes) -> tuple[Approval, PrincipalName]:
        """A signed approval or rejection and who signed it: its person, or the gateway that it names.

        Raises: TrustError when it is not signed by that one alone, or is in the name of no person.
        """
        payload, signer = self._open(data, APPROVAL_TYPE)
        approval = _decoded(payload, Approval, "approval")
        missing = [name for name in _APPROVAL_TEXTS if not getattr(approval, name)]
        _check_stated("approval", missing, approval.issued_at, approval.expires_at)
        if (approval.by or approval.person) != signer:
            _not_the_signer("approval", approval.by or approval.person, signer)
        if approval.by and not is_gateway(self._policy, signer):
            raise UntrustedKey(f"{signer!r} is no gateway and approves in nobody's name")
        principal = self._policy.principals.get(approval.person)
        if principal is None or principal.kind != "person":
            raise UntrustedKey(f"{approval.person!r} is no person: programs and agents never approve")
        return approval, signer

    def _enter(self, name: PrincipalName, principal: Principal) -> None:
        for text in principal.keys:
            if text in self._revoked:
                continue
            try:
                key = VerifyKey.from_base64(text)
            except SettingsError as error:
                raise PolicyRejected(f"a key of {name!r} cannot be used: {error}") from error
            if key.keyid in self._owners:
                raise PolicyRejected(
                    f"{name!r} and {self._owners[key.keyid]!r} have the same key: give each its own"
                )
            self._owners[key.keyid] = name
            self._keys[key.keyid] = key
        for login in principal.logins:
            if login in self._logins:
                raise PolicyRejected(
                    f"{name!r} and {self._logins[login]!r} have the same login: give each its own"
                )
            self._logins[login] = name

    def _signer(self, event_type: str, version: int, message: Message) -> str:
        header = message.header(SIGNATURE)
        if not header:
            raise SignatureInvalid(f"{event_type!r} on {message.subject!r} carries no signature")
        content = message.header(CONTENT_TYPE) or JSON
        if content not in (JSON, MSGPACK):
            raise SignatureInvalid(f"{event_type!r} on {message.subject!r} has the unknown form {content!r}")
        return dsse.verify_detached(
            header, payload_type(event_type, version, content), message.data, self._keys
        )

    def _open(self, data: bytes, kind: str) -> tuple[bytes, PrincipalName]:
        opened = dsse.open_envelope(dsse.decode(data), expected_type=kind, trusted=self._keys)
        owners = {self._owners[keyid] for keyid in opened.signers}
        if len(owners) != 1:
            raise UntrustedKey(
                f"signed by {', '.join(sorted(owners))}: one principal signs, for himself",
                keyids=opened.signers,
            )
        return opened.payload, owners.pop()


def _decoded(payload: bytes, kind: type[T], what: str) -> T:
    try:
        return msgspec.json.decode(payload, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedEnvelope(f"what was signed is no {what}: {error}") from error


def _check_stated(what: str, missing: list[str], issued: datetime | None, expires: datetime | None) -> None:
    if missing:
        raise MalformedEnvelope(f"a signed {what} states everything itself; missing: {', '.join(missing)}")
    if issued is None or expires is None or issued.tzinfo is None or expires.tzinfo is None:
        raise MalformedEnvelope(f"a signed {what} gives its times in UTC, with Z")


def _not_the_signer(what: str, named: str, signer: str) -> NoReturn:
    raise UntrustedKey(f"the {what} is in the name of {named!r}, but {signer!r} signed it")
