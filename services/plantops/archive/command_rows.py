"""Rows of what was asked, judged, approved and written, from the events that say so. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from plantops.archive.act_words import ACT_WORDS
from plantops.archive.batch import Row
from plantops.archive.entry import Entry, micros
from plantops.events.base import Scalar, encode_json
from plantops.events.command_parts import Decision, StepResult
from plantops.events.commands import (
    ApprovalAccepted,
    ApprovalReceived,
    ApprovalRefused,
    ApprovalRequested,
    CommandCancelled,
    CommandClaimed,
    CommandDenied,
    CommandExecuted,
    CommandExpired,
    CommandFailed,
    CommandRequested,
    CommandSimulated,
    DryRunDone,
    GenerationRaised,
    OutcomeUnknown,
)
from plantops.events.governance import ENDINGS
from plantops.events.operations import PolicyPublished
from plantops.events.subjects import SubjectInvalid, parse_command
from plantops.ledger import dsse
from plantops.policy.document import policy_digest
from plantops.policy.judge import decision_digest
from plantops.runtime.errors import TrustError

Named: TypeAlias = tuple[str, Row]
"""A table's name and a row of it."""


def intent_rows(entry: Entry, event: CommandRequested) -> Iterator[Named]:
    """What was asked for."""
    intent = event.intent
    yield (
        "intent",
        (
            entry.sequence,
            entry.stored_at,
            entry.command,
            f"c{entry.sequence}",
            intent.actor,
            event.login,
            event.signer,
            encode_json(intent.on_behalf_of).decode(),
            intent.asset,
            intent.operation,
            encode_json(intent.arguments).decode(),
            intent.mode,
            intent.confirms,
            intent.reason,
            event.digest,
            entry.correlation,
            entry.id,
            entry.causation,
        ),
    )


def approval_rows(entry: Entry, event: ApprovalReceived) -> Iterator[Named]:
    """A person's word."""
    word = event.approval
    yield (
        "approval",
        (
            entry.sequence,
            entry.stored_at,
            entry.command,
            word.person,
            event.login,
            event.signer,
            word.verdict,
            word.reason,
            word.intent,
            word.decision,
            micros(word.expires_at),
            entry.id,
            entry.causation,
        ),
    )


def policy_rows(entry: Entry, event: PolicyPublished) -> Iterator[Named]:
    """A revision, under the digest that decisions name: the one of what was signed, not the one told."""
    try:
        digest: str = policy_digest(dsse.decode(event.envelope.encode()).body())
    except TrustError:
        digest = ""  # no envelope at all: no gate goes by it, and no decision names it
    yield "policy", (entry.sequence, entry.stored_at, event.revision, digest, event.envelope)


def step_rows(entry: Entry, event: object) -> Iterator[Named]:
    """A step in a command's life, the judgement that it carries, and the writes that it tells of."""
    yield (
        "step",
        (
            entry.sequence,
            entry.stored_at,
            entry.command,
            entry.type,
            entry.signer or _writer(entry.subject),
            isinstance(event, ENDINGS),
            reason_of(event),
            event.person if isinstance(event, ApprovalAccepted | ApprovalRefused) else "",
            event.window_ms if isinstance(event, CommandExecuted) else None,
            entry.id,
            entry.causation,
        ),
    )
    decision = getattr(event, "decision", None)
    if isinstance(decision, Decision):
        yield from _judged(entry, decision)
    if isinstance(event, CommandExecuted | CommandFailed | OutcomeUnknown):
        taken_back = event.compensation if isinstance(event, CommandFailed) else ()
        for number, result in enumerate((*event.steps, *taken_back)):
            yield "written", _written(entry, number, result)


def reason_of(event: object) -> str:
    """What a step says in words; empty where its type says all."""
    words = _WORDS.get(type(event)) or ACT_WORDS.get(type(event))
    return words(event) if words else ""


_NEXT: Final = {"confirm": "waits for its confirmation", "approve": "waits for approvals", "nothing": ""}

_WORDS: Final[Mapping[type[Any], Callable[[Any], str]]] = MappingProxyType(
    {
        CommandDenied: lambda event: event.reason,
        CommandFailed: lambda event: event.reason,
        OutcomeUnknown: lambda event: event.reason,
        CommandCancelled: lambda event: f"{event.reason} (by {event.by})" if event.by else event.reason,
        CommandExpired: lambda event: f"nobody answered in time: {event.waiting_for}",
        DryRunDone: lambda event: event.problem,
        CommandSimulated: lambda event: _NEXT[event.next],
        ApprovalRequested: lambda event: f"needs {event.needed} of {', '.join(event.roles)}",
        ApprovalAccepted: lambda event: f"{event.person}: {event.given} of {event.needed}",
        ApprovalRefused: lambda event: f"{event.person}: {event.reason}",
        GenerationRaised: lambda event: f"{event.asset} has generation {event.generation}",
        CommandClaimed: lambda event: f"by {event.executor}, epoch {event.epoch}",
    }
)


def split(value: Scalar | None) -> tuple[float | None, str | None]:
    """A value as `value` and `text`; of an integer that no double holds, the nearest one and its digits."""
    if value is None:
        return None, None
    if isinstance(value, str):
        return None, value
    try:
        number = float(value)
    except OverflowError:
        return None, str(value)
    return number, None if number == value else str(value)


def _judged(entry: Entry, decision: Decision) -> Iterator[Named]:
    place = (entry.sequence, entry.stored_at, entry.command)
    yield (
        "decision",
        (
            *place,
            decision.stage,
            micros(decision.now),
            decision.allowed,
            decision.asset,
            decision.operation,
            decision.actor,
            decision.person,
            decision.risk,
            decision.safe_direction,
            decision.policy,
            decision.model,
            decision_digest(decision),
        ),
    )
    for number, finding in enumerate(decision.findings):
        yield "ruling", (*place, number, finding.rule, finding.verdict, finding.text)
    for number, one in enumerate(decision.inputs):
        seen = None if one.source_time is None else micros(one.source_time)
        values = (*split(one.value), one.quality, one.age_seconds, seen)
        yield "evidence", (*place, number, one.tag, *values, one.sequence, one.note)


def _written(entry: Entry, number: int, result: StepResult) -> Row:
    return (
        entry.sequence,
        entry.stored_at,
        entry.command,
        number,
        result.write.tag,
        *split(result.write.value),
        *split(result.before),
        result.before_quality,
        None if result.written_at is None else micros(result.written_at),
        *split(result.read_back),
        result.verified,
        result.problem,
        result.write.verify,
    )


def _writer(subject: str) -> str:
    try:
        return parse_command(subject).writer
    except SubjectInvalid:
        return ""
