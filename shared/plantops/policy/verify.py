"""Which policy may be believed: signatures of the pinned root, audience, time, and the revision before.

A verified policy stays in the hand of who verified it: when a newer one is refused, the old one goes on.
"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from plantops.events.base import Digest
from plantops.ledger import dsse
from plantops.ledger.keys import VerifyKey
from plantops.policy.document import POLICY_TYPE, Policy, TrustRoot, decode_policy, policy_digest
from plantops.policy.soundness import problems
from plantops.runtime.errors import PolicyRejected, SettingsError, TrustError

Status: TypeAlias = Literal["in_force", "expired", "not_yet"]


class Verified(msgspec.Struct, frozen=True):
    """A policy whose signatures were checked, with the digest of its payload and the exact envelope."""

    policy: Policy
    digest: Digest
    envelope: bytes


def status(verified: Verified, now: datetime) -> Status:
    """Whether the policy is valid at `now`; an expired one serves the safe direction only."""
    if now < verified.policy.not_before:
        return "not_yet"
    return "in_force" if now < verified.policy.expires else "expired"


def verify_policy(
    envelope: bytes, root: TrustRoot, *, site: str, now: datetime, in_force: Verified | None
) -> Verified:
    """The policy in a signed envelope, which may follow `in_force`; the same one again is no error.

    Raises: PolicyRejected, whatever is wrong: no threshold of the root's keys, another audience, a schema
    or field that is not known, not valid at `now`, a lower revision, another content under the same
    revision, another predecessor, or rules that contradict themselves.
    """
    payload = _opened(envelope, root, site)
    digest = policy_digest(payload)
    try:
        policy = decode_policy(payload)
    except (ValueError, RecursionError) as error:
        raise PolicyRejected(f"the policy cannot be read ({error}): write it anew", digest=digest) from error
    verified = Verified(policy=policy, digest=digest, envelope=envelope)
    wrong = problems(policy)
    if policy.audience != site:
        wrong.insert(0, f"is meant for site {policy.audience!r}, not {site!r}: sign one for this site")
    if wrong:
        raise _rejected(verified, wrong[0])
    if in_force is not None and digest == in_force.digest:
        return in_force
    _check_order(verified, in_force)
    _check_time(verified, now)
    return verified


def load_root(path: Path) -> TrustRoot:
    """The trust root in a JSON file, as `save_root` writes it.

    Raises: SettingsError when the file is missing or says anything that is not understood.
    """
    try:
        root = msgspec.json.decode(path.read_bytes(), type=TrustRoot)
    except FileNotFoundError as error:
        raise SettingsError(f"{path} does not exist: copy the site's trust root there") from error
    except OSError as error:
        raise SettingsError(f"{path} cannot be read ({error.strerror}): check path and rights") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is no trust root: {error}") from error
    _root_keys(root)
    return root


def save_root(root: TrustRoot, path: Path) -> None:
    """Write the root as JSON, all or nothing. Raises: SettingsError when it is unsound or not writable."""
    _root_keys(root)
    data = msgspec.json.format(msgspec.json.encode(root, order="sorted"), indent=2) + b"\n"
    draft = path.with_name(f".{path.name}.new")
    try:
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}") from error


def _opened(envelope: bytes, root: TrustRoot, site: str) -> bytes:
    if root.site != site:
        raise PolicyRejected(f"the trust root is of site {root.site!r}, not {site!r}: install the right one")
    try:
        trusted = _root_keys(root)
        opened = dsse.open_envelope(dsse.decode(envelope), expected_type=POLICY_TYPE, trusted=trusted)
    except (TrustError, SettingsError) as error:
        raise PolicyRejected(f"the policy is not believed: {error}") from error
    if len(opened.signers) < root.policy.threshold:
        raise PolicyRejected(
            f"the policy has {len(opened.signers)} of {root.policy.threshold} signatures needed:"
            " let more holders of root keys sign it",
            digest=policy_digest(opened.payload),
        )
    return opened.payload


def _root_keys(root: TrustRoot) -> dict[str, VerifyKey]:
    keys = [VerifyKey.from_base64(text) for text in root.policy.keys]
    trusted = {key.keyid: key for key in keys}
    if len(trusted) != len(keys):
        raise SettingsError("the trust root names a key twice: remove one", setting="policy.keys")
    if not 1 <= root.policy.threshold <= len(trusted):
        raise SettingsError(
            f"the trust root asks for {root.policy.threshold} of {len(trusted)} keys: correct one of them",
            setting="policy.threshold",
        )
    return trusted


def _check_order(new: Verified, old: Verified | None) -> None:
    if old is None:
        return
    revision, standing = new.policy.revision, old.policy.revision
    if revision == standing:
        raise _rejected(
            new, f"is another document than the revision {standing} in force: take a new revision"
        )
    if revision < standing:
        raise _rejected(new, f"is older than revision {standing} in force: sign it again as {standing + 1}")
    if new.policy.previous != old.digest:
        raise _rejected(
            new,
            f"follows {new.policy.previous[:12] or 'nothing'}, in force is {old.digest[:12]}:"
            " write it upon the policy in force",
        )


def _check_time(new: Verified, now: datetime) -> None:
    match status(new, now):
        case "not_yet":
            raise _rejected(
                new, f"is not valid before {new.policy.not_before.isoformat()}: publish it again then"
            )
        case "expired":
            raise _rejected(new, f"expired at {new.policy.expires.isoformat()}: sign a new revision")
        case "in_force":
            return


def _rejected(verified: Verified, problem: str) -> PolicyRejected:
    policy = verified.policy
    return PolicyRejected(
        f"policy {policy.id!r} revision {policy.revision} {problem}", digest=verified.digest
    )
