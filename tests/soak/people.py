"""Steps of people and agents: intents, confirmations, approvals, acts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from plantops.events import Event
from plantops.events.base import Scalar
from plantops.events.commands import (
    ApprovalRequested,
    CommandExecuted,
    CommandPermitted,
    CommandSimulated,
    OutcomeUnknown,
    SimulationOrdered,
)
from plantops.events.governance import BypassGranted, LockSet
from soak import clients
from soak.doing import SAFE_OF
from soak.picking import newest, pick, waiting
from soak.world import World


async def ask(  # noqa: PLR0917 - the values of a step
    world: World, actor: str, asset: str, operation: str, how: list[Any], flaw: str, mode: str
) -> None:
    arguments = clients.argument_of(world, asset, operation, how)
    reuse = ""
    if flaw == "key again":
        reuse = world.last_key.get(actor, "")
    world.last_key[actor] = reuse or f"{world.step}-{world.counts['asked']}"
    gate = world.old_gates[-1] if flaw == "old door" and world.old_gates else world.gate
    command = await clients.ask(
        world, actor, asset, operation, arguments, flaw=flaw, mode=mode, reuse=reuse, door=gate.door
    )
    if SAFE_OF[asset] == operation and not flaw and mode == "execute" and not arguments:
        world.owe_stop(command, actor, asset, operation)


async def confirm(world: World, which: int, person: str, flaw: str) -> None:
    """Confirm a simulation that waits: as who asked for it, unless `person` says another."""
    told = [each for each in waiting(world, CommandSimulated, which) if each.next == "confirm" or which]
    found: CommandSimulated | None = pick(told, which)
    if found is None:
        return
    decision = found.decision
    asset, operation, arguments = world.sent[found.command]
    if flaw == "words":
        arguments = {
            name: float(value) + 1.0 for name, value in arguments.items() if isinstance(value, float)
        }
    await clients.ask(
        world,
        person or decision.actor,
        asset,
        operation,
        arguments,
        flaw=flaw,
        confirms=found.command,
        simulation="0" * 64 if flaw == "result" else found.result,
    )


async def vote(world: World, which: int, person: str, verdict: str, flaw: str) -> None:
    found = waiting(world, ApprovalRequested, which)
    wanted: ApprovalRequested | None = pick(found, which)
    if wanted is None:
        return
    other = pick(found, which + 1).command if flaw == "command" else "carol"
    await clients.vote(world, wanted, person, verdict=verdict, flaw=flaw, other=other)


_TARGETS: Final[Mapping[str, tuple[type[Event], ...]]] = {
    "act-undo": (CommandExecuted,),
    "act-reconcile": (OutcomeUnknown,),
    "act-cancel": (CommandPermitted, CommandSimulated, SimulationOrdered),
}


async def act(  # noqa: PLR0917 - the values of a step
    world: World, actor: str, asset: str, name: str, which: int, detail: float, flaw: str
) -> None:
    """Ask the gate itself for something."""
    arguments: dict[str, Scalar] = {}
    match name:
        case "act-lock":
            arguments = {"reason": "work on it"}
        case "act-unlock":
            found: LockSet | None = pick(newest(world, LockSet), which)
            if found is not None:
                asset, arguments = found.lock.asset, {"lock": found.lock.lock}
                actor = found.lock.owner if detail < 5 else actor
        case "act-bypass":
            words = {"reason": "sensor broken", "measure": "a man with a thermometer"}
            arguments = {"permissive": f"cool-{asset}", "seconds": detail, **words}
        case "act-end-bypass":
            granted: BypassGranted | None = pick(newest(world, BypassGranted), which)
            if granted is not None:
                asset, arguments = granted.bypass.asset, {"bypass": granted.bypass.bypass}
        case _:
            target = pick(newest(world, *_TARGETS[name]), which)
            if target is not None:
                asset = world.model.asset_of(target.command) or asset
                arguments = {"command": target.command}
    world.count(f"asked {name}")
    await clients.ask(world, actor, asset, name, arguments, flaw=flaw)
