"""What the offices do at a site's start: streams and consumers, then the policy; then their keys rest."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from plantops.deployment.broker import broker_tls, connect
from plantops.deployment.folder import Identity
from plantops.deployment.identities import AUDIT_PROVISIONER, PLANT_PROVISIONER, POLICY_OFFICE, logins
from plantops.deployment.policies import publish_policy, read_envelope, verify_envelope
from plantops.deployment.settings import Broker
from plantops.deployment.site import Site
from plantops.flow.provision import provision
from plantops.flow.signing import Signer
from plantops.flow.streams import StreamSettings
from plantops.ledger.keys import SigningKey
from plantops.runtime.nkey import NKey


async def prepare(site: Site, url: str, tell: Callable[[str], None]) -> None:
    """Make the broker at `url` ready for the site's processes; doing it again changes nothing.

    Raises: SettingsError, PolicyRejected, BrokerUnavailable.
    """
    office = site.folder.office
    policy = verify_envelope(site.folder, read_envelope(site.folder)).policy
    report = await provision(
        url,
        logins(site, policy).processes,
        plant_key=NKey.load(office / f"{PLANT_PROVISIONER}.nk"),
        audit_key=NKey.load(office / f"{AUDIT_PROVISIONER}.nk"),
        settings=stream_settings(site.settings.broker),
        tls=broker_tls(site, url),
    )
    tell(f"streams: {len(report.created)} made, {len(report.unchanged)} as they were")
    identity = Identity(office / POLICY_OFFICE)
    bus = await connect(site, POLICY_OFFICE, NKey.load(identity.login), url=url)
    try:
        signer = Signer(POLICY_OFFICE, SigningKey.load(identity.signing))
        is_new = await publish_policy(bus, signer, site.folder)
    finally:
        await bus.close()
    tell(f"policy: revision {policy.revision} {'published' if is_new else 'in force'}")


def stream_settings(settings: Broker) -> StreamSettings:
    """What a site file says of its streams."""
    return StreamSettings(
        tags_max_age=timedelta(hours=settings.tags_max_age_hours),
        tags_max_bytes=int(settings.tags_max_gigabytes * 1024**3),
        replicas=settings.replicas,
    )
