"""Whether the persons themselves stand behind a permit, by their own signatures. Pure.

A permit is signed by the gate. Who steals the gate's key can sign permits, but no intent and no approval: so
an executor holds what it is to write against the words that persons have signed. The safe direction is not
asked: a stop that should not have been is the smaller harm.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Final

from plantops.events.base import encode_json
from plantops.events.command_parts import RISKS, Intent, Permit, Risk, command_id
from plantops.model.load import Plant
from plantops.policy.acts import UNDO
from plantops.policy.approved import Asked, approvals_problem
from plantops.policy.delegated import confirmation_problem, is_confirmed_first
from plantops.policy.document import OperationRule, Policy
from plantops.policy.grants import grants_problem
from plantops.policy.keyring import Keyring
from plantops.policy.needs import effective_risk, rule_for, undo_hindrance
from plantops.runtime.errors import TrustError

_NOBODY: Final = "nobody's signature stands behind the permit"


def evidence_problem(permit: Permit, keyring: Keyring, plant: Plant, now: datetime) -> str:
    """Why the permit's evidence does not carry it, for people; empty when it does.

    Risk and rule are those of the permit's operation, by the policy of `keyring` and by the model. `now` may
    be later than what was signed allows by as long as the rule lets an execution take, and by the clock skew.
    """
    if permit.safe_direction:
        return ""
    policy = keyring.policy
    rule = rule_for(policy, permit.asset, permit.operation)
    risk = effective_risk(rule, plant.operation(permit.asset, permit.operation))
    if permit.undoes and (problem := undo_hindrance(policy, plant, permit.asset, permit.operation)):
        return problem
    late = now - timedelta(seconds=rule.execute_seconds + policy.clock_skew_seconds)
    if problem := grants_problem(permit, keyring):
        return problem
    if not permit.evidence:
        highest = policy.unsigned_risk
        is_enough = highest and RISKS.index(risk) <= RISKS.index(highest)
        return "" if is_enough else f"{_NOBODY}, and risk {risk} needs one"
    try:
        intent, signer = keyring.open_intent(permit.evidence.encode())
        problem = (
            _intent_problem(permit, intent)
            or _time_problem(intent, late, policy)
            or _confirmation_problem(keyring, intent, signer, rule, risk)
        )
        if problem or risk != "critical":
            return problem
        asked = Asked(permit.site, permit.command, permit.intent, (permit.actor, *permit.on_behalf_of))
        return approvals_problem(asked, permit.approvals, keyring, rule, late, risk=risk)
    except TrustError as error:
        return f"what stands behind the permit is not believed: {error}"


def _intent_problem(permit: Permit, intent: Intent) -> str:
    if hashlib.sha256(permit.evidence.encode()).hexdigest() != permit.intent:
        return "the permit names another intent than the one that stands behind it"
    if (intent.site, intent.actor, intent.asset) != (permit.site, permit.actor, permit.asset):
        return "the signed intent is for another site, actor or asset"
    if intent.on_behalf_of != permit.on_behalf_of or intent.mode != "execute":
        return "the signed intent names others behind it, or asks for a simulation only"
    if command_id(intent.actor, intent.key) != permit.command:
        return "the signed intent is another command"
    if permit.undoes:
        is_meant = intent.operation == UNDO and intent.arguments.get("command") == permit.undoes
        return "" if is_meant else "the signed intent does not ask to undo this command, by its identity"
    stated = (intent.operation, encode_json(intent.arguments))
    if stated != (permit.operation, encode_json(permit.arguments)):
        return "the signed intent asks for another operation or other arguments"
    return ""


def _time_problem(intent: Intent, late: datetime, policy: Policy) -> str:
    if intent.issued_at is None or intent.expires_at is None or intent.expires_at < late:
        return "the signed intent has run out"
    is_short = intent.expires_at - intent.issued_at <= timedelta(seconds=policy.intent_seconds)
    return "" if is_short else "the signed intent lives longer than the policy allows"


def _confirmation_problem(
    keyring: Keyring, intent: Intent, signer: str, rule: OperationRule, risk: Risk
) -> str:
    """What has to be confirmed is executed by who confirms a simulation only."""
    policy, derived = keyring.policy, intent.derived_from
    if risk == "critical" or not is_confirmed_first(policy, rule, risk, actor=signer, derived_from=derived):
        return ""
    if not intent.confirms or not intent.simulation:
        return f"risk {risk} is executed by confirming a simulation, which the signed intent does not"
    return confirmation_problem(policy, signer, intent.on_behalf_of, risk)
