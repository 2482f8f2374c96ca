"""What a verifier must bring himself: whose checkpoints and whose records count. Never part of an export."""

from __future__ import annotations

from pathlib import Path

import msgspec

from plantops.audit.specs import notary_keys, writers_of
from plantops.ledger.keys import VerifyKey
from plantops.ledger.record import Trusted
from plantops.policy.document import Policy
from plantops.runtime.errors import SettingsError


class AuditTrust(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The public keys of a site's audit, Base64, as JSON: `notaries`, and `writers` by name."""

    site: str
    notaries: tuple[str, ...]
    writers: dict[str, tuple[str, ...]]

    @property
    def notary_keys(self) -> tuple[VerifyKey, ...]:
        """Raises: SettingsError when one is no key."""
        return tuple(map(VerifyKey.from_base64, self.notaries))

    @property
    def trusted(self) -> Trusted:
        """Raises: SettingsError when one is no key."""
        return {
            name: {key.keyid: key for key in map(VerifyKey.from_base64, keys)}
            for name, keys in self.writers.items()
        }


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
