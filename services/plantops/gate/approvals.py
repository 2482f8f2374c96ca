"""The gate's answer to approvals, rejections and the end of patience. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from plantops.events.commands import (
    ApprovalAccepted,
    ApprovalReceived,
    ApprovalRefused,
    ApprovalRequested,
    CommandExpired,
)
from plantops.events.operations import TimerFired
from plantops.flow.processor import Output
from plantops.gate import requests
from plantops.gate.site import Site, first_reason
from plantops.gate.state import Asked, Course, GateState, View
from plantops.policy.document import Policy


def decide(site: Site, state: GateState, event: ApprovalReceived, now: datetime) -> Sequence[Output]:
    """Count an approval, or say why it does not count; the last one needed leads to a new judgement."""
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
    given = len(course.approvers) + 1
    accepted = ApprovalAccepted(
        site=site.site,
        command=event.command,
        person=event.approval.person,
        given=given,
        needed=course.approval.needed,
    )
    outputs = [site.say(accepted)]
    if given >= course.approval.needed:
        decision = site.judge(
            state, event.command, asked, observation=event.observation, now=now, stage="approval"
        )
        if decision.allowed:
            outputs += requests.permit(site, state, event.command, asked, decision)
        else:
            outputs.append(site.deny(event.command, first_reason(decision), decision))
    return outputs


def _refuse(site: Site, event: ApprovalReceived, reason: str) -> Output:
    return site.say(
        ApprovalRefused(site=site.site, command=event.command, person=event.approval.person, reason=reason)
    )


def _why_not(
    policy: Policy, event: ApprovalReceived, asked: Asked | None, course: Course, now: datetime
) -> str:
    """Why this approval does not count; empty when it does. Separation of duties counts natural persons."""
    approval, wanted = event.approval, course.approval
    if asked is None or wanted is None or course.phase != "waiting":
        return f"{event.command} does not wait for an approval"
    if now > wanted.expires_at:
        return f"the request ran out at {wanted.expires_at:%H:%M:%S} UTC"
    if not approval.issued_at <= approval.expires_at or now > approval.expires_at:
        return "the approval itself has run out"
    if (approval.intent, approval.decision) != (wanted.intent, wanted.decision):
        return "it was given for other words or another decision than the ones that wait"
    return _who_not(policy, approval.person, asked, course, wanted)


def _who_not(policy: Policy, name: str, asked: Asked, course: Course, wanted: ApprovalRequested) -> str:
    principal = policy.principals.get(name)
    if principal is None or principal.kind != "person":
        return f"{name} is no person in this policy; programs and agents never approve"
    person = principal.person or name
    chain = (asked.intent.actor, *asked.intent.on_behalf_of)
    requesters = {_person(policy, each) for each in chain}
    if person in requesters:
        return f"{name} asked for it; another person must approve"
    if person in {_person(policy, each) for each in course.approvers}:
        return f"{name} has approved already; another person is needed"
    if not set(principal.roles) & set(wanted.roles):
        return f"{name} has none of the roles {', '.join(wanted.roles) or '(none named by the policy)'}"
    return ""


def _person(policy: Policy, name: str) -> str:
    principal = policy.principals.get(name)
    return principal.person or name if principal else name


def expire(site: Site, state: GateState, event: TimerFired, now: datetime) -> Sequence[Output]:
    """End what nobody answered. A timer that comes early or late changes nothing that is decided."""
    view = View(state)
    course, deed = view.course(event.command), view.deed(event.command)
    if now < event.due:
        return ()
    waiting = {"waiting": "approval", "simulated": "confirmation", "permitted": "execution"}
    if waiting.get(course.phase) != event.purpose or deed.claimed or deed.final:
        return ()
    if course.phase == "simulated" and (
        view.confirmed_by(event.command) or (course.simulated and course.simulated.next != "confirm")
    ):
        return ()
    return [site.say(CommandExpired(site=site.site, command=event.command, waiting_for=event.purpose))]
