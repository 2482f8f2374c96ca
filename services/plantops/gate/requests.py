"""The gate's answer to an intent. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from plantops.events.base import CommandId, encode_json
from plantops.events.command_parts import Decision, Permit, Stage
from plantops.events.commands import (
    CommandPermitted,
    CommandRequested,
    GenerationRaised,
    SafePermitted,
)
from plantops.flow.processor import Output
from plantops.gate import acts, simulations
from plantops.gate.site import Site, busy, first_reason
from plantops.gate.state import Asked, GateState, Simulated, View, signed_text
from plantops.gate.sweeping import sweep
from plantops.gate.unchanged import moved
from plantops.policy.acts import is_act


def decide(site: Site, state: GateState, event: CommandRequested, now: datetime) -> Sequence[Output]:
    """Deny, order a simulation, or permit. A repeated identity is answered by what was said before."""
    if event.command in state.asked:
        return ()
    if event.intent.site != site.site:
        return [
            site.deny(event.command, f"site: the intent is for {event.intent.site!r}, here is {site.site}")
        ]
    asked = Asked(event.intent, event.digest, event.login, event.signer, 0, now, signed_text(event))
    answer: Sequence[Output] | None = None
    if is_act(event.intent.operation):
        answer = acts.decide(
            site, state, event, asked, why_not=lambda it: _why_not(site, state, event, asked, it)
        )
    return _operate(site, state, event, asked) if answer is None else answer


def _operate(site: Site, state: GateState, event: CommandRequested, asked: Asked) -> Sequence[Output]:
    """An operation, or an undo, which is judged as one."""
    simulates, now = event.intent.mode == "simulate", asked.at
    stage: Stage = "simulation" if simulates else "request"
    decision = site.judge(state, event.command, asked, observation=event.observation, now=now, stage=stage)
    if decision.safe_direction and decision.allowed and not simulates:
        return _overtake(site, state, event, asked, decision)
    if simulates:
        return _simulate(site, state, event.command, asked, decision, permissives_count=False)
    if not decision.allowed:
        return [site.deny(event.command, first_reason(decision), decision)]
    if event.intent.confirms:
        return _confirm(site, state, event, asked, decision)
    if decision.risk == "critical" or simulations.is_confirmed_first(state, asked, decision):
        return _simulate(site, state, event.command, asked, decision, permissives_count=True)
    return permit(site, state, event.command, asked, decision)


def permit(
    site: Site,
    state: GateState,
    command: CommandId,
    asked: Asked,
    decision: Decision,
    *,
    approvals: tuple[str, ...] = (),
) -> Sequence[Output]:
    """Permit a normal command, unless another one is in flight on its asset; `approvals` are the exact
    signed ones that it stands on."""
    view = View(state)
    if reason := busy(view, asked.intent.asset, decision.now, command):
        return [site.deny(command, reason, decision)]
    generation = view.generation(asked.intent.asset)
    paper = site.permit(state, command, asked, decision, generation=generation, approvals=approvals)
    permitted = CommandPermitted(
        site=site.site, command=command, permit=paper, decision=decision, confirms=asked.intent.confirms
    )
    return [site.say(permitted)]


def _overtake(
    site: Site, state: GateState, event: CommandRequested, asked: Asked, decision: Decision
) -> Sequence[Output]:
    """A safe-direction command waits for nobody and ends everything else that is open on its asset.

    The generation and the permit come first in the batch, so that no reader sees them late.
    """
    view, asset = View(state), event.intent.asset
    generation = view.generation(asset) + 1
    paper: Permit = site.permit(state, event.command, asked, decision, generation=generation)
    raised = GenerationRaised(site=site.site, command=event.command, asset=asset, generation=generation)
    permitted = SafePermitted(site=site.site, command=event.command, permit=paper, decision=decision)
    reason = f"overtaken by {event.intent.operation}, asked by {event.intent.actor}"
    ended = sweep(site, state, asset, reason, by=event.command)
    return [site.say(raised), site.say(permitted), *ended]


def _simulate(
    site: Site,
    state: GateState,
    command: CommandId,
    asked: Asked,
    decision: Decision,
    *,
    permissives_count: bool,
) -> Sequence[Output]:
    """Order a dry run. An explicit simulation may be asked while permissives do not hold: it tells so."""
    judged = [
        finding
        for finding in decision.findings
        if permissives_count or not finding.rule.startswith(("permissive", "mode"))
    ]
    if any(finding.verdict != "true" for finding in judged):
        return [site.deny(command, first_reason(decision), decision)]
    return simulations.order(site, state, command, asked, decision)


def _confirm(
    site: Site, state: GateState, event: CommandRequested, asked: Asked, decision: Decision
) -> Sequence[Output]:
    """Execute what was simulated: the same person, the same words, the result that he saw, once, in time,
    under the same policy, and with the plant as it was."""
    refused = _why_not(site, state, event, asked, decision)
    if refused:
        return [site.deny(event.command, f"confirmation: {refused}", decision)]
    return permit(site, state, event.command, asked, decision)


def _why_not(site: Site, state: GateState, event: CommandRequested, asked: Asked, decision: Decision) -> str:
    """Why this confirmation does not count; empty when it does."""
    view, simulated_id = View(state), event.intent.confirms
    before, course = view.asked(simulated_id), view.course(simulated_id)
    simulated = course.simulated
    if before is None or simulated is None or course.phase != "simulated":
        ended = f": {course.phase}, {course.reason}" if course.reason else ""
        return f"{simulated_id} is no simulation that waits for one{ended}"
    if simulated.next != "confirm":
        return f"{simulated_id} cannot be confirmed: it takes {simulated.next}"
    if other := view.confirmed_by(simulated_id):
        return f"{simulated_id} was confirmed already, by {other}; simulate again"
    if not decision.person or simulated.person != decision.person:
        return f"{simulated_id} was simulated for {simulated.person}, not for {decision.person}"
    if _words(before) != _words(asked):
        return f"asset, operation and arguments differ from what {simulated_id} simulated"
    return _what_changed(site, state, event, decision, simulated)


def _what_changed(
    site: Site,
    state: GateState,
    event: CommandRequested,
    decision: Decision,
    simulated: Simulated,
) -> str:
    """What is no longer as the person saw it; he says by the digest of the result what that was."""
    intent, simulated_id = event.intent, event.intent.confirms
    asked = Asked(intent, event.digest, event.login, event.signer, 0, decision.now)
    if intent.simulation != simulated.result:
        seen = intent.simulation[:12] or "none"
        return f"the result of {simulated_id} is {simulated.result[:12]}, the intent names {seen}"
    if decision.now > simulated.expires_at:
        return f"the simulation {simulated_id} ran out at {simulated.expires_at:%H:%M:%S} UTC; simulate again"
    if (simulated.policy, simulated.model) != (decision.policy, decision.model):
        return f"policy or model changed since {simulated_id} was simulated; simulate again"
    view = View(state)
    if view.course(simulated_id).generation != view.generation(intent.asset):
        return f"{intent.asset} was stopped since {simulated_id} was simulated; simulate again"
    assert state.verified is not None  # else nothing is allowed
    skew = state.verified.policy.clock_skew_seconds
    changed = moved(
        site.plant,
        site.plan(state, asked).writes,
        simulated,
        event.observation,
        now=decision.now,
        skew_seconds=skew,
    )
    return f"{changed} when {simulated_id} was simulated; simulate again" if changed else ""


def _words(asked: Asked) -> tuple[object, ...]:
    """Asset, operation and arguments with their types: 1, 1.0 and true are three different words."""
    intent = asked.intent
    return (intent.asset, intent.operation, encode_json(intent.arguments))
