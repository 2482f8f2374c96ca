"""What a verifier must bring himself: whose checkpoints and whose records count. Never part of an export."""

from __future__ import annotations

from pathlib import Path

import msgspec

from plantops.ledger.keys import VerifyKey
from plantops.ledger.note import Kind, NoteKey
from plantops.ledger.record import Trusted
from plantops.ledger.witnesses import WitnessPolicy
from plantops.policy.audit_keys import key_of, notary_keys, revoked_by, witness_keys, writers_of
from plantops.policy.document import Policy
from plantops.runtime.errors import SettingsError


class AuditTrust(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The public keys of a site's audit, as JSON: `notaries`, and `writers` by name, in Base64; `witnesses`
    as verifier keys (C2SP signed-note), of whom `quorum` must have cosigned a checkpoint. `revoked` names
    keys of `notaries` and `writers` whose word covers the first so many records only.
    """

    site: str
    notaries: tuple[str, ...]
    writers: dict[str, tuple[str, ...]]
    witnesses: tuple[str, ...] = ()
    quorum: int = 0
    revoked: dict[str, int] = {}

    @property
    def notary_keys(self) -> tuple[VerifyKey, ...]:
        """Raises: SettingsError when one is no key."""
        return tuple(key_of(text, self.revoked) for text in self.notaries)

    @property
    def trusted(self) -> Trusted:
        """Raises: SettingsError when one is no key."""
        return {
            name: {key.keyid: key for key in (key_of(text, self.revoked) for text in keys)}
            for name, keys in self.writers.items()
        }

    @property
    def witness_policy(self) -> WitnessPolicy:
        """Raises: SettingsError when one is no verifier key of a witness."""
        keys = tuple(map(NoteKey.from_vkey, self.witnesses))
        wrong = [key.name for key in keys if key.kind is not Kind.COSIGNATURE]
        if wrong:
            raise SettingsError(f"{wrong} are keys that sign notes, no witnesses' keys (type 4)")
        return WitnessPolicy.of(keys, self.quorum)


def trust_of(*policies: Policy) -> AuditTrust:
    """The trust that verified policies of one site give; older ones add the keys of before.

    Raises: SettingsError when there is no policy, or they are of different sites.
    """
    sites = {policy.audience for policy in policies}
    if len(sites) != 1:
        raise SettingsError(f"policies of {len(sites)} sites ({sorted(sites)}): give those of one site")
    return AuditTrust(
        site=sites.pop(),
        notaries=tuple(key.to_base64() for key in notary_keys(*policies)),
        writers={
            name: tuple(key.to_base64() for key in keys.values())
            for name, keys in writers_of(*policies).items()
        },
        witnesses=tuple(key.to_vkey() for key in witness_keys(*policies)),
        revoked=revoked_by(*policies),
    )


def load_trust(path: Path) -> AuditTrust:
    """Raises: SettingsError when the file is missing or says anything that is not understood."""
    try:
        trust = msgspec.json.decode(path.read_bytes(), type=AuditTrust)
    except OSError as error:
        raise SettingsError(f"{path} cannot be read ({error.strerror}): name the trust file") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is no audit trust file: {error}") from error
    if not trust.notary_keys or not trust.trusted:
        raise SettingsError(f"{path} names no notary or no writer: nothing could be verified with it")
    return trust


def save_trust(trust: AuditTrust, path: Path) -> None:
    """Raises: SettingsError when it cannot be written."""
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(trust, order="sorted"), indent=2) + b"\n")
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}") from error
