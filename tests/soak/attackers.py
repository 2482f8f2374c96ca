"""Steps of attackers who have a broker login and no key that counts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Final

import msgspec

from plantops.events import Event
from plantops.events.base import CommandId, Digest
from plantops.events.command_parts import Observation
from plantops.events.commands import (
    CommandClaimed,
    CommandExecuted,
    CommandPermitted,
    CommandRequested,
    DryRunDone,
    SafePermitted,
)
from plantops.events.envelope import Message
from plantops.flow.bus import Stored
from soak.ground import SITE, STRANGER
from soak.picking import newest, pick
from soak.world import World


async def replay(world: World, stream: str, which: int) -> None:
    """Signed bytes that stand in the log are stored again."""
    messages = world.broker.stream(stream).messages
    last = world.broker.stream(stream).last
    if not last:
        return
    stored: Stored = messages[max(1, last - which % 20)]
    await world.store(stream, Message(stored.subject, stored.data, stored.headers))


async def forge(world: World, kind: str, which: int, signer: str) -> None:
    """An event that its signer may not say."""
    world.is_forging = True
    try:
        await _FORGED[kind](world, which, signer)
    finally:
        world.is_forging = False


async def _forge_permit(world: World, which: int, signer: str) -> None:
    """What was permitted once, under another command's name, said by somebody who is not the gate."""
    found = pick(newest(world, CommandPermitted, SafePermitted), which)
    if found is None:
        return
    name = CommandId(f"{world.step:024d}")
    permit = msgspec.structs.replace(
        found.permit, command=name, not_after=world.now + timedelta(seconds=10), generation=99
    )
    event = msgspec.structs.replace(found, command=name, permit=permit)
    kind = "permitted" if isinstance(found, CommandPermitted) else "safe_permitted"
    sequence = await world.publish("COMMANDS", f"cmd.{SITE}.{kind}.{signer}.{name}", event, signer)
    stored = world.broker.stream("COMMANDS").messages[sequence]
    host = world.hosts.get(permit.source)
    if host is not None:
        host.deliver(stored, "normal" if kind == "permitted" else "safe")


async def _forge_outcome(world: World, which: int, signer: str) -> None:
    found = pick(newest(world, CommandPermitted), which)
    if found is None:
        return
    command = found.command
    if which % 2:
        event: Event = CommandExecuted(
            site=SITE, command=command, steps=(), undo=(), window_ms=0.0, decision=found.decision
        )
        kind = "executed"
    else:
        event = CommandClaimed(
            site=SITE, command=command, executor="adapter-plc1", epoch=1, decision=Digest("")
        )
        kind = "claimed"
    await world.publish("COMMANDS", f"cmd.{SITE}.{kind}.{signer}.{command}", event, STRANGER, signer)


async def _forge_dry_run(world: World, which: int, signer: str) -> None:
    command = pick(list(world.model.asks)[-8:], which)
    if command is not None:
        event = DryRunDone(
            site=SITE, command=CommandId(command), ok=True, observation=Observation(at=world.now)
        )
        await world.publish("COMMANDS", f"cmd.{SITE}.dry_run.{signer}.{command}", event, signer)


async def _forge_request(world: World, which: int, signer: str) -> None:
    """A door's word that is not the door's."""
    found: CommandRequested | None = pick(newest(world, CommandRequested), which)
    if found is None:
        return
    name = CommandId(f"{world.step:024d}")
    intent = msgspec.structs.replace(found.intent, key=str(world.step), issued_at=world.now)
    event = msgspec.structs.replace(found, command=name, intent=intent)
    subject = f"intent.{SITE}.{intent.actor}.{intent.asset}.{intent.operation}"
    await world.publish("INTENTS", subject, event, signer)


_FORGED: Final[Mapping[str, Callable[[World, int, str], Awaitable[None]]]] = {
    "permit": _forge_permit,
    "outcome": _forge_outcome,
    "dry run": _forge_dry_run,
    "request": _forge_request,
}
