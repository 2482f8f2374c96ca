"""Whether limits, bypass classes, vectors and revocations of a policy make sense in themselves. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from plantops.events.base import is_token
from plantops.ledger.keys import VerifyKey
from plantops.policy.acts import ACTS, is_act
from plantops.policy.document import LIMIT_WINDOW, Limit, Policy, Vector
from plantops.policy.rights import is_pattern
from plantops.runtime.errors import SettingsError

# Longer spans cannot be meant, and times near the end of the calendar cannot be added up.
MAX_SECONDS: Final = 366 * 86_400.0
_MAX_QUALITY: Final = 255


def governance_problems(policy: Policy) -> Iterator[str]:
    """Everything that is wrong, each as the end of a sentence that begins with the policy's name."""
    yield from _limits(policy)
    yield from _bypass_classes(policy)
    yield from _vectors(policy)
    yield from _revoked(policy)


def pattern_problem(pattern: str) -> str:
    """What is wrong with a pattern that covers operations or acts; empty when nothing is."""
    if not is_pattern(pattern):
        return f"{pattern!r}: write asset.operation, either may be *"
    operation = pattern.rpartition(".")[2]
    if is_act(operation) and operation not in ACTS:
        return f"{pattern!r}, which is no act: there are {', '.join(ACTS)}"
    return ""


def repeated(names: Iterable[str], what: str) -> Iterator[str]:
    """Names that are empty or stand twice."""
    for name, count in Counter(names).items():
        if not name or count > 1:
            yield f"has {count} {what} with the id {name!r}: give each its own"


def _limits(policy: Policy) -> Iterator[str]:
    yield from repeated((limit.id for limit in policy.limits), "limits")
    for limit in policy.limits:
        yield from (f"in limit {limit.id!r} {problem}" for problem in _limit(limit))


def _limit(limit: Limit) -> Iterator[str]:
    if not limit.applies:
        yield "applies to nothing: name operations, or *"
    for pattern in limit.applies:
        if problem := pattern_problem(pattern):
            yield f"applies to {problem}"
    if not 0 < limit.window_seconds <= LIMIT_WINDOW.total_seconds():
        yield f"has window_seconds {limit.window_seconds}: give a positive number, at most 31 days"
    if limit.calls is None and limit.concurrent is None and not limit.drift:
        yield "bounds nothing: give calls, concurrent or drift"
    for name, bound in (("calls", limit.calls), ("concurrent", limit.concurrent)):
        if bound is not None and bound < 0:
            yield f"has {name} {bound}: give 0 or more"
    for argument, most in limit.drift.items():
        if not 0 <= most < math.inf:
            yield f"has the drift {most} of {argument!r}: give 0 or more"


def _bypass_classes(policy: Policy) -> Iterator[str]:
    known = {permissive.id for permissive in policy.permissives}
    for name, kind in policy.bypass_classes.items():
        label = f"in bypass class {name!r}"
        if not name:
            yield "has a bypass class without a name: give it one"
        if not kind.permissives or not kind.roles:
            yield f"{label} names no permissives or no roles: give both"
        for permissive in kind.permissives:
            if permissive not in known:
                yield f"{label} names the permissive {permissive!r}, which is not defined"
        for role in kind.roles:
            if role not in policy.roles:
                yield f"{label} names the role {role!r}, which is not defined"
        if not 0 < kind.max_seconds <= MAX_SECONDS:
            yield f"{label} has max_seconds {kind.max_seconds}: give a positive number, at most a year"


def _vectors(policy: Policy) -> Iterator[str]:
    yield from repeated((vector.id for vector in policy.vectors), "vectors")
    for vector in policy.vectors:
        yield from (f"in vector {vector.id!r} {problem}" for problem in _vector(vector))


def _vector(vector: Vector) -> Iterator[str]:
    if vector.expect == "deny" and not vector.rule:
        yield "expects a denial by no rule: name the first finding that must not hold"
    if vector.expect == "allow" and vector.rule:
        yield f"expects to be allowed and names the rule {vector.rule!r}: remove one of them"
    for name in (vector.asset, vector.operation, vector.actor, *vector.on_behalf_of):
        if not is_token(name):
            yield f"names {name!r}: use letters, digits, '-' and '_'"
    for name, seen in vector.inputs.items():
        parts = name.split(".")
        if len(parts) != 2 or not all(map(is_token, parts)):
            yield f"sees {name!r}: write asset.property"
        if not 0 <= seen.quality <= _MAX_QUALITY:
            yield f"sees {name!r} with the quality {seen.quality}: give 0 to {_MAX_QUALITY}"
        if seen.age_seconds is not None and not 0 <= seen.age_seconds < math.inf:
            yield f"sees {name!r} at the age {seen.age_seconds}: give 0 or more seconds, or null"


def _revoked(policy: Policy) -> Iterator[str]:
    for key, count in Counter(each.key for each in policy.revoked).items():
        if count > 1:
            yield f"revokes the key {key!r} {count} times: once is enough"
    holders = {key: name for name, each in policy.principals.items() for key in each.keys}
    for each in policy.revoked:
        try:
            VerifyKey.from_base64(each.key)
        except SettingsError:
            yield f"revokes {each.key!r}, which is no Ed25519 public key"
        if each.key in holders:
            yield f"revokes the key {each.key!r} and lists it for {holders[each.key]!r}: remove it there"
        if each.since.tzinfo is None:
            yield f"revokes the key {each.key!r} at a time without a zone: write it in UTC, with Z"
        if each.audit_size < 0:
            yield f"revokes the key {each.key!r} from {each.audit_size} audit records on: give 0 or more"
