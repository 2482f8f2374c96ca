"""Whoever is new in the signed policy may log in, and whoever is gone is cut off, without a restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from plantops.deployment.broker_logins import BrokerLogins
from plantops.deployment.initialise import initialise, make_identity
from plantops.deployment.policies import read_document, sign_policy, write_policy
from plantops.deployment.site import Site
from plantops.deployment.supervisor import free_port
from plantops.flow.accounts import ServerOptions
from plantops.flow.jetstream import JetStreamBus
from plantops.flow.server import EmbeddedServer
from plantops.ledger.keys import SigningKey
from plantops.policy.document import Principal, policy_digest
from plantops.runtime.errors import BrokerError
from plantops.runtime.nkey import NKey


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return initialise(tmp_path / "demo").site


@pytest.fixture
async def server(site: Site) -> AsyncIterator[EmbeddedServer]:
    options = ServerOptions(
        folder=site.folder.broker_data, port=free_port(), monitor_port=free_port(), name="logins"
    )
    site.folder.broker_data.parent.mkdir(parents=True)
    server = EmbeddedServer(options)
    logins = BrokerLogins(site, options)
    await server.start(logins.text)
    following = asyncio.create_task(logins.follow(server))
    yield server
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    await server.stop()


def revise(site: Site, principals: dict[str, Principal]) -> None:
    policy, payload = read_document(site.folder)
    revised = msgspec.structs.replace(
        policy,
        revision=policy.revision + 1,
        previous=policy_digest(payload),
        principals=principals,
    )
    write_policy(site.folder, revised)
    sign_policy(site.folder, [SigningKey.load(site.folder.root_key)])


async def may_log_in(server: EmbeddedServer, name: str, key: NKey) -> bool:
    try:
        bus = await JetStreamBus.connect(server.url, name, seed=key.seed, wait=1.0)
    except BrokerError:
        return False
    await bus.close()
    return True


async def test_follows_the_policy(site: Site, server: EmbeddedServer) -> None:
    policy, _payload = read_document(site.folder)
    identity = site.folder.identity("dora", person=True)
    signing, login = make_identity(identity)
    dora = NKey.load(identity.login)
    alice = NKey.load(site.folder.identity("alice", person=True).login)
    assert not await may_log_in(server, "dora", dora)
    assert await may_log_in(server, "alice", alice)
    changed = dict(policy.principals)
    del changed["alice"]
    changed["dora"] = Principal(kind="person", person="dora", keys=(signing,), logins=(login,))
    revise(site, changed)
    async with asyncio.timeout(20):
        while not await may_log_in(server, "dora", dora):
            pass
    assert not await may_log_in(server, "alice", alice)
