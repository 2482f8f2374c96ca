"""The gate's answer to approvals, rejections and the end of patience. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from plantops.events.base import CommandId
from plantops.events.command_parts import Approval, Decision
from plantops.events.commands import (
    ApprovalAccepted,
    ApprovalReceived,
    ApprovalRefused,
    CommandExpired,
)
from plantops.events.governance import ApprovalEscalated
from plantops.events.operations import TimerFired
from plantops.flow.processor import Output
from plantops.gate import acts, requests, simulations, withdrawals
from plantops.gate.given import standing_approvals
from plantops.gate.site import Site, first_reason
from plantops.gate.state import Asked, Course, GateState, View
from plantops.gate.unchanged import moved
from plantops.gate.undoing import governing, is_undo
from plantops.policy import delegated
from plantops.policy.acts import is_act
from plantops.policy.document import Policy
from plantops.policy.judge import rule_for

# Rules on the plant itself, which each approval is held against; time and use are judged at the last.
_OF_THE_PLANT = ("mode:", "change:", "permissive:")


def decide(site: Site, state: GateState, event: ApprovalReceived, now: datetime) -> Sequence[Output]:
    """Count an approval, or say why it does not count; the last one needed leads to a permit.

    Each one is held against the plant as it is now: what is no longer as the approvers saw it ends the
    command, whoever has approved before. Raises: Refused when the model no longer says what is to be written.
    """
    view = View(state)
    asked, course = view.asked(event.command), view.course(event.command)
    if state.verified is None:
        return [_refuse(site, event, "no verified policy is in force")]
    refused = _why_not(state.verified.policy, event, asked, course, now)
    if refused or asked is None or course.approval is None:
        return [_refuse(site, event, refused)]
    if event.approval.verdict == "reject":
        words = f"rejected by {event.approval.person}: {event.approval.reason or 'no reason given'}"
        return [site.deny(event.command, words)]
    if changed := _changed(site, state, asked, course):
        reason = f"{changed} since it was simulated; ask again"
        return withdrawals.end(site, view, event.command, reason)
    return _count(site, state, event, asked, now)


def _count(
    site: Site, state: GateState, event: ApprovalReceived, asked: Asked, now: datetime
) -> Sequence[Output]:
    """An approval that fits, held against the plant as it is now."""
    view = View(state)
    course, verified = view.course(event.command), state.verified
    assert course.approval is not None  # told by `decide`, as are the next two
    assert course.simulated is not None
    assert verified is not None
    before = standing_approvals(course, now)
    given = len(before) + 1
    accepted = ApprovalAccepted(
        site=site.site,
        command=event.command,
        person=event.approval.person,
        given=given,
        needed=course.approval.needed,
        evidence=event.evidence,
    )
    is_last = given >= course.approval.needed
    decision = site.judge(
        state, event.command, asked, observation=event.observation, now=now, stage="approval"
    )
    if not (decision.allowed if is_last else _plant_allows(decision)):
        denied = site.deny(event.command, first_reason(decision), decision)
        return [site.say(accepted), denied]
    if changed := moved(
        site.plant,
        site.plan(state, asked).writes,
        course.simulated,
        event.observation,
        now=now,
        skew_seconds=verified.policy.clock_skew_seconds,
    ):
        reason = f"{changed} when it was simulated; ask again"
        return withdrawals.end(site, view, event.command, reason)
    outputs = [site.say(accepted)]
    if is_last and is_act(asked.intent.operation) and not is_undo(asked):
        outputs += acts.complete(site, state, event.command, asked, decision)
    elif is_last:
        signed = (*before.values(), event.evidence)
        outputs += requests.permit(site, state, event.command, asked, decision, approvals=signed)
    return outputs


def _plant_allows(decision: Decision) -> bool:
    return all(
        finding.verdict == "true" for finding in decision.findings if finding.rule.startswith(_OF_THE_PLANT)
    )


def _refuse(site: Site, event: ApprovalReceived, reason: str) -> Output:
    return site.say(
        ApprovalRefused(site=site.site, command=event.command, person=event.approval.person, reason=reason)
    )


def _changed(site: Site, state: GateState, asked: Asked, course: Course) -> str:
    """What is no longer as the approvers saw it: they approve one decision, under one policy."""
    simulated, verified = course.simulated, state.verified
    if simulated is None or verified is None:
        return "the simulation is not known any more"
    if (simulated.policy, simulated.model) != (verified.digest, site.plant.digest):
        return "policy or model changed"
    if course.generation != View(state).generation(asked.intent.asset):
        return f"{asked.intent.asset} was stopped"
    return ""


def _why_not(
    policy: Policy, event: ApprovalReceived, asked: Asked | None, course: Course, now: datetime
) -> str:
    """Why this approval does not count; empty when it does. Separation of duties counts natural persons."""
    approval, wanted = event.approval, course.approval
    if asked is None or wanted is None or course.phase != "waiting":
        return f"{event.command} does not wait for an approval"
    if (approval.site, approval.command) != (event.site, event.command) or (
        approval.by or approval.person
    ) != event.signer:
        return "it was given for another command, or signed by another person"
    if now > wanted.expires_at:
        return f"the request ran out at {wanted.expires_at:%H:%M:%S} UTC"
    if reason := _when_not(policy, approval, now):
        return reason
    if (approval.intent, approval.decision) != (wanted.intent, wanted.decision):
        return "it was given for other words or another decision than the ones that wait"
    return _who_not(policy, approval, asked, course, standing_approvals(course, now))


def _when_not(policy: Policy, approval: Approval, now: datetime) -> str:
    if approval.issued_at.tzinfo is None or approval.expires_at.tzinfo is None:
        return "the approval gives times without a zone"
    if approval.issued_at > now + timedelta(seconds=policy.clock_skew_seconds):
        return "the approval was issued in the future: check the clock"
    if not approval.issued_at <= approval.expires_at or now > approval.expires_at:
        return "the approval itself has run out"
    return ""


def _who_not(
    policy: Policy,
    approval: Approval,
    asked: Asked,
    course: Course,
    standing: Collection[str],
) -> str:
    assert course.approval is not None  # told by `_why_not`
    name = approval.person
    principal = policy.principals.get(name)
    if principal is None or principal.kind != "person":
        return f"{name} is no person in this policy; programs and agents never approve"
    # A rejection is the safe side: the gateway's word is enough for it.
    if approval.by and approval.verdict == "approve":
        problem = delegated.approval_problem(policy, approval.by, name, "critical")
        if problem:
            return problem
    person = principal.person or name
    chain = (asked.intent.actor, *asked.intent.on_behalf_of)
    requesters = {_person(policy, each) for each in chain}
    if person in requesters:
        return f"{name} asked for it; another person must approve"
    # Who has approved may still reject.
    if approval.verdict == "approve" and person in {_person(policy, each) for each in standing}:
        return f"{name} has approved already; another person is needed"
    roles = tuple(dict.fromkeys((*course.approval.roles, *(course.escalated_to or ()))))
    if not set(principal.roles) & set(roles):
        return f"{name} has none of the roles {', '.join(roles) or '(none named by the policy)'}"
    return ""


def _person(policy: Policy, name: str) -> str:
    principal = policy.principals.get(name)
    return principal.person or name if principal else name


def expire(site: Site, state: GateState, event: TimerFired, now: datetime) -> Sequence[Output]:
    """End what nobody answered, or pass it on. The gate's own deadline counts; a timer that is early, late
    or wrong about what the command waits for changes nothing."""
    view = View(state)
    if event.purpose == "escalation":
        return _escalate(site, state, view, event.command, now)
    purpose, waiting_for, deadline = _deadline(view, event.command)
    if deadline is None or purpose != event.purpose or now <= deadline:
        return ()
    return [site.say(CommandExpired(site=site.site, command=event.command, waiting_for=waiting_for))]


def _escalate(
    site: Site, state: GateState, view: View, command: CommandId, now: datetime
) -> Sequence[Output]:
    """Ask others beside the first, once."""
    asked, course = view.asked(command), view.course(command)
    wanted = course.approval
    if asked is None or wanted is None or course.phase != "waiting" or course.escalated_to is not None:
        return ()
    is_due = wanted.escalates_at is not None and wanted.escalates_at <= now <= wanted.expires_at
    if not is_due or state.verified is None:
        return ()
    rule = rule_for(state.verified.policy, asked.intent.asset, governing(state, asked.intent))
    return [site.say(ApprovalEscalated(site=site.site, command=command, roles=rule.escalation_roles))]


def _deadline(view: View, command: CommandId) -> tuple[str, str, datetime | None]:
    """Under which purpose the timer tells it, what the command waits for, and until when."""
    course, deed = view.course(command), view.deed(command)
    match course.phase:
        case "simulating":
            return "execution", simulations.WAITING_FOR, course.until
        case "waiting" if course.approval is not None:
            return "approval", "approval", course.approval.expires_at
        case "simulated" if course.simulated is not None and not view.is_over(command):
            return "confirmation", "confirmation", course.simulated.expires_at
        case "permitted" if course.permit is not None and not (deed.claimed or course.permit.safe_direction):
            return "execution", "execution", course.permit.not_after
        case _:
            return "", "", None
