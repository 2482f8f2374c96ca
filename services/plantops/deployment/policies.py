"""The policy office at work: write, sign, check and publish the site's policy."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from plantops.deployment.folder import SiteFolder
from plantops.deployment.publishing import publish_roots, published
from plantops.deployment.roots import next_signers, read, standing_root
from plantops.deployment.signatures import Count, cosign, count, seal
from plantops.events.base import Digest, SiteName
from plantops.events.operations import PolicyPublished
from plantops.events.subjects import policy as policy_subject
from plantops.flow.bus import Bus
from plantops.flow.signing import Signer
from plantops.ledger import dsse
from plantops.ledger.keys import SigningKey
from plantops.model.load import Plant
from plantops.policy.document import POLICY_TYPE, Policy, RootRole, decode_policy
from plantops.policy.soundness import problems
from plantops.policy.vectors import assumed, failing
from plantops.policy.verify import Verified, status, verify_policy
from plantops.runtime.errors import PolicyRejected, SettingsError, TrustError


def write_policy(folder: SiteFolder, policy: Policy) -> None:
    """The document as people read and edit it."""
    folder.policy_document.parent.mkdir(parents=True, exist_ok=True)
    write_document(folder.policy_document, policy)


def write_document(path: Path, policy: Policy) -> None:
    """A document in a file of its own."""
    text = msgspec.json.format(msgspec.json.encode(policy), indent=2)
    path.write_bytes(text + b"\n")


def read_document(folder: SiteFolder) -> tuple[Policy, bytes]:
    """The document and its exact bytes. Raises: SettingsError naming the place of a mistake."""
    try:
        payload = folder.policy_document.read_bytes()
    except OSError as error:
        raise SettingsError(f"cannot read {folder.policy_document}: {error.strerror}") from error
    try:
        return decode_policy(payload), payload
    except ValueError as error:
        raise SettingsError(f"{folder.policy_document}: {error}", setting="policy") from error


def sign_policy(folder: SiteFolder, keys: Sequence[SigningKey], plant: Plant | None = None) -> bytes:
    """Sign the document as it stands and write the envelope beside it.

    Raises: SettingsError for an unreadable document; PolicyRejected when the trust root would not take it,
    or it does not hold its vectors on `plant`.
    """
    _policy, payload = read_document(folder)
    envelope = dsse.encode(dsse.seal(POLICY_TYPE, payload, *keys))
    keep_envelope(folder, envelope, plant)
    return envelope


def partial_envelope(folder: SiteFolder) -> Path:
    """Where a policy waits that not enough have signed yet; the signed one before stays as it is."""
    return folder.policy_envelope.with_name("policy.partial.dsse")


def begin_policy(folder: SiteFolder, keys: Sequence[SigningKey], plant: Plant) -> tuple[Path, Count]:
    """Sign the document with some of the keys that it takes; the envelope's path and who has signed.

    Raises: as `sign_policy`; SettingsError for a key that no trust root here lists.
    """
    policy, payload = read_document(folder)
    if wrong := problems(policy):
        raise SettingsError(f"{folder.policy_document}: it {wrong[0]}", setting="policy")
    failed = failing(assumed(policy, plant), plant)
    if failed is not None:
        raise PolicyRejected(
            f"policy {policy.id!r} revision {policy.revision} does not decide as its vector {failed.id!r}"
            f" demands: {failed.text}"
        )
    path = partial_envelope(folder)
    path.write_bytes(seal(POLICY_TYPE, payload, keys, _signers(folder)))
    return _finish(folder, path, plant)


def cosign_policy(
    folder: SiteFolder, path: Path, keys: Sequence[SigningKey], plant: Plant | None
) -> tuple[Path, Count]:
    """Add signatures to an envelope; with enough of them, the waiting one becomes the signed policy.

    Raises: SettingsError, TrustError; PolicyRejected as `sign_policy`.
    """
    path.write_bytes(cosign(read(path), POLICY_TYPE, keys, _signers(folder)))
    return _finish(folder, path, plant)


def _signers(folder: SiteFolder) -> list[RootRole]:
    """Whose signatures are worth something: the holders of the standing root's keys, and the next one's."""
    return [standing_root(folder).policy, *next_signers(folder)]


def _finish(folder: SiteFolder, path: Path, plant: Plant | None) -> tuple[Path, Count]:
    envelope = read(path)
    signed = count(envelope, POLICY_TYPE, standing_root(folder).policy)
    if path != partial_envelope(folder) or not signed.is_enough:
        return path, signed
    _refuse_older(folder, path)
    keep_envelope(folder, envelope, plant)
    path.unlink()
    return folder.policy_envelope, signed


def _refuse_older(folder: SiteFolder, path: Path) -> None:
    """What waited too long must not take the place of what was signed since. Raises: PolicyRejected."""
    if not folder.policy_envelope.exists():
        return
    standing = verify_envelope(folder, read_envelope(folder)).policy.revision
    waiting = verify_envelope(folder, read(path)).policy.revision
    if waiting < standing:
        raise PolicyRejected(
            f"{path} is revision {waiting}, signed is revision {standing}: remove it, or sign a newer one"
        )


def keep_envelope(folder: SiteFolder, envelope: bytes, plant: Plant | None) -> None:
    """Make an envelope the folder's signed policy, all or nothing. Raises: PolicyRejected."""
    _check_valid(verify_envelope(folder, envelope, plant))
    _keep_earlier(folder, envelope)
    draft = folder.policy_envelope.with_name(f".{folder.policy_envelope.name}.new")
    draft.write_bytes(envelope)
    draft.replace(folder.policy_envelope)


def _check_valid(verified: Verified) -> None:
    word = status(verified, datetime.now(UTC))
    if word != "in_force":
        raise PolicyRejected(
            f"revision {verified.policy.revision} is {word}: mend not_before and expires, raise the revision",
            digest=verified.digest,
        )


def revise_policy(folder: SiteFolder, model: Digest, now: datetime, *, moc: str = "") -> Policy:
    """Write the document of the next revision: what stands in it now, upon the signed policy, for `model`.

    It is valid from now on, for as long as the document was meant to be. Doing it again before it is signed
    changes nothing but times and digest. The signed policy must be published before the next one is signed.

    Raises: SettingsError for an unreadable document or folder; PolicyRejected when the envelope is not one
    of this site.
    """
    document, _payload = read_document(folder)
    standing = verify_envelope(folder, read_envelope(folder))
    begins = now.replace(microsecond=0)
    life = document.expires - document.not_before
    revised = msgspec.structs.replace(
        document,
        revision=standing.policy.revision + 1,
        previous=standing.digest,
        model=model,
        moc=moc or document.moc,
        not_before=begins - timedelta(minutes=1),
        expires=begins + life,
    )
    if wrong := problems(revised):
        raise SettingsError(f"{folder.policy_document}: it {wrong[0]}", setting="policy")
    write_policy(folder, revised)
    return revised


def read_envelope(folder: SiteFolder) -> bytes:
    """The signed policy. Raises: SettingsError when there is none."""
    try:
        return folder.policy_envelope.read_bytes()
    except OSError as error:
        raise SettingsError(
            f"cannot read {folder.policy_envelope}: {error.strerror}; sign one with `plantops policy sign`"
        ) from error


def _keep_earlier(folder: SiteFolder, envelope: bytes) -> None:
    """The policy that is replaced: its keys made what the audit holds from then."""
    if not folder.policy_envelope.exists():
        return
    earlier = read(folder.policy_envelope)
    if earlier != envelope:
        folder.earlier_policies.mkdir(exist_ok=True)
        name = f"{hashlib.sha256(earlier).hexdigest()[:16]}.dsse"
        (folder.earlier_policies / name).write_bytes(earlier)


def earlier_policies(folder: SiteFolder) -> tuple[list[Policy], list[Path]]:
    """Policies that were signed here before, and the files that the standing root does not verify."""
    found, refused = list[Policy](), list[Path]()
    for path in sorted(folder.earlier_policies.glob("*.dsse")):
        try:
            found.append(verify_envelope(folder, read(path)).policy)
        except (PolicyRejected, TrustError):
            refused.append(path)
    return found, refused


def verify_envelope(
    folder: SiteFolder, envelope: bytes, plant: Plant | None = None, in_force: Verified | None = None
) -> Verified:
    """Check an envelope against the folder's trust root; it may have expired, see `policy.verify.status`.

    An expired policy still serves for the safe direction, so a site must start with it.
    Raises: PolicyRejected.
    """
    root = standing_root(folder)
    now = moment_for(envelope, datetime.now(UTC))
    return verify_policy(envelope, root, site=root.site, now=now, in_force=in_force, plant=plant)


def moment_for(envelope: bytes, now: datetime) -> datetime:
    """`now`, or the last moment at which an expired policy was valid. Trusts nothing: the caller verifies."""
    try:
        policy = decode_policy(dsse.decode(envelope).body())
    except (TrustError, ValueError):
        return now  # the verification says what is wrong with it
    return min(now, policy.expires - timedelta(microseconds=1)) if policy.expires.tzinfo else now


async def publish_policy(bus: Bus, signer: Signer, folder: SiteFolder) -> bool:
    """Put the signed policy on the stream unless it is the last one there; True when it was put.

    Trust roots that are not there yet go before it. The same policy under other signatures is put again:
    who starts from a newer root must find it signed by that root's keys.

    Raises: PolicyRejected, Conflict when somebody else published at the same moment.
    """
    verified = verify_envelope(folder, read_envelope(folder))
    site = verified.policy.audience
    there = await published(bus, site)
    await publish_roots(bus, signer, folder, there)
    envelope = verified.envelope.decode()
    if there.policy is not None and there.policy.envelope == envelope:
        return False
    event = PolicyPublished(
        site=SiteName(site), revision=verified.policy.revision, digest=verified.digest, envelope=envelope
    )
    last = await bus.last("POLICY", policy_subject(site))
    message = signer.message(
        policy_subject(site), event, id=f"policy.{verified.digest}", time=datetime.now(UTC)
    )
    await bus.publish(message, stream="POLICY", expected_last=last.sequence if last else 0)
    return there.policy is None or there.policy.digest != verified.digest
