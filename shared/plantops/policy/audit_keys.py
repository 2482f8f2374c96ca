"""Whose audit records, checkpoints and cosignatures count, by the words of policies. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from plantops.ledger.keys import RevokedKey, VerifyKey
from plantops.ledger.note import Kind, NoteKey
from plantops.ledger.record import Trusted
from plantops.policy.document import Policy

_NOTARY: Final = "notary"
_WITNESS: Final = "witness"


def witness_name(site: str, process: str) -> str:
    """The name under which a witness of the site cosigns."""
    return f"plantops/{site}/witness/{process}"


def writers_of(*policies: Policy) -> Trusted:
    """The keys of every process; of several policies together, so that records before a change of keys count.

    A key that one of them revokes counts up to the size of the log that is named there. Raises: SettingsError
    when a key is none.
    """
    writers: dict[str, dict[str, VerifyKey]] = {}
    revoked = revoked_by(*policies)
    for policy in policies:
        for name, principal in policy.principals.items():
            if principal.kind == "process":
                keys = [key_of(text, revoked) for text in principal.keys]
                writers.setdefault(name, {}).update((key.keyid, key) for key in keys)
    return writers


def notary_keys(*policies: Policy) -> tuple[VerifyKey, ...]:
    """The keys of those whose role it is to sign checkpoints. Raises: as `writers_of`."""
    revoked = revoked_by(*policies)
    found = [key_of(text, revoked) for _name, text in _keys_in_role(_NOTARY, policies)]
    return tuple(dict.fromkeys(found))


def witness_keys(*policies: Policy) -> tuple[NoteKey, ...]:
    """The site's own witnesses; a revoked one is none. Raises: as `writers_of`."""
    revoked = revoked_by(*policies)
    found = [
        NoteKey(witness_name(policy.audience, name), VerifyKey.from_base64(text), Kind.COSIGNATURE)
        for policy in policies
        for name, text in _keys_in_role(_WITNESS, (policy,))
        if text not in revoked
    ]
    return tuple(dict.fromkeys(found))


def revoked_by(*policies: Policy) -> dict[str, int]:
    """Base64 of each revoked key, and how many records of the log its word covers."""
    found: dict[str, int] = {}
    for policy in policies:
        for one in policy.revoked:
            found[one.key] = min(one.audit_size, found.get(one.key, one.audit_size))
    return found


def key_of(text: str, revoked: Mapping[str, int]) -> VerifyKey:
    """Raises: SettingsError when it is no key."""
    key = VerifyKey.from_base64(text)
    return RevokedKey(key.raw, revoked[text]) if text in revoked else key


def _keys_in_role(role: str, policies: Iterable[Policy]) -> Iterator[tuple[str, str]]:
    for policy in policies:
        for name, principal in policy.principals.items():
            if principal.kind == "process" and role in principal.roles:
                yield from ((name, text) for text in principal.keys)
