"""What an asset is put to when a command ended half-way, or nobody knows how. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from plantops.events.base import AssetName, CommandId, OperationName
from plantops.events.command_parts import Intent, command_id
from plantops.events.commands import CommandFailed, GenerationRaised, OutcomeUnknown, SafePermitted
from plantops.events.governance import FallbackOrdered
from plantops.flow.processor import Output
from plantops.gate.site import Site, first_reason
from plantops.gate.state import Asked, GateState, View
from plantops.gate.sweeping import sweep
from plantops.policy.acts import FALLBACK
from plantops.policy.judge import rule_for
from plantops.runtime.errors import Refused


def decide(
    site: Site, state: GateState, event: CommandFailed | OutcomeUnknown, now: datetime, signer: str
) -> Sequence[Output]:
    """Order the fallback that the policy names, once, in the name of who asked; it is judged like any other.

    Counted is the first last word of the command's own executor. A fallback has none of its own.
    """
    view, cause = View(state), event.command
    course, before = view.course(cause), state.asked.get(cause)
    if before is None or course.permit is None or signer != course.executor or view.deed(cause).final:
        return ()
    if isinstance(event, CommandFailed) and (not event.written or event.compensated):
        return ()
    name = _named(state, course.permit.asset, course.permit.operation)
    command = command_id(FALLBACK, cause)
    if name is None or command in state.fallbacks or command in state.asked:
        return ()
    asked = _asked(before, name, cause, now)
    ordered = FallbackOrdered(
        site=site.site,
        command=command,
        cause=cause,
        asset=asked.intent.asset,
        operation=name,
        arguments={},
        actor=asked.intent.actor,
        on_behalf_of=asked.intent.on_behalf_of,
    )
    return [site.say(ordered), *_permit(site, state, command, asked)]


def _named(state: GateState, asset: AssetName, operation: OperationName) -> OperationName | None:
    if state.verified is None:
        return None
    name = rule_for(state.verified.policy, asset, operation).fallback
    return OperationName(name) if name else None


def _asked(before: Asked, operation: OperationName, cause: CommandId, now: datetime) -> Asked:
    """What the actor would have asked, under the cause as its key; the intent is the one that failed."""
    intent = Intent(
        site=before.intent.site,
        asset=before.intent.asset,
        operation=operation,
        actor=before.intent.actor,
        on_behalf_of=before.intent.on_behalf_of,
        key=cause,
    )
    return Asked(intent, before.digest, before.login, before.signer, 0, now)


def _permit(site: Site, state: GateState, command: CommandId, asked: Asked) -> list[Output]:
    decision = site.judge(state, command, asked, observation=None, now=asked.at, stage="request")
    if not decision.allowed:
        return [site.deny(command, f"fallback: {first_reason(decision)}", decision)]
    if not decision.safe_direction:
        reason = f"fallback: the policy does not hold {decision.operation} for the safe direction"
        return [site.deny(command, reason, decision)]
    asset = asked.intent.asset
    generation = View(state).generation(asset) + 1
    try:
        paper = site.permit(state, command, asked, decision, generation=generation)
    except Refused as error:
        return [site.deny(command, f"fallback: {error}", decision)]
    raised = GenerationRaised(site=site.site, command=command, asset=asset, generation=generation)
    permitted = SafePermitted(site=site.site, command=command, permit=paper, decision=decision)
    reason = f"overtaken by the fallback {asked.intent.operation}"
    ended = sweep(site, state, asset, reason, by=command, besides=CommandId(asked.intent.key))
    return [site.say(raised), site.say(permitted), *ended]
