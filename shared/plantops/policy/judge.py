"""The judgement: all rules on one command, from what was recorded with the question. Pure.

Deny is the default. Every rule is applied and told, in a fixed order, so that a person sees at once all that
stands in the way. The same arguments give the same bytes, and so does judging `Decision.inputs` again.
These are command permissives, not safety functions: trips and emergency stops stay in the PLC and in hard
wire (ISO 13850).
"""

from __future__ import annotations

import hashlib
from datetime import datetime

from plantops.events.base import Digest, encode_json
from plantops.events.circumstances import NO_CIRCUMSTANCES, Circumstances
from plantops.events.command_parts import Decision, Observation, Stage
from plantops.model.load import Plant
from plantops.policy.arguments import is_writable_down
from plantops.policy.needs import effective_risk, inputs_needed, rule_for
from plantops.policy.rules import Case, Request
from plantops.policy.verified import Verified


def judge(
    policy_in_force: Verified | None,
    plant: Plant,
    request: Request,
    observation: Observation | None,
    now: datetime,
    *,
    stage: Stage,
    circumstances: Circumstances = NO_CIRCUMSTANCES,
) -> Decision:
    """Judge `request` at the time `now`, with what was observed for it.

    Ages are counted on from `observation.at` to `now`; an observation further from `now` than the clocks
    may differ says nothing. The decision holds only the inputs that its rules needed, with these ages, so
    `judge` on `Observation(now, decision.inputs)` gives the decision again. An argument that JSON cannot
    hold is refused and stands in the decision as text.

    Findings come in this order: policy, audience, identity, person, role, confirmation (where there is
    one), operation, argument:NAME, model, clock, unsigned, lockout and unreconciled (where there is one),
    limit:ID, mode:PROPERTY, change:NAME, permissive:ID. `circumstances` is what the gate remembers; at
    execution the permit's bypasses are all that is asked of it.
    """
    case = Case.of(
        policy_in_force, plant, request, observation, now, stage=stage, circumstances=circumstances
    )
    findings = tuple(case.findings())
    return Decision(
        command=request.command,
        stage=stage,
        now=now,
        asset=request.asset,
        operation=request.operation,
        arguments={
            name: value if is_writable_down(value) else repr(value)
            for name, value in request.arguments.items()
        },
        actor=request.actor,
        person=case.person,
        risk=case.risk,
        safe_direction=case.rule.safe_direction,
        allowed=all(finding.verdict == "true" for finding in findings),
        findings=findings,
        inputs=case.inputs,
        policy=Digest("") if policy_in_force is None else policy_in_force.digest,
        model=plant.digest,
        circumstances=circumstances,
    )


def decision_digest(decision: Decision) -> Digest:
    """SHA-256 of the decision's JSON bytes: what an approval is bound to."""
    return Digest(hashlib.sha256(encode_json(decision)).hexdigest())


__all__ = ["Request", "decision_digest", "effective_risk", "inputs_needed", "judge", "rule_for"]
