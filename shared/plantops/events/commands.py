"""The life of a command, from intent to outcome. Every event here is signed by who may say it."""

from __future__ import annotations

from datetime import datetime
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
)
from plantops.events.command_parts import (
    Approval,
    Decision,
    Intent,
    Observation,
    ObservedInput,
    Permit,
    StepResult,
    Write,
)


class CommandRequested(Event, frozen=True, tag="command.requested"):
    """The door took an intent. `evidence` is the exact text received (an envelope when `signer` is set)."""

    site: SiteName
    command: CommandId
    intent: Intent
    digest: Digest
    login: PrincipalName
    signer: str
    evidence: str
    received_at: datetime
    observation: Observation | None = None


class ApprovalReceived(Event, frozen=True, tag="approval.received"):
    """The door took a person's approval or rejection, verified its signature and observed the plant anew."""

    site: SiteName
    command: CommandId
    approval: Approval
    login: PrincipalName
    signer: str
    evidence: str
    received_at: datetime
    observation: Observation | None = None


class CommandDenied(Event, frozen=True, tag="command.denied"):
    """The gate said no; final. `reason` is the first failed finding, for people."""

    site: SiteName
    command: CommandId
    reason: str
    decision: Decision | None = None


class SimulationOrdered(Event, frozen=True, tag="command.simulation_ordered"):
    """The executor shall dry-run `permit`: read the before-values and try the encoding; write nothing."""

    site: SiteName
    command: CommandId
    permit: Permit
    decision: Decision


class DryRunDone(Event, frozen=True, tag="command.dry_run"):
    """An executor's answer to an ordered simulation.

    `simulated` is what an external simulator or delegate said would happen, by its own names.
    """

    site: SiteName
    command: CommandId
    ok: bool
    before: tuple[ObservedInput, ...] = ()
    encoded: tuple[str, ...] = ()
    observation: Observation | None = None
    problem: str = ""
    simulated: dict[str, Scalar] = {}


class CommandSimulated(Event, frozen=True, tag="command.simulated"):
    """The permissives were judged on the projected state. `next` says what it takes to go on.

    `result` is the digest of (before, projected, encoded, simulated, decision); a confirmation is bound to
    it. `simulated` is what an external simulator said, by its own names.
    """

    site: SiteName
    command: CommandId
    before: tuple[ObservedInput, ...]
    projected: dict[str, Scalar]
    decision: Decision
    result: Digest
    next: Literal["confirm", "approve", "nothing"]
    expires_at: datetime
    simulated: dict[str, Scalar] = {}


class ApprovalRequested(Event, frozen=True, tag="command.approval_requested"):
    """`needed` persons of `roles`, other than the requester, must sign `decision` before `expires_at`.

    From `escalates_at` on, when nobody has ended the waiting, others may be asked too (`ApprovalEscalated`).
    """

    site: SiteName
    command: CommandId
    intent: Digest
    decision: Digest
    needed: int
    roles: tuple[str, ...]
    expires_at: datetime
    asset: AssetName
    operation: OperationName
    arguments: dict[str, Scalar]
    requester: PrincipalName
    escalates_at: datetime | None = None


class ApprovalAccepted(Event, frozen=True, tag="command.approval_accepted"):
    """One approval counted; `given` of `needed` persons so far. `evidence` is the exact signed text."""

    site: SiteName
    command: CommandId
    person: PrincipalName
    given: int
    needed: int
    evidence: str = ""


class ApprovalRefused(Event, frozen=True, tag="command.approval_refused"):
    """An approval did not count (own request, wrong role, expired, repeated, other digest)."""

    site: SiteName
    command: CommandId
    person: PrincipalName
    reason: str


class CommandPermitted(Event, frozen=True, tag="command.permitted"):
    """The gate allows execution of a command in the normal direction; `confirms` is what was simulated."""

    site: SiteName
    command: CommandId
    permit: Permit
    decision: Decision
    confirms: CommandId = CommandId("")


class SafePermitted(Event, frozen=True, tag="command.safe_permitted"):
    """The gate allows a safe-direction command; it has a lane of its own and outruns all others."""

    site: SiteName
    command: CommandId
    permit: Permit
    decision: Decision


class GenerationRaised(Event, frozen=True, tag="command.generation_raised"):
    """A safe-direction command raised the asset's generation: permits of lower ones are void."""

    site: SiteName
    command: CommandId
    asset: AssetName
    generation: int


class CommandCancelled(Event, frozen=True, tag="command.cancelled"):
    """The gate ended an open command (`by` is the command that overtook it, or empty)."""

    site: SiteName
    command: CommandId
    reason: str
    by: CommandId = CommandId("")


class CommandExpired(Event, frozen=True, tag="command.expired"):
    """Nobody simulated, confirmed, approved or executed it in time; final."""

    site: SiteName
    command: CommandId
    waiting_for: str


class CommandClaimed(Event, frozen=True, tag="command.claimed"):
    """`executor` took the command; the first claim on the command wins, for all executors."""

    site: SiteName
    command: CommandId
    executor: str
    epoch: int
    decision: Digest


class CommandExecuted(Event, frozen=True, tag="command.executed"):
    """All writes were made and verified as the operation demands; final.

    `undo` are the writes that restore the before-values, empty where the operation has none. `outputs` is
    what a delegated operation returned. `window_ms` is the time between the last judged read and the first
    write: what no gate can see.
    """

    site: SiteName
    command: CommandId
    steps: tuple[StepResult, ...]
    undo: tuple[Write, ...]
    window_ms: float
    decision: Decision
    outputs: dict[str, Scalar] = {}


class CommandFailed(Event, frozen=True, tag="command.failed"):
    """The executor did not do it, or not all of it; final. `steps` hold what was done.

    `written` is false exactly when it is certain that nothing reached the device. `compensation` are the
    writes that took the done steps back, `compensated` whether each of them is proved.
    """

    site: SiteName
    command: CommandId
    reason: str
    written: bool
    steps: tuple[StepResult, ...] = ()
    undo: tuple[Write, ...] = ()
    decision: Decision | None = None
    compensation: tuple[StepResult, ...] = ()
    compensated: bool = False


class OutcomeUnknown(Event, frozen=True, tag="command.outcome_unknown"):
    """The executor died or lost the device between claim and answer: never retried, a person must look."""

    site: SiteName
    command: CommandId
    reason: str
    steps: tuple[StepResult, ...] = ()


FINAL: tuple[type[Event], ...] = (
    CommandDenied,
    CommandCancelled,
    CommandExpired,
    CommandExecuted,
    CommandFailed,
    OutcomeUnknown,
)
