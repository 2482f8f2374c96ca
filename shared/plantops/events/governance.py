"""Acts on commands and on their rules: lock-out, bypass, cancel, reconcile, and what the policy became.

Each follows from an intent whose operation is an act (`policy.acts`); `command` is that intent's identity
unless it says otherwise. All of them stand in COMMANDS beside the commands that they touch.
"""

from __future__ import annotations

from typing import Literal

from plantops.events.base import (
    AssetName,
    CommandId,
    Digest,
    Event,
    OperationName,
    PrincipalName,
    Scalar,
    SiteName,
    SourceName,
    TagName,
)
from plantops.events.circumstances import Bypass, LockOut
from plantops.events.command_parts import Decision, ObservedInput, StepResult
from plantops.events.commands import FINAL


class ActDone(Event, frozen=True, tag="command.act_done"):
    """The gate did what an act asked; final for the act. `decision` is why it was allowed."""

    site: SiteName
    command: CommandId
    act: str
    text: str
    decision: Decision


class LockSet(Event, frozen=True, tag="command.lock_set"):
    """A person locked an asset out."""

    site: SiteName
    command: CommandId
    lock: LockOut


class LockLiftAsked(Event, frozen=True, tag="command.lock_lift_asked"):
    """Somebody other than the owner asked to lift a lock: one more such person is needed."""

    site: SiteName
    command: CommandId
    lock: CommandId
    person: PrincipalName


class LockLifted(Event, frozen=True, tag="command.lock_lifted"):
    """A lock is gone, taken off by its owner or by two others."""

    site: SiteName
    command: CommandId
    lock: CommandId
    asset: AssetName
    persons: tuple[PrincipalName, ...]


class BypassGranted(Event, frozen=True, tag="command.bypass_granted"):
    """A permissive does not count on one asset until the bypass ends."""

    site: SiteName
    command: CommandId
    bypass: Bypass


class BypassEnded(Event, frozen=True, tag="command.bypass_ended"):
    """A bypass is over: its time ran out, a person ended it, or the policy no longer allows it.

    `command` is the act that ended it, or the bypass itself where nobody asked.
    """

    site: SiteName
    command: CommandId
    bypass: CommandId
    reason: str


class ApprovalWithdrawn(Event, frozen=True, tag="command.approval_withdrawn"):
    """What was approved so far counts no more: policy, plant or asset are not what the approvers saw.

    `command.cancelled` follows at once.
    """

    site: SiteName
    command: CommandId
    reason: str
    approvers: tuple[PrincipalName, ...]


class ApprovalEscalated(Event, frozen=True, tag="command.approval_escalated"):
    """Nobody has answered for too long; `roles` may approve from now on, beside those asked first."""

    site: SiteName
    command: CommandId
    roles: tuple[str, ...]


class CommandProgressed(Event, frozen=True, tag="command.progressed"):
    """The executor finished step `step` of `steps` (from 1) of a claimed command."""

    site: SiteName
    command: CommandId
    step: int
    steps: int
    result: StepResult | None = None
    text: str = ""


class ReconcileOrdered(Event, frozen=True, tag="command.reconcile_ordered"):
    """The executor of `source` shall read what `target`, whose outcome is unknown, would have written."""

    site: SiteName
    command: CommandId
    target: CommandId
    source: SourceName
    tags: tuple[TagName, ...]
    decision: Decision


class CommandReconciled(Event, frozen=True, tag="command.reconciled"):
    """What the device says about a command whose outcome was unknown; closes it.

    `command` is the one that was unknown, `by` the act that asked. `conclusion`: `written` when each
    written tag reads as it was to be written, `not_written` when each reads as before, else `other`.
    """

    site: SiteName
    command: CommandId
    by: CommandId
    found: tuple[ObservedInput, ...]
    conclusion: Literal["written", "not_written", "other"]
    text: str = ""


class FallbackOrdered(Event, frozen=True, tag="command.fallback_ordered"):
    """A command ended half-way, and the policy names what the asset falls back to.

    `command` is a new command in the safe direction, in the name of who asked for `cause`; its permit,
    or its denial, follows at once.
    """

    site: SiteName
    command: CommandId
    cause: CommandId
    asset: AssetName
    operation: OperationName
    arguments: dict[str, Scalar]
    actor: PrincipalName
    on_behalf_of: tuple[PrincipalName, ...] = ()


class PolicyActivated(Event, frozen=True, tag="command.policy_activated"):
    """The gate goes by this policy from here on. `command` is the first 24 characters of its digest."""

    site: SiteName
    command: CommandId
    policy_id: str
    revision: int
    digest: Digest
    previous: Digest
    moc: str = ""


class PolicyRefused(Event, frozen=True, tag="command.policy_refused"):
    """A policy or trust root on the stream does not hold, and the one in force goes on.

    `command` is the first 24 characters of the digest of what was offered, `sequence` its place on POLICY.
    """

    site: SiteName
    command: CommandId
    reason: str
    sequence: int
    digest: Digest = Digest("")
    revision: int = 0


class RootRotated(Event, frozen=True, tag="command.root_rotated"):
    """The gate trusts this root from here on; signed by the old root's threshold and by its own."""

    site: SiteName
    command: CommandId
    root_version: int
    digest: Digest


class ReignBegan(Event, frozen=True, tag="command.reign_began"):
    """A run of the gate took over the work; what an older one still wants to store is refused from here on.

    `run` names it among all runs of `writer`, on whose one subject of this kind the broker sees who is the
    youngest.
    """

    site: SiteName
    writer: PrincipalName
    run: str


GOVERNANCE: tuple[type[Event], ...] = (
    ActDone,
    LockSet,
    LockLiftAsked,
    LockLifted,
    BypassGranted,
    BypassEnded,
    ApprovalWithdrawn,
    ApprovalEscalated,
    CommandProgressed,
    ReconcileOrdered,
    CommandReconciled,
    FallbackOrdered,
    PolicyActivated,
    PolicyRefused,
    RootRotated,
)
"""All that say something of a command or of the policy; they stand in COMMANDS."""

ENDINGS: tuple[type[Event], ...] = (*FINAL, ActDone, CommandReconciled)
"""Every event after which a command is over, acts and reconciled commands among them."""
