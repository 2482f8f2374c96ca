"""A broker whose memory went back: who has followed a newer policy does not start by the older one."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from plantops.deployment import runner
from plantops.deployment.identities import logins
from plantops.deployment.initialise import initialise
from plantops.deployment.policies import read_envelope, revise_policy, sign_policy, verify_envelope
from plantops.deployment.provisioning import prepare
from plantops.deployment.runner import Runner
from plantops.deployment.runtime_file import Running, write_running
from plantops.deployment.site import Site, load_site
from plantops.flow.accounts import ServerOptions, configuration
from plantops.flow.server import EmbeddedServer
from plantops.ledger.keys import SigningKey
from plantops.policy.highwater import FILE_NAME, HighWater
from plantops.runtime.errors import PolicyRejected
from support.nats import free_port

PATIENCE_SECONDS = 60.0


@asynccontextmanager
async def broker(site: Site) -> AsyncIterator[None]:
    """With the folder's signed policy published, on what is stored of before."""
    policy = verify_envelope(site.folder, read_envelope(site.folder)).policy
    options = ServerOptions(folder=site.folder.broker_data, port=free_port(), monitor_port=free_port())
    site.folder.broker_data.parent.mkdir(parents=True, exist_ok=True)
    site.folder.run.mkdir(exist_ok=True)
    server = EmbeddedServer(options)
    await server.start(configuration(logins(site, policy), options))
    try:
        await prepare(site, options.url, lambda _text: None)
        running = Running(pid=os.getpid(), url=options.url, monitor_port=options.monitor_port)
        write_running(site.folder, running)
        yield
    finally:
        await server.stop()


async def run(site: Site, names: Sequence[str], *, replica: int = 1) -> None:
    """Start the processes, and end them in good order once they are at work. Raises: what ended them."""
    stopping = asyncio.Event()
    heartbeat = site.folder.run / "beat"
    heartbeat.unlink(missing_ok=True)
    work = asyncio.create_task(Runner(load_site(site.folder.root), stopping, heartbeat, replica).run(names))
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not work.done() and not heartbeat.exists():  # noqa: ASYNC110 - a file tells nobody
                await asyncio.sleep(0.02)
    finally:
        stopping.set()
        await work


def memory(site: Site, name: str) -> HighWater:
    return HighWater.load(site.folder.state(name) / FILE_NAME)


async def test_gate_and_adapter_do_not_start_by_an_older_policy_than_they_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "POLICY_PATIENCE_SECONDS", 0.0)
    site = initialise(tmp_path / "demo").site
    folder, names = site.folder, ("gate", "adapter-plc1")
    first = read_envelope(folder)
    revise_policy(folder, site.plant.digest, datetime.now(UTC))
    sign_policy(folder, [SigningKey.load(folder.root_key)], site.plant)
    second = read_envelope(folder)
    async with broker(site):
        await run(site, names)
    for name in names:
        mark = memory(site, name).mark
        assert mark is not None
        assert mark.revision == 2

    shutil.rmtree(folder.broker_data)
    folder.policy_envelope.write_bytes(first)
    async with broker(site):
        for name in names:
            with pytest.raises(PolicyRejected, match="policy revision 1, older than 2"):
                await run(site, [name])
        with pytest.raises(PolicyRejected, match="policy revision 1, older than 2"):
            await run(site, ["gate"], replica=2)  # it never ran, but the first one here has
        await run(site, ["timer"])

    folder.policy_envelope.write_bytes(second)
    async with broker(site):
        await run(site, names)
