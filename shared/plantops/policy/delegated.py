"""What a program's word is worth where a person's is wanted. Pure.

A gateway tells who asked it over HTTP; nobody can check that later by a signature of the person. So what it
may confirm or approve in his name is a choice of the policy, and by default nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from plantops.events.command_parts import RISKS, Risk
from plantops.policy.document import OperationRule, Policy
from plantops.policy.rights import GATEWAY_ROLE


def is_gateway(policy: Policy, name: str) -> bool:
    """Whether the policy believes this principal when it says for whom it asks."""
    principal = policy.principals.get(name)
    return principal is not None and principal.kind == "agent" and GATEWAY_ROLE in principal.roles


def confirmation_problem(policy: Policy, actor: str, on_behalf_of: Sequence[str], risk: Risk) -> str:
    """Why a simulation is not confirmed by this chain, for people; empty when it may be."""
    principal = policy.principals.get(actor)
    if principal is not None and principal.kind == "person":
        return ""
    if not is_gateway(policy, actor):
        return f"{actor} may not confirm: a simulation is confirmed by no agent or program"
    if len(on_behalf_of) != 1 or not _is_person(policy, on_behalf_of[0]):
        return f"{actor} may confirm for one person only, who asked it himself"
    highest = policy.delegated.confirm_risk
    if _reaches(highest, risk):
        return ""
    return (
        f"{actor} may confirm for a person up to risk {highest or '(none)'}, this is {risk}: "
        "the person signs the confirmation himself"
    )


def approval_problem(policy: Policy, by: str, person: str, risk: Risk) -> str:
    """Why an approval that `by` signed in the name of `person` does not count; empty when it does."""
    if not is_gateway(policy, by) or not _is_person(policy, person):
        return f"{by} signed it for {person}, and may not"
    highest = policy.delegated.approve_risk
    if _reaches(highest, risk):
        return ""
    return (
        f"{by} may approve for a person up to risk {highest or '(none)'}, this is {risk}: "
        f"{person} signs the approval himself"
    )


def is_confirmed_first(
    policy: Policy, rule: OperationRule, risk: Risk, *, actor: str, derived_from: Sequence[str]
) -> bool:
    """Whether a normal operation below risk critical waits for the confirmation of a person.

    Beside high risk and the rule's own wish: whatever an agent proposes that rests on more than the words of
    the person who asked. What the plant says of itself is written by strangers.
    """
    if risk == "high" or rule.simulate:
        return True
    principal = policy.principals.get(actor)
    is_person = principal is not None and principal.kind == "person"
    return bool(derived_from) and not is_person


def _is_person(policy: Policy, name: str) -> bool:
    principal = policy.principals.get(name)
    return principal is not None and principal.kind == "person"


def _reaches(highest: Risk | Literal[""], risk: Risk) -> bool:
    return bool(highest) and RISKS.index(risk) <= RISKS.index(highest or "low")
