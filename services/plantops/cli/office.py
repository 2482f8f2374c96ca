"""The policy office's connection, for the time of one command."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from plantops.cli.session import CONNECT_SECONDS
from plantops.deployment.broker import connect
from plantops.deployment.folder import Identity
from plantops.deployment.identities import POLICY_OFFICE
from plantops.deployment.site import Site
from plantops.flow.bus import Bus
from plantops.flow.signing import Signer
from plantops.ledger.keys import SigningKey
from plantops.runtime.nkey import NKey


@asynccontextmanager
async def policy_office(site: Site) -> AsyncIterator[tuple[Bus, Signer]]:
    """Raises: SettingsError without the office's keys; BrokerUnavailable."""
    office = Identity(site.folder.office / POLICY_OFFICE)
    bus = await connect(site, POLICY_OFFICE, NKey.load(office.login), wait=CONNECT_SECONDS)
    try:
        yield bus, Signer(POLICY_OFFICE, SigningKey.load(office.signing))
    finally:
        await bus.close()
