"""A broker of one's own instead of the embedded one."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import nats
import pytest

from plantops.deployment.identities import PLANT_PROVISIONER, logins
from plantops.deployment.policies import read_envelope, verify_envelope
from plantops.flow.accounts import PROVISIONER, ServerOptions, configuration
from plantops.flow.server import EmbeddedServer
from support.nats import free_port
from support.site import RunningSite, ask


@pytest.fixture
async def broker(own_site: RunningSite) -> AsyncIterator[str]:
    """A server with the site's generated configuration, which the site file names."""
    folder = own_site.site.folder
    options = ServerOptions(
        folder=own_site.root.parent / "broker", port=free_port(), monitor_port=free_port(), name="outside"
    )
    server = EmbeddedServer(options)
    policy = verify_envelope(folder, read_envelope(folder)).policy
    await server.start(configuration(logins(own_site.site, policy), options))
    text = folder.settings.read_text()
    assert 'url = ""' in text
    folder.settings.write_text(text.replace('url = ""', f'url = "{options.url}"', 1))
    try:
        yield options.url
    finally:
        own_site.stop()
        await server.stop()


async def test_a_site_runs_on_a_broker_of_its_own(own_site: RunningSite, broker: str) -> None:
    await own_site.start()
    assert own_site.running.url == broker
    assert not (own_site.root / "data" / "nats").exists()
    async with own_site.session("alice") as alice:
        done = await ask(alice, "valve-001.SetPosition", {"PERCENT": 5.0})
    assert done.outcome == "command.executed", done


async def test_a_stream_that_would_lose_commands_is_refused_by_name(
    own_site: RunningSite, broker: str
) -> None:
    seed = own_site.site.folder.office / f"{PLANT_PROVISIONER}.nk"
    client = await nats.connect(broker, nkeys_seed=str(seed), inbox_prefix=f"_INBOX.{PROVISIONER}".encode())
    try:
        unsafe = {"name": "COMMANDS", "subjects": ["cmd.*.*.*.*"], "max_msgs": 10, "storage": "file"}
        answer = await client.request(
            "$JS.API.STREAM.CREATE.COMMANDS", json.dumps(unsafe).encode(), timeout=5
        )
        assert "error" not in json.loads(answer.data), answer.data
    finally:
        await client.close()

    process = own_site.launch()
    assert process.wait(60) == 1
    own_site.process = None
    told = own_site.told().replace("\n", " ")
    assert "COMMANDS" in told
    assert "max_msgs" in told
    assert not [words for words in own_site.processes().values() if "plantops.cli.main" in words]
