"""The gate's answer to a dry run: judge the permissives on the projected state. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from plantops.events.base import CommandId, Digest, encode_json
from plantops.events.command_parts import Decision, Observation
from plantops.events.commands import ApprovalRequested, CommandSimulated, DryRunDone
from plantops.flow.processor import Output
from plantops.gate.site import Site, first_reason
from plantops.gate.state import Asked, GateState, View
from plantops.policy.judge import decision_digest, rule_for
from plantops.policy.projection import project
from plantops.policy.writes import writes_of


def decide(site: Site, state: GateState, event: DryRunDone, now: datetime, signer: str) -> Sequence[Output]:
    """Tell what would happen, and what it takes to let it happen. An unexpected answer changes nothing.

    Raises: Refused when the model no longer says what is to be written.
    """
    view = View(state)
    asked, course = view.asked(event.command), view.course(event.command)
    if asked is None or course.phase != "simulating" or signer != course.executor or state.verified is None:
        return ()
    if not event.ok:
        return [site.deny(event.command, f"simulation: {event.problem}")]
    if course.generation != view.generation(asked.intent.asset):
        return [site.deny(event.command, f"simulation: {asked.intent.asset} was stopped meanwhile")]
    _source, writes = writes_of(
        site.plant, asked.intent.asset, asked.intent.operation, asked.intent.arguments
    )
    seen = event.observation
    projected = None if seen is None else Observation(at=seen.at, inputs=project(seen.inputs, writes))
    decision = site.judge(state, event.command, asked, observation=projected, now=now, stage="simulation")
    if not decision.allowed:
        return [site.deny(event.command, f"simulation: {first_reason(decision)}", decision)]
    rule = rule_for(state.verified.policy, asked.intent.asset, asked.intent.operation)
    next_step = _next(asked, decision)
    seconds = rule.approval_seconds if next_step == "approve" else rule.confirm_seconds
    expires_at = now + timedelta(seconds=seconds)
    simulated = CommandSimulated(
        site=site.site,
        command=event.command,
        before=event.before,
        projected={write.tag: write.value for write in writes},
        decision=decision,
        result=_digest(event, decision),
        next=next_step,
        expires_at=expires_at,
    )
    outputs = [site.say(simulated)]
    if next_step == "approve":
        outputs.append(site.say(_ask(site, state, event.command, asked, simulated)))
    return outputs


def _next(asked: Asked, decision: Decision) -> Literal["confirm", "approve", "nothing"]:
    if decision.risk == "high":
        return "confirm"
    if decision.risk == "critical" and asked.intent.mode == "execute":
        return "approve"
    return "nothing"


def _digest(event: DryRunDone, decision: Decision) -> Digest:
    parts = [event.before, event.encoded, decision_digest(decision)]
    return Digest(hashlib.sha256(encode_json(parts)).hexdigest())


def _ask(
    site: Site, state: GateState, command: CommandId, asked: Asked, simulated: CommandSimulated
) -> ApprovalRequested:
    assert state.verified is not None
    rule = rule_for(state.verified.policy, asked.intent.asset, asked.intent.operation)
    return ApprovalRequested(
        site=site.site,
        command=command,
        intent=asked.digest,
        decision=decision_digest(simulated.decision),
        needed=max(1, rule.approvals),
        roles=rule.approval_roles,
        expires_at=simulated.expires_at,
        asset=asked.intent.asset,
        operation=asked.intent.operation,
        arguments=asked.intent.arguments,
        requester=asked.intent.actor,
    )
