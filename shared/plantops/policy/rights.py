"""Who may ask what, by the words of one policy. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from plantops.events.base import is_token
from plantops.policy.acts import is_act
from plantops.policy.document import Policy

PROCESS_ROLES: Final = frozenset({"gate", "executor", "notary", "timer", "witness", "agent"})
"""Roles that let a process say events (`policy.speakers`); they need not stand in the policy's `roles`."""

GATEWAY_ROLE: Final = "gateway"
"""The role of a program of kind agent that tells who asks it over HTTP, and hands in others' signed words."""


def patterns_for(asset: str, operation: str) -> frozenset[str]:
    """All patterns that cover `asset.operation`: with either part, or both, as `*`; and `*` alone.

    An act is covered by its own name only, on one asset or on all.
    """
    if is_act(operation):
        return frozenset((f"{asset}.{operation}", f"*.{operation}"))
    return frozenset((f"{asset}.{operation}", f"{asset}.*", f"*.{operation}", "*.*", "*"))


def is_pattern(text: str) -> bool:
    """Whether `text` can cover anything: `asset.operation`, either part may be `*`; or `*` alone."""
    parts = text.split(".")
    return text == "*" or (len(parts) == 2 and all(part == "*" or is_token(part) for part in parts))


def covers(patterns: Iterable[str], matching: frozenset[str]) -> bool:
    """Whether one of `patterns` is among those that `patterns_for` gave."""
    return not matching.isdisjoint(patterns)


def may(policy: Policy, name: str, matching: frozenset[str]) -> bool:
    """Whether one of the principal's roles covers the operation. False for who is no principal."""
    principal = policy.principals.get(name)
    if principal is None:
        return False
    for role_name in principal.roles:
        role = policy.roles.get(role_name)
        if role is not None and covers(role.operations, matching):
            return True
    return False


def person_of(policy: Policy, actor: str, on_behalf_of: Iterable[str] = ()) -> str:
    """The natural person at the end of the chain; empty when the chain ends in nobody."""
    last = actor
    for last in on_behalf_of:  # noqa: B007 - the last one counts
        pass
    principal = policy.principals.get(last)
    return "" if principal is None else principal.person


def persons_of(policy: Policy, actor: str, on_behalf_of: Iterable[str] = ()) -> frozenset[str]:
    """Every natural person behind anybody in the chain: none of them may approve what it asks.

    An agent that names a stranger as its principal does not free its own person to approve.
    """
    principals = (policy.principals.get(name) for name in (actor, *on_behalf_of))
    return frozenset(each.person for each in principals if each is not None and each.person)
