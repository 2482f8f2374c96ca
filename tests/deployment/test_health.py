"""What a health check sees: young while a process is restored and connected, old when it is not."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from plantops.deployment.initialise import initialise
from plantops.deployment.provisioning import prepare
from plantops.deployment.runner import Runner
from plantops.deployment.server_file import server_text
from plantops.deployment.site import load_site
from plantops.flow.accounts import ServerOptions
from plantops.flow.server import EmbeddedServer
from plantops.runtime import heartbeat
from support.nats import free_port, until

PATIENCE = 60.0


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedServer]:
    """A broker with the configuration of the site in `tmp_path`, which names it."""
    site = initialise(tmp_path / "site").site
    options = ServerOptions(folder=tmp_path / "broker", port=free_port(), monitor_port=free_port())
    settings = site.folder.settings
    settings.write_text(settings.read_text().replace('url = ""', f'url = "{options.url}"', 1))
    server = EmbeddedServer(options)
    await server.start(server_text(site, options))
    yield server
    await server.stop()


async def test_a_process_is_well_while_it_is_restored_and_connected(
    server: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.01)
    site, path, stopping = load_site(tmp_path / "site"), tmp_path / "heartbeat", asyncio.Event()

    def is_renewed() -> bool:
        return path.stat().st_mtime > 1

    await prepare(site, server.url, lambda _text: None)
    running = asyncio.create_task(Runner(site, stopping, path).run(["timer"]))
    await until(path.exists, seconds=PATIENCE)
    server.kill()

    async def is_old() -> bool:
        os.utime(path, (1, 1))
        await asyncio.sleep(0.05)
        return not is_renewed()

    await until(is_old, seconds=PATIENCE)
    await server.start((tmp_path / "broker" / "nats.conf").read_text())
    await until(is_renewed, seconds=PATIENCE)
    stopping.set()
    await running
