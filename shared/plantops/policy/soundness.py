"""Whether a policy makes sense in itself: what cannot be meant is refused before it is in force. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

from plantops.events.base import is_token
from plantops.ledger.keys import VerifyKey
from plantops.policy.document import Compare, Condition, Either, Every, Negate, OperationRule, Policy
from plantops.policy.rights import PROCESS_ROLES, is_pattern
from plantops.runtime.errors import SettingsError

_MAX_DEPTH = 32
# Longer spans cannot be meant, and times near the end of the calendar cannot be added up.
_MAX_SECONDS = 366 * 86_400.0


def problems(policy: Policy) -> list[str]:
    """Everything that is wrong, each as the end of a sentence that begins with the policy's name."""
    return [
        *_frame(policy),
        *_roles(policy),
        *_principals(policy),
        *_repeated(policy),
        *_operations(policy),
        *_permissives(policy),
    ]


def _frame(policy: Policy) -> Iterator[str]:
    if not policy.id:
        yield "has no id: give it one"
    if not is_token(policy.audience):
        yield f"has the audience {policy.audience!r}: give the name of one site"
    if policy.revision < 1:
        yield "counts revisions from 1: give a positive revision"
    if policy.not_before.tzinfo is None or policy.expires.tzinfo is None:
        yield "gives times without a zone: write them in UTC, with Z"
    elif policy.not_before >= policy.expires:
        yield "expires before it begins: check not_before and expires"
    if not 0 < policy.max_age_seconds < math.inf:
        yield f"has max_age_seconds {policy.max_age_seconds}: give a positive number"
    if not 0 <= policy.clock_skew_seconds <= _MAX_SECONDS:
        yield f"has clock_skew_seconds {policy.clock_skew_seconds}: give 0 or more, at most a year"


def _roles(policy: Policy) -> Iterator[str]:
    for name, role in policy.roles.items():
        for pattern in role.operations:
            if not is_pattern(pattern):
                yield f"gives role {name!r} the pattern {pattern!r}: write asset.operation, either may be *"


def _principals(policy: Policy) -> Iterator[str]:
    approving = {role for rule in policy.operations.values() for role in rule.approval_roles}
    for name, principal in policy.principals.items():
        if not is_token(name):
            yield f"has the principal {name!r}: use letters, digits, '-' and '_'"
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


def _held(policy: Policy, name: str, approving: set[str]) -> Iterator[str]:
    principal = policy.principals[name]
    for role in principal.roles:
        if role not in policy.roles and role not in PROCESS_ROLES:
            yield f"gives {name!r} the role {role!r}, which is not defined"
        if role in PROCESS_ROLES and principal.kind != "process":
            yield f"gives {name!r} the role {role!r}, which only a process may have"
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
        if not is_pattern(pattern) or len(parts) != 2 or parts == ["*", "*"]:
            yield f"has the operation {pattern!r}: write asset.operation, asset.* or *.operation"
        if rule.limits and parts[-1] == "*":
            yield f"limits arguments in {pattern!r}: name the operation that has them"
        yield from (f"in operation {pattern!r} {problem}" for problem in _rule(policy, rule))


def _rule(policy: Policy, rule: OperationRule) -> Iterator[str]:
    if rule.approvals < 0:
        yield f"asks for {rule.approvals} approvals: give 1 or more"
    for role in rule.approval_roles:
        if role not in policy.roles:
            yield f"lets the role {role!r} approve, which is not defined"
    for key in ("approval_seconds", "confirm_seconds", "execute_seconds"):
        if not 0 < getattr(rule, key) <= _MAX_SECONDS:
            yield f"has {key} {getattr(rule, key)}: give a positive number, at most a year"
    for name, limit in rule.limits.items():
        bounds = (limit.low, limit.high, limit.max_change)
        if any(bound is not None and not math.isfinite(bound) for bound in bounds):
            yield f"has a bound of {name!r} that is not finite"
        if limit.low is not None and limit.high is not None and limit.low > limit.high:
            yield f"has low above high for {name!r}"
        if limit.max_change is not None and limit.max_change < 0:
            yield f"has a negative max_change for {name!r}"


def _permissives(policy: Policy) -> Iterator[str]:
    counts = Counter(permissive.id for permissive in policy.permissives)
    for name, count in counts.items():
        if not name or count > 1:
            yield f"has {count} permissives with the id {name!r}: give each its own"
    for permissive in policy.permissives:
        label = f"in permissive {permissive.id!r}"
        if not permissive.applies:
            yield f"{label} applies to nothing: name operations, or *"
        for pattern in permissive.applies:
            if not is_pattern(pattern):
                yield f"{label} applies to {pattern!r}: write asset.operation, either may be *"
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
