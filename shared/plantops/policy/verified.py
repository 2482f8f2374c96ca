"""A policy that was believed, and whether its time has come. Pure; `policy.verify` makes it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeAlias

import msgspec

from plantops.events.base import Digest
from plantops.policy.document import Policy

Status: TypeAlias = Literal["in_force", "expired", "not_yet"]


class Verified(msgspec.Struct, frozen=True):
    """A policy whose signatures were checked, with the digest of its payload and the exact envelope."""

    policy: Policy
    digest: Digest
    envelope: bytes


def status(verified: Verified, now: datetime) -> Status:
    """Whether the policy is valid at `now`; an expired one serves the safe direction only."""
    if now < verified.policy.not_before:
        return "not_yet"
    return "in_force" if now < verified.policy.expires else "expired"
