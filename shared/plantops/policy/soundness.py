"""Whether a policy makes sense in itself: what cannot be meant is refused before it is in force. Pure."""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Iterator
from typing import Final

from plantops.events.base import is_token
from plantops.ledger.keys import VerifyKey
from plantops.policy.acts import FALLBACK, is_act
from plantops.policy.document import Compare, Condition, Either, Every, Negate, OperationRule, Policy
from plantops.policy.governance_soundness import MAX_SECONDS, governance_problems, pattern_problem, repeated
from plantops.policy.needs import rule_for
from plantops.policy.rights import GATEWAY_ROLE, PROCESS_ROLES
from plantops.runtime.errors import SettingsError

_MAX_DEPTH = 32
# A permit holds the exact words of each, and has to fit into one event.
MAX_APPROVALS: Final = 8
# Beyond 2^53 JSON readers and tables differ (RFC 8259, 6).
_MAX_REVISION = 2**53 - 1


def problems(policy: Policy) -> list[str]:
    """Everything that is wrong, each as the end of a sentence that begins with the policy's name."""
    return [
        *_frame(policy),
        *_roles(policy),
        *_principals(policy),
        *_repeated(policy),
        *_operations(policy),
        *_permissives(policy),
        *governance_problems(policy),
    ]


def _frame(policy: Policy) -> Iterator[str]:
    if not policy.id:
        yield "has no id: give it one"
    if not is_token(policy.audience):
        yield f"has the audience {policy.audience!r}: give the name of one site"
    if policy.revision < 1:
        yield "counts revisions from 1: give a positive revision"
    if policy.revision > _MAX_REVISION:
        yield f"has the revision {policy.revision}, which is beyond 2^53 - 1: count on from the last one"
    if policy.not_before.tzinfo is None or policy.expires.tzinfo is None:
        yield "gives times without a zone: write them in UTC, with Z"
    elif policy.not_before >= policy.expires:
        yield "expires before it begins: check not_before and expires"
    if not 0 < policy.max_age_seconds < math.inf:
        yield f"has max_age_seconds {policy.max_age_seconds}: give a positive number"
    if not 0 < policy.intent_seconds <= MAX_SECONDS:
        yield f"has intent_seconds {policy.intent_seconds}: give a positive number, at most a year"
    if not 0 <= policy.clock_skew_seconds <= MAX_SECONDS:
        yield f"has clock_skew_seconds {policy.clock_skew_seconds}: give 0 or more, at most a year"


def _roles(policy: Policy) -> Iterator[str]:
    for name, role in policy.roles.items():
        for pattern in role.operations:
            if problem := pattern_problem(pattern):
                yield f"gives role {name!r} the pattern {problem}"


def _principals(policy: Policy) -> Iterator[str]:
    approving = {
        role for rule in policy.operations.values() for role in (*rule.approval_roles, *rule.escalation_roles)
    }
    for name, principal in policy.principals.items():
        if not is_token(name):
            yield f"has the principal {name!r}: use letters, digits, '-' and '_'"
        if name == FALLBACK:
            yield f"has the principal {name!r}, a name that the gate keeps for itself: take another"
        if principal.kind == "person" and not principal.person:
            yield f"has the person {name!r} without `person`: say who it is"
        for text in principal.keys:
            try:
                VerifyKey.from_base64(text)
            except SettingsError:
                yield f"gives {name!r} the key {text!r}, which is no Ed25519 public key"
        if not all(principal.logins):
            yield f"gives {name!r} an empty login: remove it"
        yield from _held(policy, name, approving)
    yield from _alike(policy)


def _alike(policy: Policy) -> Iterator[str]:
    """One natural person under two spellings would count as two, and approve what he asked for himself."""
    spellings: dict[str, set[str]] = {}
    for principal in policy.principals.values():
        if principal.person:
            plain = " ".join(unicodedata.normalize("NFKC", principal.person).casefold().split())
            spellings.setdefault(plain, set()).add(principal.person)
    for found in spellings.values():
        if len(found) > 1:
            names = " and ".join(map(repr, sorted(found)))
            yield f"spells one person as {names}: write it alike"


def _held(policy: Policy, name: str, approving: set[str]) -> Iterator[str]:
    principal = policy.principals[name]
    for role in principal.roles:
        if role not in policy.roles and role not in PROCESS_ROLES and role != GATEWAY_ROLE:
            yield f"gives {name!r} the role {role!r}, which is not defined"
        if role in PROCESS_ROLES and principal.kind != "process":
            yield f"gives {name!r} the role {role!r}, which only a process may have"
        if role == GATEWAY_ROLE and principal.kind != "agent":
            yield f"gives {name!r} the role {role!r}, which only a program of kind agent may have"
        if role in approving and principal.kind != "person":
            yield f"lets {name!r} approve by role {role!r}: only persons approve"


def _repeated(policy: Policy) -> Iterator[str]:
    principals = policy.principals.values()
    for what in ("keys", "logins"):
        counts = Counter(text for principal in principals for text in getattr(principal, what))
        for text in (text for text, count in counts.items() if count > 1):
            holders = sorted(name for name, each in policy.principals.items() if text in getattr(each, what))
            yield f"gives {what[:-1]} {text!r} to {' and '.join(holders)}: each must have its own"


def _operations(policy: Policy) -> Iterator[str]:
    for pattern, rule in policy.operations.items():
        parts = pattern.split(".")
        if len(parts) != 2 or parts == ["*", "*"]:
            yield f"has the operation {pattern!r}: write asset.operation, asset.* or *.operation"
        elif problem := pattern_problem(pattern):
            yield f"has the operation {problem}"
        if rule.limits and parts[-1] == "*":
            yield f"limits arguments in {pattern!r}: name the operation that has them"
        yield from (f"in operation {pattern!r} {problem}" for problem in _rule(policy, rule))
        yield from (f"in operation {pattern!r} {problem}" for problem in _escalation(policy, rule))
        if len(parts) == 2:
            yield from (f"in operation {pattern!r} {problem}" for problem in _direction(policy, rule, *parts))


def _rule(policy: Policy, rule: OperationRule) -> Iterator[str]:
    if not 0 <= rule.approvals <= MAX_APPROVALS:
        yield f"asks for {rule.approvals} approvals: give 1 to {MAX_APPROVALS}"
    for role in rule.approval_roles:
        if role not in policy.roles:
            yield f"lets the role {role!r} approve, which is not defined"
    for key in ("approval_seconds", "confirm_seconds", "execute_seconds"):
        if not 0 < getattr(rule, key) <= MAX_SECONDS:
            yield f"has {key} {getattr(rule, key)}: give a positive number, at most a year"
    for name, limit in rule.limits.items():
        bounds = (limit.low, limit.high, limit.max_change)
        if any(bound is not None and not math.isfinite(bound) for bound in bounds):
            yield f"has a bound of {name!r} that is not finite"
        if limit.low is not None and limit.high is not None and limit.low > limit.high:
            yield f"has low above high for {name!r}"
        if limit.max_change is not None and limit.max_change < 0:
            yield f"has a negative max_change for {name!r}"


def _escalation(policy: Policy, rule: OperationRule) -> Iterator[str]:
    if rule.escalate_seconds is None and not rule.escalation_roles:
        return
    if rule.escalate_seconds is None or not rule.escalation_roles:
        yield "escalates without a time or without roles: give both, or neither"
    elif not 0 < rule.escalate_seconds < rule.approval_seconds:
        yield f"has escalate_seconds {rule.escalate_seconds}: give more than 0, less than approval_seconds"
    for role in rule.escalation_roles:
        if role not in policy.roles:
            yield f"escalates to the role {role!r}, which is not defined"


def _direction(policy: Policy, rule: OperationRule, asset: str, operation: str) -> Iterator[str]:
    """What only some directions may have: a fallback leads from a named normal operation to a safe one."""
    if rule.safe_direction and is_act(operation):
        yield "is in the safe direction: no act is"
    if not rule.fallback:
        return
    if operation == "*" or is_act(operation) or rule.safe_direction:
        yield "has a fallback: only one operation, by name, in the normal direction, has one"
    if not is_token(rule.fallback) or is_act(rule.fallback):
        yield f"falls back to {rule.fallback!r}: name an operation of the same asset"
    elif not rule_for(policy, asset, rule.fallback).safe_direction:
        # For `*.operation` only `*.fallback` is true of every asset.
        yield f"falls back to {rule.fallback!r}, which is not in the safe direction there"


def _permissives(policy: Policy) -> Iterator[str]:
    yield from repeated((permissive.id for permissive in policy.permissives), "permissives")
    for permissive in policy.permissives:
        label = f"in permissive {permissive.id!r}"
        if not permissive.applies:
            yield f"{label} applies to nothing: name operations, or *"
        for pattern in permissive.applies:
            if problem := pattern_problem(pattern):
                yield f"{label} applies to {problem}"
        yield from (f"{label} {problem}" for problem in _condition(permissive.require, 1))


def _condition(condition: Condition, depth: int) -> Iterator[str]:
    if depth > _MAX_DEPTH:
        yield f"nests deeper than {_MAX_DEPTH}: write it flatter"
        return
    match condition:
        case Every() | Either():
            if not condition.of:
                yield "joins nothing, which is never true: give conditions or remove it"
            for each in condition.of:
                yield from _condition(each, depth + 1)
        case Negate():
            yield from _condition(condition.of, depth + 1)
        case Compare():
            yield from _comparison(condition)


def _comparison(condition: Compare) -> Iterator[str]:
    parts = condition.property.split(".")
    if len(parts) != 2 or not all(map(is_token, parts)):
        yield f"compares {condition.property!r}: write asset.property"
    value, age = condition.value, condition.max_age_seconds
    if condition.op not in ("==", "!=") and isinstance(value, bool | str):
        yield f"orders {condition.property!r} against {value!r}: only numbers have an order"
    if isinstance(value, float) and not math.isfinite(value):
        yield f"compares {condition.property!r} with {value}, which is not finite"
    if age is not None and not 0 < age < math.inf:
        yield f"has max_age_seconds {age} for {condition.property!r}: give a positive number"
