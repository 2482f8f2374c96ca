"""What stands on the stream POLICY, and putting trust roots there."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from plantops.deployment.folder import SiteFolder
from plantops.deployment.roots import root_envelopes, standing_root
from plantops.events import decode
from plantops.events.base import Digest, SiteName
from plantops.events.operations import PolicyPublished, RootPublished
from plantops.events.subjects import policy as policy_subject
from plantops.flow.bus import Bus
from plantops.flow.reading import UNUSABLE
from plantops.flow.signing import Signer
from plantops.policy.roots import open_root

_PAGE = 64


@dataclass
class Published:
    """The last policy on the stream and all roots, believed by nobody."""

    policy: PolicyPublished | None = None
    roots: set[Digest] = field(default_factory=set)


async def published(bus: Bus, site: str) -> Published:
    """Look through the whole stream. Raises: BrokerError."""
    found, start = Published(), 1
    while page := await bus.history("POLICY", policy_subject(site), start, _PAGE):
        for stored in page:
            start = stored.sequence + 1
            try:
                event = decode(stored.data)
            except UNUSABLE:
                continue  # whoever follows the stream tells it
            if isinstance(event, RootPublished):
                found.roots.add(event.digest)
            elif isinstance(event, PolicyPublished):
                found.policy = event
    return found


async def publish_roots(bus: Bus, signer: Signer, folder: SiteFolder, there: Published) -> int:
    """Put the folder's roots on the stream, those that are not there yet; how many were put.

    Raises: PolicyRejected when one does not follow; Conflict when somebody else published at that moment.
    """
    site, put = standing_root(folder).site, 0
    for envelope in root_envelopes(folder):
        root, digest = open_root(envelope)
        if digest in there.roots:
            continue
        last = await bus.last("POLICY", policy_subject(site))
        event = RootPublished(
            site=SiteName(site), root_version=root.version, digest=digest, envelope=envelope.decode()
        )
        message = signer.message(policy_subject(site), event, id=f"root.{digest}", time=datetime.now(UTC))
        await bus.publish(message, stream="POLICY", expected_last=last.sequence if last else 0)
        put += 1
    return put
