"""Whether persons themselves stand behind the bypasses that a permit counts with. Pure.

Without it, who steals the gate's key could let any permissive of a bypass class not count.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta

from plantops.events.circumstances import Bypass
from plantops.events.command_parts import RISKS, Grant, Intent, Permit, command_id
from plantops.policy.acts import ACTS, BYPASS
from plantops.policy.approved import Asked, approvals_problem
from plantops.policy.keyring import Keyring
from plantops.policy.needs import rule_for
from plantops.runtime.errors import TrustError


def grants_problem(permit: Permit, keyring: Keyring) -> str:
    """Why one of the permit's bypasses is none that persons asked for and approved; empty when all are.

    Held against the policy of `keyring`: who has left since, or a rule that asks for more approvers now, ends
    what a bypass is worth. Its class and its time are asked elsewhere (`circumstantial`).
    """
    grants = {grant.bypass: grant for grant in permit.grants}
    for bypass in permit.bypasses:
        if problem := _problem(permit, bypass, grants.get(bypass.bypass), keyring):
            return f"the bypass {bypass.bypass} of {bypass.permissive} does not count: {problem}"
    return ""


def _problem(permit: Permit, bypass: Bypass, grant: Grant | None, keyring: Keyring) -> str:
    if grant is None or not grant.intent:
        highest = keyring.policy.unsigned_risk
        is_enough = highest and RISKS.index(ACTS[BYPASS].risk) <= RISKS.index(highest)
        return "" if is_enough else "nobody's signature stands behind it"
    try:
        intent, _signer = keyring.open_intent(grant.intent.encode())
        if problem := _intent_problem(permit, bypass, intent, keyring):
            return problem
        digest = hashlib.sha256(grant.intent.encode()).hexdigest()
        asked = Asked(permit.site, bypass.bypass, digest, (intent.actor, *intent.on_behalf_of))
        rule = rule_for(keyring.policy, bypass.asset, BYPASS)
        return approvals_problem(asked, grant.approvals, keyring, rule, bypass.since, risk=ACTS[BYPASS].risk)
    except TrustError as error:
        return f"what stands behind it is not believed: {error}"


def _intent_problem(permit: Permit, bypass: Bypass, intent: Intent, keyring: Keyring) -> str:
    stated = (intent.site, intent.asset, intent.operation, intent.actor, intent.mode)
    if stated != (permit.site, bypass.asset, BYPASS, bypass.owner, "execute"):
        return "the signed intent asks for something else, or in another name"
    if command_id(intent.actor, intent.key) != bypass.bypass:
        return "the signed intent is another command"
    seconds = intent.arguments.get("seconds")
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not is_number or intent.arguments.get("permissive") != bypass.permissive:
        return "the signed intent names another permissive"
    assert isinstance(seconds, int | float)
    if (bypass.expires_at - bypass.since).total_seconds() > seconds:
        return f"it was asked for {seconds:g} s only"
    skew = timedelta(seconds=keyring.policy.clock_skew_seconds)
    if intent.issued_at is None or intent.expires_at is None:
        return "the signed intent gives no times"
    if not intent.issued_at - skew <= bypass.since <= intent.expires_at:
        return "it was not granted while the signed intent stood"
    kind = keyring.policy.bypass_classes.get(bypass.bypass_class)
    roles = keyring.policy.principals[intent.actor].roles
    if kind is None or not set(kind.roles).intersection(roles):
        return f"{intent.actor} has no role that may bypass it"
    return ""
