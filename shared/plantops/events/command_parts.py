"""What the events of a command's life are made of: intents, judgements, permits and steps."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Literal, TypeAlias

from plantops.events.base import (
    AssetName,
    CommandId,
    Digest,
    OperationName,
    PrincipalName,
    Record,
    Scalar,
    SiteName,
    SourceName,
    TagName,
)
from plantops.events.circumstances import NO_CIRCUMSTANCES, Bypass, Circumstances

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
    simulation this intent confirms, `simulation` the digest of the result that was seen (`CommandSimulated`).
    `derived_from` is what it rests on beside the words of the person who asked, as `channel:name`, with
    `@STREAM:sequence` where that stands in the log: an agent that has read names it here.
    Times are UTC. Missing fields are filled by the door for unsigned ones only; a signed intent states all
    but `derived_from`.
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
    simulation: Digest = Digest("")
    reason: str = ""
    derived_from: tuple[str, ...] = ()


class Approval(Record, frozen=True):
    """A person's word on one command: bound to the intent's bytes, the decision he saw, and an expiry.

    `by` is the gateway that signed it in his name ("": he signed it himself); the policy says what that is
    good for (`Policy.delegated`).
    """

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
    by: PrincipalName = PrincipalName("")


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


class Decision(Record, frozen=True, omit_defaults=True):
    """A judgement that can be repeated: the same inputs give the same bytes.

    `findings` are all rules applied, in order; `allowed` holds exactly when each is `true`. Circumstances
    that say nothing are left out of the bytes, as they were before there were any.
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
    circumstances: Circumstances = NO_CIRCUMSTANCES


class Write(Record, frozen=True):
    """One value to write, in engineering units, and how it is proved."""

    tag: TagName
    value: Scalar
    verify: Literal["echo", "feedback", "none"] = "echo"
    feedback: TagName = TagName("")
    tolerance: float = 0.0
    settle_seconds: float = 0.0


class Invocation(Record, frozen=True):
    """An operation that the device carries out itself (AAS operation delegation), instead of writes.

    `path` is the operation's place at the delegate, below the source's address.
    """

    path: str
    arguments: dict[str, Scalar] = {}
    timeout_seconds: float = 30.0


class Grant(Record, frozen=True):
    """What persons signed behind a bypass: the exact intent of the act, and the exact approvals of it."""

    bypass: CommandId
    intent: str
    approvals: tuple[str, ...] = ()


class Permit(Record, frozen=True):
    """All that an executor may do for one command, and until when.

    `on_behalf_of` is the intent's chain: the executor judges the same persons as the gate. `bypasses` are
    those that the gate's judgement counted with. `undoes` is the command whose recorded undo these writes
    are, instead of the operation's own. Either `writes` or `invocation` says what to do. `compensates`:
    when a later step fails, the steps done are taken back. `evidence` is the exact signed intent (empty where
    the policy takes unsigned ones) and `approvals` the exact signed approvals: the executor believes the
    persons, not the gate (`policy.evidence`). `grants` are the same for the bypasses.
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
    bypasses: tuple[Bypass, ...] = ()
    undoes: CommandId = CommandId("")
    invocation: Invocation | None = None
    compensates: bool = False
    evidence: str = ""
    approvals: tuple[str, ...] = ()
    grants: tuple[Grant, ...] = ()


class StepResult(Record, frozen=True):
    """One write: what stood there before, what was written, what was read back."""

    write: Write
    before: Scalar | None
    before_quality: int
    written_at: datetime | None = None
    read_back: Scalar | None = None
    verified: bool = False
    problem: str = ""
