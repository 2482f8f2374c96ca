"""The policy office at work: write, sign, check and publish the site's policy."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from plantops.deployment.folder import SiteFolder
from plantops.events import decode
from plantops.events.base import SiteName
from plantops.events.operations import PolicyPublished
from plantops.events.subjects import policy as policy_subject
from plantops.flow.bus import Bus
from plantops.flow.signing import Signer
from plantops.ledger import dsse
from plantops.ledger.keys import SigningKey
from plantops.policy.document import POLICY_TYPE, Policy, decode_policy
from plantops.policy.verify import Verified, load_root, verify_policy
from plantops.runtime.errors import SettingsError


def write_policy(folder: SiteFolder, policy: Policy) -> None:
    """The document as people read and edit it."""
    folder.policy_document.parent.mkdir(parents=True, exist_ok=True)
    text = msgspec.json.format(msgspec.json.encode(policy), indent=2)
    folder.policy_document.write_bytes(text + b"\n")


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


def sign_policy(folder: SiteFolder, keys: Sequence[SigningKey]) -> bytes:
    """Sign the document as it stands and write the envelope beside it.

    Raises: SettingsError for an unreadable document; PolicyRejected when the trust root would not take it.
    """
    _policy, payload = read_document(folder)
    envelope = dsse.encode(dsse.seal(POLICY_TYPE, payload, *keys))
    verify_envelope(folder, envelope)
    folder.policy_envelope.write_bytes(envelope)
    return envelope


def read_envelope(folder: SiteFolder) -> bytes:
    """The signed policy. Raises: SettingsError when there is none."""
    try:
        return folder.policy_envelope.read_bytes()
    except OSError as error:
        raise SettingsError(
            f"cannot read {folder.policy_envelope}: {error.strerror}; sign one with `plantops policy sign`"
        ) from error


def verify_envelope(folder: SiteFolder, envelope: bytes) -> Verified:
    """Check an envelope against the folder's trust root. Raises: PolicyRejected."""
    root = load_root(folder.trust_root)
    return verify_policy(envelope, root, site=root.site, now=datetime.now(UTC), in_force=None)


async def publish_policy(bus: Bus, signer: Signer, folder: SiteFolder) -> bool:
    """Put the signed policy on the stream unless it is the last one there; True when it was put.

    Raises: PolicyRejected, Conflict when somebody else published at the same moment.
    """
    verified = verify_envelope(folder, read_envelope(folder))
    site = verified.policy.audience
    last = await bus.last("POLICY", policy_subject(site))
    if last is not None:
        event = decode(last.data)
        if isinstance(event, PolicyPublished) and event.digest == verified.digest:
            return False
    event = PolicyPublished(
        site=SiteName(site),
        revision=verified.policy.revision,
        digest=verified.digest,
        envelope=verified.envelope.decode(),
    )
    message = signer.message(
        policy_subject(site), event, id=f"policy.{verified.digest}", time=datetime.now(UTC)
    )
    await bus.publish(message, stream="POLICY", expected_last=last.sequence if last else 0)
    return True
