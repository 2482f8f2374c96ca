"""What stands in the way of a stop, put there for the length of a measurement."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from plantops.bench.demo import Demo, settled
from plantops.bench.ground import publish_policy_of
from plantops.deployment.identities import AUDIT_PROVISIONER
from plantops.deployment.policies import (
    read_document,
    read_envelope,
    sign_policy,
    verify_envelope,
    write_policy,
)
from plantops.events import decode
from plantops.events.command_parts import command_id
from plantops.events.commands import CommandClaimed, CommandDenied
from plantops.events.envelope import Message
from plantops.flow.accounts import PROVISIONER
from plantops.flow.jetstream import JetStreamBus
from plantops.ledger.keys import SigningKey
from plantops.runtime.errors import Refused
from plantops.runtime.nkey import NKey

LIFE_SECONDS = 5.0
PATIENCE_SECONDS = 120.0


@asynccontextmanager
async def executing(demo: Demo, number: int) -> AsyncIterator[None]:
    """The valve's other command is claimed and on its way; behind the block it is over."""
    claimed = asyncio.Event()

    async def hear(message: Message) -> None:
        if isinstance(decode(message.data), CommandClaimed):
            claimed.set()

    intent = demo.intent("valve-001", "SetPosition", {"PERCENT": 30.0 + number % 40})
    command = command_id(intent.actor, intent.key)
    listening = await demo.bus.listen(f"cmd.{demo.site.name}.*.*.{command}", hear)
    try:
        await demo.send(intent)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await claimed.wait()
        yield
    finally:
        await listening.stop()
    await settled(demo, PATIENCE_SECONDS)


@asynccontextmanager
async def audit_full(demo: Demo) -> AsyncIterator[None]:
    """AUDIT takes nothing more, by the hand of its provisioner."""
    key = NKey.load(demo.site.folder.office / f"{AUDIT_PROVISIONER}.nk")
    bus = await JetStreamBus.connect(demo.running.url, PROVISIONER, seed=key.seed)

    async def api(name: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        words = msgspec.json.encode(body) if body else b""
        reply = await bus.request(f"$JS.API.{name}", words, timeout=10.0)
        answer: dict[str, Any] = msgspec.json.decode(reply.data)
        if "error" in answer:
            raise Refused(f"the broker refused {name}: {answer['error']}", reason="bench")
        return answer

    try:
        found = await api("STREAM.INFO.AUDIT")
        await api("STREAM.UPDATE.AUDIT", {**found["config"], "max_bytes": found["state"]["bytes"] + 1})
        try:
            yield
        finally:
            await api("STREAM.UPDATE.AUDIT", found["config"])
    finally:
        await bus.close()


async def expire_policy(demo: Demo) -> None:
    """Returns when normal commands are denied because the policy has expired; it stays so."""
    folder = demo.site.folder
    before = verify_envelope(folder, read_envelope(folder))
    document, _payload = read_document(folder)
    following = msgspec.structs.replace(
        document,
        revision=document.revision + 1,
        previous=before.digest,
        expires=datetime.now(UTC) + timedelta(seconds=LIFE_SECONDS),
    )
    write_policy(folder, following)
    sign_policy(folder, [SigningKey.load(folder.root_key)])
    await publish_policy_of(demo.site, demo.running.url)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await _is_denied(demo):
            await settled(demo, PATIENCE_SECONDS)


async def _is_denied(demo: Demo) -> bool:
    """Whether a normal command is denied because the policy has expired."""
    first: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def hear(message: Message) -> None:
        event = decode(message.data)
        if not first.done():
            first.set_result(event.reason if isinstance(event, CommandDenied) else "")

    intent = demo.intent("valve-001", "SetPosition", {"PERCENT": 35.0})
    listening = await demo.bus.listen(
        f"cmd.{demo.site.name}.*.*.{command_id(intent.actor, intent.key)}", hear
    )
    try:
        await demo.send(intent)
        return "expired" in await first
    except Refused as error:
        if error.reason != "busy":
            raise
        await asyncio.sleep(0.05)  # the flood has ended, and what it sent still waits at the door
        return False
    finally:
        await listening.stop()
