"""What the model is told: events as they are stored, inputs of the gate, values that a device takes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from plantops.events import Event, decode
from plantops.events.base import Scalar
from plantops.events.commands import (
    ApprovalReceived,
    ApprovalRequested,
    CommandCancelled,
    CommandClaimed,
    CommandDenied,
    CommandExecuted,
    CommandExpired,
    CommandFailed,
    CommandPermitted,
    CommandSimulated,
    GenerationRaised,
    OutcomeUnknown,
    SafePermitted,
    SimulationOrdered,
)
from plantops.events.governance import (
    ActDone,
    ApprovalEscalated,
    BypassEnded,
    BypassGranted,
    CommandReconciled,
    FallbackOrdered,
    LockLifted,
    LockSet,
    ReconcileOrdered,
)
from plantops.events.operations import PolicyPublished
from plantops.flow.bus import Stored
from plantops.flow.processor import Recorded
from soak import governing
from soak.deeds import Deed, of_write
from soak.ground import SOURCES
from soak.memory import Bypassed
from soak.permits import count_vote
from soak.words import Seen

if TYPE_CHECKING:
    from soak.host import HostRun
    from soak.world import World

FINALS: Final[dict[type[Event], str]] = {
    CommandExecuted: "executed",
    CommandFailed: "failed",
    OutcomeUnknown: "unknown",
}
ENDED: Final = (CommandDenied, CommandCancelled, CommandExpired, CommandPermitted, SafePermitted, ActDone)


def stored(world: World, message: Stored) -> None:
    """Anything on any stream, at once."""
    if message.stream not in ("COMMANDS", "INTENTS") or world.is_forging:
        return
    event = decode(message.data)
    world.told[type(event)].append(event)
    if message.stream == "INTENTS":
        return
    _site, kind, writer, _name = message.subject.split(".")[1:]
    world.count(kind)
    if writer == "gate":
        _send(world, event, message)
    elif isinstance(event, CommandClaimed):
        world.breaks(f"claim of {event.command}", world.model.claimed(event.command, writer))
    elif isinstance(event, CommandExecuted | CommandFailed | OutcomeUnknown):
        permit = world.model.permits.get(event.command)
        if permit is not None:
            permit.final = permit.final or FINALS[type(event)]
    if kind not in world.rung_by:
        return
    recorded = Recorded("COMMANDS", message.sequence, message.subject, message.time_ns, event, writer)
    world.ringing = world.timer.evolve(world.ringing, recorded)


def _send(world: World, event: Event, message: Stored) -> None:
    """Orders go to the executors that they are for; stops to all."""
    match event:
        case CommandPermitted() | SimulationOrdered():
            wanted, lane = [event.permit.source], "normal"
        case ReconcileOrdered():
            wanted, lane = [event.source], "normal"
        case SafePermitted():
            wanted, lane = [*SOURCES], "safe"  # type: ignore[list-item]  # names of sources are text
        case _:
            return
    for source in wanted:
        world.orders[source].append((lane, message))
        world.seen_orders[source].append((lane, message))


def gate_reads(world: World, recorded: Recorded) -> None:
    """The gate is about to decide upon an input."""
    model, fact = world.model, recorded.fact
    match fact:
        case PolicyPublished():
            if model.gate.offered(world.offers[recorded.sequence], recorded.at):
                world.count("policy in force")
        case ApprovalReceived():
            vote = world.votes.get(fact.evidence)
            if vote is not None:
                count_vote(model, vote, recorded.at)
        case CommandClaimed() | CommandExecuted() | CommandFailed() | OutcomeUnknown() | CommandReconciled():
            permit = model.permits.get(fact.command)
            if permit is None or recorded.signer != permit.executor:
                return
            permit.gate_knows_claim = True
            if isinstance(fact, CommandReconciled):
                permit.gate_knows_final = "reconciled"
            permit.gate_knows_final = permit.gate_knows_final or FINALS.get(type(fact), "")
        case _:
            return


def gate_said(world: World, event: Event, cause: Recorded) -> None:
    """The gate's answer is stored."""
    model, at = world.model, cause.at
    rules: list[str] = []
    if isinstance(event, ENDED):
        world.ended.add(event.command)
    if isinstance(event, CommandPermitted) and event.confirms:
        world.ended.add(event.confirms)
    match event:
        case CommandSimulated():
            model.simulated(event.command, event.result, at)
        case ApprovalRequested():
            model.approvals_wanted(event.command, event.decision, at)
        case ApprovalEscalated():
            rules = model.escalated(event.command, at)
        case GenerationRaised():
            rules = model.raised(event.asset, event.generation)
        case CommandPermitted() | SafePermitted():
            rules = _permitted(world, event, cause)
        case CommandCancelled() | CommandExpired():
            permit = model.permits.get(event.command)
            if permit is not None:
                permit.is_withdrawn = True
                permit.is_expired = permit.is_expired or isinstance(event, CommandExpired)
        case _:
            rules = _governed(world, event, cause)
    world.breaks(f"{type(event).__name__} {getattr(event, 'command', '')}", rules)


def _governed(world: World, event: Event, cause: Recorded) -> list[str]:
    model, at = world.model, cause.at
    match event:
        case LockSet():
            return [*governing.lock_set(model, event.lock.lock, event.lock.asset, at)]
        case LockLifted():
            return [*governing.lock_lifted(model, event.lock, event.persons)]
        case BypassGranted():
            told = event.bypass
            granted = Bypassed(told.asset, told.permissive, told.since, told.expires_at)
            return [*governing.bypass_granted(model, told.bypass, granted, at)]
        case BypassEnded():
            model.bypasses.pop(event.bypass, None)
        case FallbackOrdered():
            return [*governing.fallback_ordered(model, event.command, event.cause, event.actor)]
        case ReconcileOrdered():
            return [*governing.reconcile_ordered(model, event.command, event.target, at)]
    return []


def _permitted(world: World, event: CommandPermitted | SafePermitted, cause: Recorded) -> list[str]:
    permit = event.permit
    values = tuple((name, type(value).__name__, value) for name, value in permit.arguments.items())
    seen = getattr(cause.fact, "observation", None)
    look: dict[str, Seen] = {}
    if seen is not None:
        look = {one.tag: Seen(one.value, one.quality, one.age_seconds, seen.at) for one in seen.inputs}
    safe = isinstance(event, SafePermitted)
    world.count(f"permit {'undo of ' if permit.undoes else ''}{permit.operation}")
    world.counts["permit under a bypass"] += bool(permit.bypasses)
    return world.model.permitted(
        event.command,
        (permit.asset, permit.operation, values),
        permit.actor,
        cause.at,
        safe=safe,
        undoes=permit.undoes,
        look=look,
    )


def written(world: World, host: HostRun, tag: str, value: Scalar) -> None:
    """A device takes a value: the moment that all of this is about."""
    command, standing, look = host.command(), world.truth[tag], host.look()
    deed = Deed(
        command=command,
        tag=tag,
        value=value,
        before=look.get(tag, standing).value,
        at=world.now,
        run=host.run,
        look=look,
        standing=host.follower.standing,
    )
    rules = [*of_write(world.model, deed)]
    if world.leases[host.source] != host.run:
        rules.append("lease: the source belongs to another run")
    if host.is_dead:
        rules.append("dead: this run had ended")
    permit = world.model.permits.get(command)
    if permit is not None:
        back = " back" if permit.taken_back else ""
        world.count(f"write{back} {'undo of ' if permit.undoes else ''}{permit.ask.operation}")
    world.breaks(f"write {tag} := {value!r} of {command or 'nothing that is known'}", rules)
    look.clear()
    world.truth[tag] = replace(standing, value=value)


def claimed(world: World, host: HostRun, command: str) -> None:
    """An executor heard that its claim is stored."""
    permit = world.model.permits.get(command)
    if permit is not None:
        permit.claimed_upon = host.follower.standing


def audited(world: World, kind: str, command: str) -> None:
    """AUDIT, or a signed local record, has it."""
    permit = world.model.permits.get(command)
    if kind == "command.claimed" and permit is not None:
        permit.audited = True
