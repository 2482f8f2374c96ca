"""Approvals: what waits for a second person, and his word."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from plantops.events.base import Scalar
from plantops.gateway.shapes.words import Body, Reason, Token, Told


class ApprovalBody(Body, frozen=True):
    """A word on a command that waits, signed by the gateway for who sends it (class `delegated`)."""

    command: Token
    verdict: Literal["approve", "reject"]
    reason: Reason = ""


class WaitingApproval(Told, frozen=True):
    """What waits, and what a person signs himself: `intent` and `decision` are the digests to sign."""

    command: str
    handle: str
    asset: str
    operation: str
    arguments: dict[str, Scalar]
    requester: str
    needed: int
    given: int
    approved_by: tuple[str, ...]
    roles: tuple[str, ...]
    escalated_to: tuple[str, ...]
    expires_at: datetime
    intent: str
    decision: str
    links: dict[str, str]


class ApprovalList(Told, frozen=True):
    """The oldest first."""

    approvals: tuple[WaitingApproval, ...]
    total: int


class ApprovalTold(Told, frozen=True):
    """What the gate made of it. `taken`: it was stored, and the gate has not answered yet."""

    command: str
    handle: str
    status: Literal["counted", "rejected", "withdrawn", "taken"]
    given: int
    needed: int
    links: dict[str, str]
