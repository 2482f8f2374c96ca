"""Questions and answers of the request/reply services; JSON, never stored.

Every service answers either its own struct or a `Problem` (`{"error": {…}}`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeVar

import msgspec

from plantops.events.base import (
    AssetName,
    CommandId,
    Digest,
    OperationName,
    PrincipalName,
    Record,
    Scalar,
    SourceName,
    TagName,
    encode_json,
)
from plantops.events.circumstances import Bypass, Circumstances, LockOut
from plantops.events.command_parts import Mode, Risk
from plantops.events.commands import ApprovalRequested
from plantops.events.tags import Kind

T = TypeVar("T")


class ProblemDetail(Record, frozen=True):
    """A refusal: `code` is stable for programs, `message` says what happened and what to do next."""

    code: str
    message: str


class Problem(Record, frozen=True):
    """The one error envelope of all services."""

    error: ProblemDetail


class TagsAsked(Record, frozen=True):
    """`twin.<site>.get` and `.watch`: exact names, or every tag whose name starts with `prefix`.

    `after` (watch): answer as soon as something changed after this revision, or after `wait_seconds` (at
    most 30) with nothing. `limit` and `offset` page through large answers.
    """

    tags: tuple[TagName, ...] = ()
    prefix: str = ""
    after: int = 0
    wait_seconds: float = 0.0
    limit: int = 500
    offset: int = 0


class TagState(Record, frozen=True):
    """What is known of a tag now. `quality` is the effective one: bad when stale or the source is gone.

    `age_seconds` since the last confirmation, on the broker's time; None when never confirmed.
    Non-finite floats are null with their quality lowered to bad.
    """

    tag: TagName
    source: SourceName
    value: Scalar | None
    quality: int
    quality_name: str
    unit: str = ""
    age_seconds: float | None = None
    source_time: datetime | None = None
    changed_at: datetime | None = None
    revision: int = 0


class TagsTold(Record, frozen=True):
    """The answer; `revision` is what a following watch passes as `after`. `unknown` names had no tag."""

    tags: tuple[TagState, ...]
    revision: int
    total: int
    unknown: tuple[TagName, ...] = ()


class Sighting(Record, frozen=True):
    """TAGS sequences of the frame with a tag's last value and of the last one that confirmed it; 0: never."""

    tag: TagName
    value_sequence: int = 0
    confirmed_sequence: int = 0


class SightingsAsked(Record, frozen=True):
    """`twin.<site>.sightings`: where do these tags stand in the log?"""

    tags: tuple[TagName, ...]


class SightingsTold(Record, frozen=True):
    """In the order of the question."""

    sightings: tuple[Sighting, ...]


class SourceState(Record, frozen=True):
    """What is known of a source."""

    source: SourceName
    epoch: int
    is_up: bool
    cause: str
    tags: int
    frames: int
    samples: int
    gaps: int
    lost_samples: int
    age_seconds: float | None


class TwinListed(Record, frozen=True):
    """`twin.<site>.list`: sources, and assets with their operations."""

    sources: tuple[SourceState, ...]
    assets: dict[str, AssetListed]
    position: dict[str, int]


class AssetListed(Record, frozen=True):
    """An asset: property name to tag, operation name to risk as the model states it."""

    description: str
    properties: dict[str, TagName]
    operations: dict[str, Risk | None]


class IntentTaken(Record, frozen=True):
    """The door's answer: the command's identity, its handle, and whether it was known before."""

    command: CommandId
    handle: str
    repeated: bool = False


class ApprovalTaken(Record, frozen=True):
    """The door's answer to an approval: taken, not yet judged."""

    command: CommandId
    sequence: int


class CommandAsked(Record, frozen=True):
    """`command.<site>.get`: by identity or by handle (`c12`)."""

    command: str


class CommandStatus(Record, frozen=True):
    """Where a command stands. `phase` is the gate's word, `outcome` the executor's last event type.

    Of a simulation: `next` is what it leads to ("" for anything else) and `confirmed_by` the handle of the
    command that was permitted upon it, "" while there is none. Of an act that is done, `reason` says what was
    done. `undo`: it could be undone now. `reconciled` is what the device said of an outcome that was unknown.
    `cause` is the command that this one is the gate's fallback for; it has no handle but its identity.
    `on_behalf_of` is the intent's chain, the person last, `intent` the digest of the words that were asked.
    `outputs` is what an executed operation returned, else what an external simulator said, by its own names:
    empty where there was nothing, None where there is nothing yet or the gate does not keep it, since it is
    longer than 4 KiB. The event (`CommandExecuted`, `CommandSimulated`) has it whole.
    """

    command: CommandId
    handle: str
    asset: AssetName
    operation: OperationName
    arguments: dict[str, Scalar]
    actor: PrincipalName
    phase: str
    reason: str
    outcome: str
    asked_at: datetime
    confirms: CommandId = CommandId("")
    expires_at: datetime | None = None
    simulation_digest: str = ""
    next: Literal["", "confirm", "approve", "nothing"] = ""
    confirmed_by: str = ""
    undo: bool = False
    reconciled: Literal["", "written", "not_written", "other"] = ""
    cause: CommandId = CommandId("")
    mode: Mode = "execute"
    on_behalf_of: tuple[PrincipalName, ...] = ()
    intent: Digest = Digest("")
    outputs: dict[str, Scalar] | None = None


class CommandsAsked(Record, frozen=True):
    """`command.<site>.list`: the newest first."""

    limit: int = 50
    open_only: bool = False


class CommandsListed(Record, frozen=True):
    """The answer."""

    commands: tuple[CommandStatus, ...]
    total: int


class ApprovalsListed(Record, frozen=True):
    """`command.<site>.approvals`: what waits for a second person, with the handles.

    `escalated_to` are the roles that were asked beside the first ones, () while they are not.
    """

    waiting: tuple[ApprovalRequested, ...]
    handles: tuple[str, ...]
    approved_by: tuple[tuple[PrincipalName, ...], ...]
    escalated_to: tuple[tuple[str, ...], ...] = ()


class HoldsAsked(Record, frozen=True):
    """`command.<site>.holds`: what hangs on one asset, or on all ("")."""

    asset: AssetName = AssetName("")


class HoldsListed(Record, frozen=True):
    """Lock-outs and bypasses in force, the oldest first, with the handles of the commands that made them."""

    lockouts: tuple[LockOut, ...]
    lockout_handles: tuple[str, ...]
    bypasses: tuple[Bypass, ...]
    bypass_handles: tuple[str, ...]


class CircumstancesAsked(Record, frozen=True):
    """`command.<site>.circumstances`: what the gate would hold against this operation, asked by this chain.

    `actor` and `on_behalf_of` as an intent names them: limits may count by person. Nothing is asked for.
    """

    asset: AssetName
    operation: OperationName
    actor: PrincipalName
    on_behalf_of: tuple[PrincipalName, ...] = ()


class CircumstancesTold(Record, frozen=True):
    """What a judgement of the gate would know of its own past at `at`, under the policy with this digest.

    `uncounted` are limits that would take the gate too long to count for a question: an intent is judged by
    them. A limit that is neither there nor in `circumstances.uses` cannot be counted at all, which denies.
    `busy` says, in the gate's words, why no other normal command starts on the asset now; "" when one may.
    """

    circumstances: Circumstances
    policy: Digest
    at: datetime
    busy: str = ""
    uncounted: tuple[str, ...] = ()


class DeviceReadAsked(Record, frozen=True):
    """`device.<site>.<source>-read` style services of a host: read these tags from the device now."""

    tags: tuple[TagName, ...]


class BrowseAsked(Record, frozen=True):
    """`browse.<site>.<source>`: the first `limit` things, at most 1,000."""

    limit: int = 100


class Found(Record, frozen=True):
    """One thing in the device; `address` may stand in a source file as it is."""

    address: str
    name: str
    kind: Kind | None
    writable: bool = False
    description: str = ""


class BrowseTold(Record, frozen=True):
    """The answer; `is_complete` is false when there was more than was asked for."""

    found: tuple[Found, ...]
    is_complete: bool


def problem(code: str, message: str) -> bytes:
    """The bytes of a refusal."""
    return encode_json(Problem(error=ProblemDetail(code=code, message=message)))


def read_answer(data: bytes, kind: type[T]) -> T | ProblemDetail:
    """The answer of a service, or its refusal. Raises: ValueError when it is neither."""
    if data.startswith(b'{"error":'):
        return msgspec.json.decode(data, type=Problem).error
    return msgspec.json.decode(data, type=kind)


class HeadTold(Record, frozen=True):
    """`head.<site>.<writer>`: the last audit record of a writer, so that its chain goes on.

    `sequence` and `hash` are the chain's (0 and "" before the first), `stored` the AUDIT sequence.
    """

    sequence: int
    hash: str
    stored: int
