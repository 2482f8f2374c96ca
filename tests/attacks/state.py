"""What an attack could change, and how it would show."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from nats.aio.client import Client

from plantops.flow.accounts import PROVISIONER
from support.nats import AUDIT_PROVISIONER, Broker

Counts = Mapping[str, int]
"""Messages by `STREAM subject`."""


async def ask(client: Client, subject: str, body: object = None, *, timeout: float = 5.0) -> dict[str, Any]:
    """One request of the JetStream API."""
    data = b"" if body is None else json.dumps(body).encode()
    answer: dict[str, Any] = json.loads((await client.request(subject, data, timeout=timeout)).data)
    return answer


class Watcher:
    """Sees everything that is stored and configured, with the provisioners' credentials."""

    def __init__(self, plant: Client, audit: Client) -> None:
        self._clients = (plant, audit)

    async def counts(self) -> Counts:
        """How many messages lie on each subject of each stream."""
        found: dict[str, int] = {}
        for client in self._clients:
            for name in await self._names(client):
                info = await ask(client, f"$JS.API.STREAM.INFO.{name}", {"subjects_filter": ">"})
                for subject, number in (info["state"].get("subjects") or {}).items():
                    found[f"{name} {subject}"] = number
        return found

    async def settings(self) -> dict[str, object]:
        """Streams and consumers, with identity and configuration."""
        found: dict[str, object] = {}
        for client in self._clients:
            for name in await self._names(client):
                info = await ask(client, f"$JS.API.STREAM.INFO.{name}")
                found[name] = (info["created"], info["config"])
                listed = await ask(client, f"$JS.API.CONSUMER.LIST.{name}", {"offset": 0})
                for consumer in listed["consumers"] or ():
                    found[f"{name}/{consumer['name']}"] = (
                        consumer["created"],
                        consumer["config"],
                        consumer.get("paused"),
                    )
        return found

    async def _names(self, client: Client) -> list[str]:
        return list((await ask(client, "$JS.API.STREAM.NAMES"))["streams"] or ())


@asynccontextmanager
async def watching(broker: Broker) -> AsyncIterator[Watcher]:
    async with login(broker, PROVISIONER) as plant, login(broker, AUDIT_PROVISIONER) as audit:
        yield Watcher(plant, audit)


@asynccontextmanager
async def login(broker: Broker, identity: str) -> AsyncIterator[Client]:
    """A connection of this test's own loop; earlier refusals are forgotten."""
    broker.refused[identity] = []
    client = await broker.connect(identity)
    try:
        yield client
    finally:
        broker.forget(client)
        await client.close()


def concrete(pattern: str) -> str:
    """A subject under `pattern`."""
    return ".".join("x1" if token in ("*", ">") else token for token in pattern.split("."))
