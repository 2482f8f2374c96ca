"""The two grounds on which a bus is tried: the broker in memory, and a real server without accounts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import pytest
from nats.aio.client import Client

from plantops.flow.accounts import ServerOptions
from plantops.flow.bus import Bus
from plantops.flow.jetstream import JetStreamBus
from plantops.flow.memory import MemoryBroker
from plantops.flow.server import EmbeddedServer
from support.nats import free_port


class Stage(Protocol):
    """A broker on which a test may make what the provisioner would make."""

    async def add_stream(self, name: str, *subjects: str, keeps_last: bool = False) -> None:
        """Make a stream, or delete it and make it again."""

    async def add_consumer(
        self, stream: str, name: str, *subjects: str, kind: str = "fold", ack_wait: float = 30.0
    ) -> None:
        """Make a durable; no subjects: all of the stream."""

    async def bus(self, identity: str) -> Bus:
        """A connection, closed at the end of the test."""


class MemoryStage:
    """Everything in this process; time is real, so that both grounds redeliver alike."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.broker = MemoryBroker(clock=lambda: int(loop.time() * 1e9))

    async def add_stream(self, name: str, *subjects: str, keeps_last: bool = False) -> None:
        self.broker.add_stream(name, subjects, max_per_subject=1 if keeps_last else 0)

    async def add_consumer(
        self, stream: str, name: str, *subjects: str, kind: str = "fold", ack_wait: float = 30.0
    ) -> None:
        self.broker.add_consumer(stream, name, subjects or (">",), kind=kind, ack_wait_seconds=ack_wait)

    async def bus(self, identity: str) -> Bus:
        return self.broker.bus(identity)


class ServerStage:
    """A real server on a free port, without logins."""

    def __init__(self, folder: Path, *, sync_interval: str = "always") -> None:
        self.options = ServerOptions(
            folder=folder, port=free_port(), monitor_port=free_port(), sync_interval=sync_interval
        )
        self.server = EmbeddedServer(self.options)
        self._made: set[str] = set()
        self._buses: list[JetStreamBus] = []
        self._admin: Client | None = None

    @property
    def url(self) -> str:
        return self.options.url

    async def start(self) -> None:
        """Start, or start again on the same files."""
        options = self.options
        await self.server.start(
            json.dumps(
                {
                    "server_name": options.name,
                    "host": options.host,
                    "port": options.port,
                    "http": f"127.0.0.1:{options.monitor_port}",
                    "log_file": str(options.folder / "nats.log"),
                    "jetstream": {"store_dir": str(options.folder), "sync_interval": options.sync_interval},
                }
            )
        )

    async def close(self) -> None:
        for bus in self._buses:
            await bus.close()
        if self._admin is not None:
            await self._admin.close()
        await self.server.stop()

    async def api(self, call: str, /, **body: Any) -> dict[str, Any]:
        """One call of the JetStream API. Raises: AssertionError when it is refused."""
        if self._admin is None:
            self._admin = Client()
            await self._admin.connect(self.url, error_cb=_ignore, max_reconnect_attempts=-1)
        answer = await self._admin.request(f"$JS.API.{call}", json.dumps(body).encode(), timeout=5)
        result: dict[str, Any] = json.loads(answer.data)
        assert "error" not in result, result
        return result

    async def add_stream(self, name: str, *subjects: str, keeps_last: bool = False) -> None:
        if name in self._made:
            await self.api(f"STREAM.DELETE.{name}")
        self._made.add(name)
        await self.api(
            f"STREAM.CREATE.{name}",
            name=name,
            subjects=list(subjects),
            storage="file",
            retention="limits",
            allow_atomic=True,
            max_msgs_per_subject=1 if keeps_last else -1,
        )

    async def add_consumer(
        self, stream: str, name: str, *subjects: str, kind: str = "fold", ack_wait: float = 30.0
    ) -> None:
        config: dict[str, Any] = {
            "durable_name": name,
            "deliver_policy": "all",
            "ack_policy": "all" if kind == "fold" else "explicit",
            "ack_wait": round((3600 if kind == "fold" else ack_wait) * 1e9),
            "max_ack_pending": 1_000_000,
        }
        if subjects:
            config["filter_subjects"] = list(subjects)
        await self.api(f"CONSUMER.DURABLE.CREATE.{stream}.{name}", stream_name=stream, config=config)

    async def bus(self, identity: str) -> JetStreamBus:
        bus = await JetStreamBus.connect(self.url, identity)
        self._buses.append(bus)
        return bus


async def _ignore(error: Exception) -> None:
    """The broker is killed on purpose here."""


@pytest.fixture(params=["memory", "server"])
async def stage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stage]:
    """Each test runs twice, once on each ground."""
    if request.param == "memory":
        yield MemoryStage()
        return
    server = ServerStage(tmp_path / "broker", sync_interval="2m")
    await server.start()
    yield server
    await server.close()


@pytest.fixture
async def server_stage(tmp_path: Path) -> AsyncIterator[ServerStage]:
    """The real server alone."""
    server = ServerStage(tmp_path / "broker")
    await server.start()
    yield server
    await server.close()


def texts(messages: Sequence[Any]) -> list[str]:
    """Payloads as text."""
    return [message.data.decode() for message in messages]
