"""A real broker with generated accounts: who is named here can connect, with exactly his rights."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pytest
from nats.aio.client import Client

from plantops.flow.accounts import PROVISIONER, Plant, ServerOptions, configuration
from plantops.flow.declaration import ClientSpec, ProcessSpec
from plantops.flow.provision import Report, provision
from plantops.flow.rights import inbox_prefix
from plantops.flow.server import EmbeddedServer
from plantops.flow.streams import DEFAULTS, StreamSettings
from plantops.gateway.specs import GATEWAY
from plantops.runtime.nkey import NKey

AUDIT_PROVISIONER = "audit-provisioner"


def free_port() -> int:
    """A loopback port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Broker:
    """A server of one test, with keys for every process, client and both provisioners."""

    folder: Path
    specs: Sequence[ProcessSpec]
    clients: Sequence[str] = ()
    site: str = "demo"
    settings: StreamSettings = DEFAULTS
    keys: dict[str, NKey] = field(default_factory=dict)
    options: ServerOptions = field(init=False)
    server: EmbeddedServer = field(init=False)
    refused: dict[str, list[str]] = field(default_factory=dict)
    _open: list[Client] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in (*self._names(), PROVISIONER, AUDIT_PROVISIONER):
            self.keys.setdefault(name, NKey.generate())
        self.options = ServerOptions(folder=self.folder, port=free_port(), monitor_port=free_port())
        self.server = EmbeddedServer(self.options)

    @property
    def url(self) -> str:
        return self.options.url

    def plant(self) -> Plant:
        return Plant(
            site=self.site,
            processes=self.specs,
            clients=[
                ClientSpec(name, self.keys[name].public, relays=name == GATEWAY) for name in self.clients
            ],
            keys={spec.name: self.keys[spec.name].public for spec in self.specs},
            plant_provisioner=self.keys[PROVISIONER].public,
            audit_provisioner=self.keys[AUDIT_PROVISIONER].public,
        )

    def configuration(self) -> str:
        return configuration(self.plant(), self.options)

    async def start(self, *, with_streams: bool = True) -> None:
        await self.server.start(self.configuration())
        if with_streams:
            await self.provision()

    async def provision(self) -> Report:
        return await provision(
            self.url,
            self.specs,
            plant_key=self.keys[PROVISIONER],
            audit_key=self.keys[AUDIT_PROVISIONER],
            settings=self.settings,
        )

    async def connect(self, identity: str) -> Client:
        """Log in as `identity`. What the server refuses is collected in `refused[identity]`."""
        log = self.refused.setdefault(identity, [])

        async def remember(error: Exception) -> None:
            log.append(str(error))

        client = Client()
        prefix = PROVISIONER if identity == AUDIT_PROVISIONER else identity
        await client.connect(
            self.url,
            nkeys_seed_str=self.keys[identity].seed,
            inbox_prefix=inbox_prefix(prefix).encode(),
            error_cb=remember,
            reconnect_time_wait=0.05,  # type: ignore[arg-type]  # fractions work
            max_reconnect_attempts=-1,
            connect_timeout=5,
        )
        self._open.append(client)
        return client

    def forget(self, client: Client) -> None:
        """The caller closes this one himself."""
        self._open.remove(client)

    async def close(self) -> None:
        """Close what `connect` opened, then stop the server."""
        for client in self._open:
            await client.close()
        self._open.clear()
        await self.server.stop()

    def _names(self) -> list[str]:
        return [*(spec.name for spec in self.specs), *self.clients]


class StartBroker(Protocol):
    """What the fixture `nats_server` gives."""

    async def __call__(
        self, specs: Sequence[ProcessSpec] = (), clients: Sequence[str] = (), *, with_streams: bool = True
    ) -> Broker: ...


@pytest.fixture
async def nats_server(tmp_path: Path) -> AsyncIterator[StartBroker]:
    """Starts brokers: `await nats_server(specs, ["alice"])`; each is stopped at the end of the test."""
    started: list[Broker] = []

    async def start(
        specs: Sequence[ProcessSpec] = (), clients: Sequence[str] = (), *, with_streams: bool = True
    ) -> Broker:
        broker = Broker(tmp_path / f"broker{len(started)}", specs, clients)
        started.append(broker)
        await broker.start(with_streams=with_streams)
        return broker

    yield start
    for broker in started:
        await broker.close()


async def until(
    condition: Callable[[], Awaitable[object]] | Callable[[], object], *, seconds: float = 10.0
) -> None:
    """Wait for a condition. Raises: TimeoutError after `seconds`."""
    async with asyncio.timeout(seconds):
        while True:
            answer = condition()
            if await answer if asyncio.iscoroutine(answer) else answer:
                return
            await asyncio.sleep(0.01)
