"""Orders to a host under test, and the one answer that each must get."""

from collections.abc import Callable
from datetime import timedelta
from typing import TypeAlias

import msgspec

from plantops.adapters.host.standing import Generations, Standing
from plantops.events import Event
from plantops.events.base import Digest, PrincipalName
from plantops.events.command_parts import Permit
from plantops.events.commands import (
    CommandExecuted,
    CommandFailed,
    CommandPermitted,
    OutcomeUnknown,
    SafePermitted,
    SimulationOrdered,
)
from support.host_ground import SITE, Ground
from support.host_rig import Rig

Order: TypeAlias = CommandPermitted | SafePermitted


FINALS = (CommandExecuted, CommandFailed, OutcomeUnknown)


async def only(rig: Rig, *kinds: type[Event]) -> Event:
    """The one event of these kinds, once it is there."""
    kinds = kinds or FINALS
    await rig.ground.clock.advance_until(lambda: bool(rig.ground.told(*kinds)))
    told = rig.ground.told(*kinds)
    assert len(told) == 1, told
    return told[0]


def changed(order: Order, **changes: object) -> Order:
    permit = msgspec.structs.replace(order.permit, **changes)
    return msgspec.structs.replace(order, permit=permit)


def simulation(order: Order) -> SimulationOrdered:
    return SimulationOrdered(site=SITE, command=order.command, permit=order.permit, decision=order.decision)


BAD: list[tuple[str, Callable[[Order], Order]]] = [
    ("policy", lambda order: changed(order, policy=Digest("f" * 64))),
    ("model", lambda order: changed(order, model=Digest("f" * 64))),
    ("ran out", lambda order: changed(order, not_after=order.permit.not_after - timedelta(seconds=60))),
    ("writes", lambda order: changed(order, writes=(_other_value(order.permit),))),
    ("writes", lambda order: changed(order, writes=order.permit.writes * 2)),
    ("does not allow it", lambda order: changed(order, arguments={"RPM": 1300.0})),
    ("does not allow it", lambda order: changed(order, actor=PrincipalName("mallory"))),
    ("another decision", lambda order: changed(order, decision=Digest("f" * 64))),
    ("site", lambda order: changed(order, site="elsewhere")),
    ("safe direction", lambda order: changed(order, safe_direction=True)),
    ("generation", lambda order: changed(order, generation=3)),
]


def _other_value(permit: Permit) -> object:
    return msgspec.structs.replace(permit.writes[0], value=2900.0)


async def standing_of(ground: Ground, order: Order, *, is_ours: bool, heard: int) -> Standing:
    """An order that was said, as its executor watches it, which has heard of a generation."""
    stored = await ground.gate_bus.last("COMMANDS", f"cmd.{SITE}.permitted.gate.*")
    assert stored is not None
    generations = Generations()
    generations.raise_to(order.permit.asset, heard)
    return Standing(
        order.permit,
        stored,
        bus=ground.bus(),
        trust=ground.in_force,
        clock=ground.clock,
        generations=generations,
        is_ours=lambda: is_ours,
    )
