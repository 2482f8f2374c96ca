"""Which policy may be believed: signatures of the pinned root, audience, time, and the revision before.

A verified policy stays in the hand of who verified it: when a newer one is refused, the old one goes on.
"""

from __future__ import annotations

from datetime import datetime

from plantops.ledger import dsse
from plantops.model.load import Plant
from plantops.policy.document import POLICY_TYPE, TrustRoot, decode_policy, policy_digest
from plantops.policy.roots import load_root, save_root, trusted_keys
from plantops.policy.soundness import problems
from plantops.policy.vectors import failing
from plantops.policy.verified import Status, Verified, status
from plantops.runtime.errors import PolicyRejected, SettingsError, TrustError

__all__ = ["Status", "Verified", "load_root", "save_root", "status", "verify_policy"]

# A thief of root keys could else use up the numbers that JSON and tables can hold, and lock the owners out.
MAX_REVISION_STEP = 1_000


def verify_policy(
    envelope: bytes,
    root: TrustRoot,
    *,
    site: str,
    now: datetime,
    in_force: Verified | None,
    plant: Plant | None = None,
) -> Verified:
    """The policy in a signed envelope, which may follow `in_force`; the same one again is no error.

    With the `plant` that it pins, the policy must give the decisions that its vectors demand. Who has no
    plant, or another one, cannot judge them and decides nothing by this policy: it believes the signatures,
    and takes also a revision upon the one before `in_force`, since who could judge may have refused that.

    Raises: PolicyRejected, whatever is wrong: no threshold of the root's keys, another audience, a schema
    or field that is not known, not valid at `now`, a lower revision, another content under the same
    revision, another predecessor, rules that contradict themselves, a revocation that is gone, a decision
    vector that does not hold.
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
    _check_order(verified, in_force, plant)
    _check_revocations(verified, in_force)
    _check_time(verified, now)
    if plant is not None and plant.digest == policy.model:
        failed = failing(verified, plant)
        if failed is not None:
            raise _rejected(verified, f"does not decide as its vector {failed.id!r} demands: {failed.text}")
    return verified


def _opened(envelope: bytes, root: TrustRoot, site: str) -> bytes:
    if root.site != site:
        raise PolicyRejected(f"the trust root is of site {root.site!r}, not {site!r}: install the right one")
    try:
        trusted = trusted_keys(root.policy)
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


def _check_order(new: Verified, old: Verified | None, plant: Plant | None) -> None:
    if old is None:
        return
    revision, standing = new.policy.revision, old.policy.revision
    if revision == standing:
        raise _rejected(
            new, f"is another document than the revision {standing} in force: take a new revision"
        )
    if revision < standing:
        raise _rejected(new, f"is older than revision {standing} in force: sign it again as {standing + 1}")
    if revision - standing > MAX_REVISION_STEP:
        raise _rejected(new, f"jumps from revision {standing}: sign it again as {standing + 1}")
    if new.policy.previous not in _predecessors(old, plant):
        raise _rejected(
            new,
            f"follows {new.policy.previous[:12] or 'nothing'}, in force is {old.digest[:12]}:"
            " write it upon the policy in force",
        )


def _predecessors(old: Verified, plant: Plant | None) -> tuple[str, ...]:
    """What the next one may name: also the one before, where nobody here could run the vectors of `old`."""
    is_judged = not old.policy.vectors or (plant is not None and plant.digest == old.policy.model)
    return (old.digest,) if is_judged else (old.digest, old.policy.previous)


def _check_revocations(new: Verified, old: Verified | None) -> None:
    """A key that was taken away stays away: what it said until then is read by the newest policy's word."""
    kept = {each.key for each in new.policy.revoked}
    for each in old.policy.revoked if old is not None else ():
        if each.key not in kept:
            raise _rejected(new, f"no longer revokes the key {each.key!r}: keep it under revoked")


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
