"""Whether enough other persons have signed for what was asked. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from plantops.events.command_parts import Approval, Risk
from plantops.policy.delegated import approval_problem as delegated_problem
from plantops.policy.document import OperationRule, Policy
from plantops.policy.keyring import Keyring


@dataclass(frozen=True, slots=True)
class Asked:
    """What is approved: a command by the digest of its intent, and the names in whose it was asked."""

    site: str
    command: str
    intent: str
    askers: tuple[str, ...]


def approvals_problem(
    asked: Asked,
    approvals: Sequence[str],
    keyring: Keyring,
    rule: OperationRule,
    late: datetime,
    *,
    risk: Risk,
) -> str:
    """Why these exact approvals are not enough by `rule`, or ran out before `late`; empty when they are.

    Raises: TrustError.
    """
    policy = keyring.policy
    needed, roles = max(1, rule.approvals), {*rule.approval_roles, *rule.escalation_roles}
    askers = {_person(policy, name) for name in asked.askers}
    approved: set[str] = set()
    decisions: set[str] = set()
    for text in approvals:
        approval, signer = keyring.open_approval(text.encode())
        name = approval.person
        if problem := _approval_problem(asked, approval, late):
            return f"the approval of {name} {problem}"
        if approval.by and (problem := delegated_problem(policy, signer, name, risk)):
            return problem
        if not roles.intersection(policy.principals[name].roles):
            return f"{name} has none of the roles that may approve"
        person = _person(policy, name)
        if person in askers:
            return f"{name} asked for it and cannot approve it"
        approved.add(person)
        decisions.add(approval.decision)
    if len(decisions) > 1:
        return "the approvals are for different decisions"
    if len(approved) < needed:
        return f"{len(approved)} of {needed} persons have approved it"
    return ""


def _approval_problem(asked: Asked, approval: Approval, late: datetime) -> str:
    if approval.verdict != "approve":
        return "is a rejection"
    if (approval.site, approval.command, approval.intent) != (asked.site, asked.command, asked.intent):
        return "is for another command or other words"
    return "has run out" if approval.expires_at < late else ""


def _person(policy: Policy, name: str) -> str:
    principal = policy.principals.get(name)
    return principal.person or name if principal else name
