"""Several holders of root keys sign one text, one after the other, each where his key is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from plantops.ledger import dsse
from plantops.ledger.keys import SigningKey
from plantops.policy.document import RootRole
from plantops.policy.roots import signed_by, trusted_keys
from plantops.runtime.errors import SettingsError, TrustError


@dataclass(frozen=True, slots=True)
class Count:
    """Who of a role has signed so far, by key id."""

    signers: tuple[str, ...]
    needed: int
    holders: int

    @property
    def is_enough(self) -> bool:
        return len(self.signers) >= self.needed

    def __str__(self) -> str:
        return f"{len(self.signers)} of {self.needed} signatures needed ({self.holders} keys may sign)"


def count(envelope: bytes, kind: str, role: RootRole) -> Count:
    """Raises: TrustError when a signature under a key of the role does not fit, or there is none at all."""
    return Count(signed_by(envelope, kind, role), role.threshold, len(role.keys))


def seal(kind: str, payload: bytes, keys: Sequence[SigningKey], roles: Sequence[RootRole]) -> bytes:
    """A new envelope. Raises: SettingsError for a key that no role lists, or none at all."""
    if not keys:
        raise SettingsError("nobody signs: give a key with --key", setting="key")
    _check_listed(keys, roles)
    different = {key.keyid: key for key in keys}
    return dsse.encode(dsse.seal(kind, payload, *different.values()))


def cosign(envelope: bytes, kind: str, keys: Sequence[SigningKey], roles: Sequence[RootRole]) -> bytes:
    """The same text with more signatures; one that stands there already changes nothing.

    Raises: TrustError when a signature of a listed key does not fit: nobody should add his name to that.
    SettingsError for a key that no role lists, another kind of text, or too many signatures.
    """
    _check_listed(keys, roles)
    opened = dsse.decode(envelope)
    if opened.payloadType != kind:
        raise SettingsError(
            f"the envelope holds {opened.payloadType!r}, wanted is {kind!r}: take the other command"
        )
    if opened.signatures:
        for role in roles:
            signed_by(envelope, kind, role)
    there = {each.keyid for each in opened.signatures}
    new = {key.keyid: key for key in keys if key.keyid not in there}
    if not new:
        return envelope
    if len(there) + len(new) > dsse.MAX_SIGNATURES:
        raise SettingsError(f"an envelope carries at most {dsse.MAX_SIGNATURES} signatures: sign a new one")
    added = dsse.seal(kind, opened.body(), *new.values())
    return dsse.encode(msgspec.structs.replace(opened, signatures=(*opened.signatures, *added.signatures)))


def _check_listed(keys: Sequence[SigningKey], roles: Sequence[RootRole]) -> None:
    listed = {keyid for role in roles for keyid in trusted_keys(role)}
    for key in keys:
        if key.keyid not in listed:
            raise SettingsError(
                f"the key {key.public.to_base64()} is in no trust root here, its signature would count for"
                " nothing: take the key of a root holder, or enter it with `plantops policy root new`",
                setting="key",
            )


def counted(envelope: bytes, kind: str, roles: Sequence[RootRole]) -> list[Count]:
    """`count` for each role; nobody where a signature does not even fit."""
    found = []
    for role in roles:
        try:
            found.append(count(envelope, kind, role))
        except TrustError:
            found.append(Count((), role.threshold, len(role.keys)))
    return found
