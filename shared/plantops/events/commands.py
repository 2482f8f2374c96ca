"""The life of a command, from intent to outcome. Every event here is signed by who may say it."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Literal, TypeAlias

from plantops.events.base import (
    AssetName,
    CommandId,
    Digest,
    Event,
    OperationName,
    PrincipalName,
    Record,
    Scalar,
    SiteName,
    SourceName,
    TagName,
)

Risk: TypeAlias = Literal["low", "medium", "high", "critical"]
RISKS: tuple[Risk, ...] = ("low", "medium", "high", "critical")
Mode: TypeAlias = Literal["execute", "simulate"]
Truth: TypeAlias = Literal["true", "false", "unknown"]
Stage: TypeAlias = Literal["request", "simulation", "approval", "execution"]

INTENT_TYPE = "application/vnd.plantops.intent.v1+json"
APPROVAL_TYPE = "application/vnd.plantops.approval.v1+json"


def command_id(actor: str, key: str) -> CommandId:
    """The identity of a command: known before it is sent, and the same on a retry."""
    return CommandId(hashlib.sha256(f"{actor}\0{key}".encode()).hexdigest()[:24])


class Intent(Record, frozen=True):
    """What a person, an agent or a program asks for; the payload of a signed envelope, or plain JSON.

    `key` makes it idempotent: identity is the hash of actor and key. `confirms` is the command whose
    simulation this intent confirms. Times are UTC. Missing fields are filled by the door for unsigned
    ones only; a signed intent states all of them.
    """

    site: SiteName = SiteName("")
    asset: AssetName = AssetName("")
    operation: OperationName = OperationName("")
    arguments: dict[str, Scalar] = {}
    mode: Mode = "execute"
    actor: PrincipalName = PrincipalName("")
    on_behalf_of: tuple[PrincipalName, ...] = ()
    key: str = ""
    nonce: str = ""
    issued_at: datetime | None = None
    expires_at: datetime | None = None
    model: Digest = Digest("")
    confirms: CommandId = CommandId("")
    reason: str = ""


class Approval(Record, frozen=True):
    """A person's word on one command: bound to the intent's bytes, the decision he saw, and an expiry."""

    site: SiteName
    command: CommandId
    person: PrincipalName
    verdict: Literal["approve", "reject"]
    intent: Digest
    decision: Digest
    issued_at: datetime
    expires_at: datetime
    nonce: str
    reason: str = ""


class ObservedInput(Record, frozen=True):
    """One input of a judgement, with where it stands in the log.

    `age_seconds` is broker time of the question minus the last confirmation; None when never confirmed.
    `sequence` is the TAGS sequence of the frame that carried the value, whose signature the observer
    verified (0: read directly from the device). `quality` is the effective one: bad when stale.
    """

    tag: TagName
    value: Scalar | None
    quality: int
    age_seconds: float | None
    source_time: datetime | None = None
    sequence: int = 0
    note: str = ""


class Observation(Record, frozen=True):
    """All inputs that a judgement may need, read at one moment, `at`."""

    at: datetime
    inputs: tuple[ObservedInput, ...] = ()


class Finding(Record, frozen=True):
    """One rule applied: `true` lets pass, `false` and `unknown` deny. `text` is for people."""

    rule: str
    verdict: Truth
    text: str


class Decision(Record, frozen=True):
    """A judgement that can be repeated: the same inputs give the same bytes.

    `findings` are all rules applied, in order; `allowed` holds exactly when each is `true`.
    """

    command: CommandId
    stage: Stage
    now: datetime
    asset: AssetName
    operation: OperationName
    arguments: dict[str, Scalar]
    actor: PrincipalName
    person: PrincipalName
    risk: Risk
    safe_direction: bool
    allowed: bool
    findings: tuple[Finding, ...]
    inputs: tuple[ObservedInput, ...]
    policy: Digest
    model: Digest


class Write(Record, frozen=True):
    """One value to write, in engineering units, and how it is proved."""

    tag: TagName
    value: Scalar
    verify: Literal["echo", "feedback", "none"] = "echo"
    feedback: TagName = TagName("")
    tolerance: float = 0.0
    settle_seconds: float = 0.0


class Permit(Record, frozen=True):
    """All that an executor may do for one command, and until when.

    `on_behalf_of` is the intent's chain: the executor judges the same persons as the gate.
    """

    site: SiteName
    source: SourceName
    command: CommandId
    intent: Digest
    asset: AssetName
    operation: OperationName
    arguments: dict[str, Scalar]
    actor: PrincipalName
    generation: int
    writes: tuple[Write, ...]
    policy: Digest
    model: Digest
    decision: Digest
    not_after: datetime
    safe_direction: bool = False
    on_behalf_of: tuple[PrincipalName, ...] = ()


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
    """The executor's answer to an ordered simulation."""

    site: SiteName
    command: CommandId
    ok: bool
    before: tuple[ObservedInput, ...] = ()
    encoded: tuple[str, ...] = ()
    observation: Observation | None = None
    problem: str = ""


class CommandSimulated(Event, frozen=True, tag="command.simulated"):
    """The permissives were judged on the projected state. `next` says what it takes to go on.

    `result` is the digest of (before, projected, decision); a confirmation is bound to it.
    """

    site: SiteName
    command: CommandId
    before: tuple[ObservedInput, ...]
    projected: dict[str, Scalar]
    decision: Decision
    result: Digest
    next: Literal["confirm", "approve", "nothing"]
    expires_at: datetime


class ApprovalRequested(Event, frozen=True, tag="command.approval_requested"):
    """`needed` persons of `roles`, other than the requester, must sign `decision` before `expires_at`."""

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


class ApprovalAccepted(Event, frozen=True, tag="command.approval_accepted"):
    """One approval counted; `given` of `needed` persons so far."""

    site: SiteName
    command: CommandId
    person: PrincipalName
    given: int
    needed: int


class ApprovalRefused(Event, frozen=True, tag="command.approval_refused"):
    """An approval did not count (own request, wrong role, expired, repeated, other digest)."""

    site: SiteName
    command: CommandId
    person: PrincipalName
    reason: str


class CommandPermitted(Event, frozen=True, tag="command.permitted"):
    """The gate allows execution of a command in the normal direction."""

    site: SiteName
    command: CommandId
    permit: Permit
    decision: Decision


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
    """Nobody confirmed, approved or executed it in time; final."""

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


class StepResult(Record, frozen=True):
    """One write: what stood there before, what was written, what was read back."""

    write: Write
    before: Scalar | None
    before_quality: int
    written_at: datetime | None = None
    read_back: Scalar | None = None
    verified: bool = False
    problem: str = ""


class CommandExecuted(Event, frozen=True, tag="command.executed"):
    """All writes were made and verified as the operation demands; final.

    `undo` are the writes that restore the before-values, empty where the operation has none.
    `window_ms` is the time between the last judged read and the first write: what no gate can see.
    """

    site: SiteName
    command: CommandId
    steps: tuple[StepResult, ...]
    undo: tuple[Write, ...]
    window_ms: float
    decision: Decision


class CommandFailed(Event, frozen=True, tag="command.failed"):
    """The executor did not do it, or not all of it; final. `steps` hold what was done.

    `written` is false exactly when it is certain that nothing reached the device.
    """

    site: SiteName
    command: CommandId
    reason: str
    written: bool
    steps: tuple[StepResult, ...] = ()
    undo: tuple[Write, ...] = ()
    decision: Decision | None = None


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
