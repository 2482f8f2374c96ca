"""From an event to the rows of the tables that can be made again from it. Pure: no clock, no file.

Every event type either has its rows here, on its own stream, or stands in `WITHOUT_ROWS` with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from plantops.archive.command_rows import Named, approval_rows, intent_rows, policy_rows, step_rows
from plantops.archive.entry import Entry, checked
from plantops.archive.tables import TABLES
from plantops.events import Event, commands, conversation, event_type, governance, operations, tags
from plantops.events.operations import CheckpointRefused, CheckpointSigned
from plantops.events.sources import GapRecorded, LeaseTaken, SourceLost, SourceUp

FINDINGS: Final = "FINDINGS"

_AGENT: Final[tuple[type[Event], ...]] = (
    conversation.TurnAsked,
    conversation.ModelReplied,
    conversation.ToolAnswered,
    conversation.TurnEnded,
    conversation.ConversationReset,
    conversation.BudgetCharged,
    conversation.BudgetExceeded,
)

WITHOUT_ROWS: Final[Mapping[str, str]] = MappingProxyType(
    {
        event_type(tags.SourceDefined): "`layout` holds it, from the first frame that used it",
        event_type(tags.NamedFrame): "`frame` and `sample` hold it",
        event_type(operations.RootPublished): "what the gate makes of it is a step",
        event_type(operations.CheckpointCosigned): "for who verifies the log; the archive does not read it",
        event_type(operations.CheckpointDisputed): "for who verifies the log; the archive does not read it",
        event_type(governance.ReignBegan): "`event` holds when which run of the gate began",
        event_type(operations.TimerFired): "what the gate makes of it is a step",
        event_type(operations.MessageBuried): "`unread` holds the message itself",
        **dict.fromkeys(map(event_type, _AGENT), "`event` holds it as JSON, by conversation in `subject`"),
    }
)
"""Event types that have a row in `event` at most, and why that is enough."""


def derived(entry: Entry) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Table and row, for all derived tables; the same rows for the same entry, in the same order.

    A type on a stream that is not its own has no rows: `sequence` is unique within one stream only.
    Raises: EventUnreadable when a number fits no column.
    """
    for name, row in _rows(entry):
        yield name, checked(TABLES[name], row)


def _rows(entry: Entry) -> Iterator[Named]:
    if entry.stream == FINDINGS:
        analyser = entry.subject.rsplit(".", 1)[-1]
        yield "finding", (entry.sequence, entry.stored_at, analyser, entry.type, entry.body)
        return
    stream, rows = _PROJECTIONS.get(type(entry.event), ("", None))
    if rows is not None and stream == entry.stream:
        yield from rows(entry, entry.event)


def _gap(entry: Entry, event: GapRecorded) -> Iterator[Named]:
    bounds = (event.epoch, event.first, event.last, event.frames, event.samples)
    yield "gap", (entry.sequence, entry.stored_at, event.source, *bounds, event.cause)


def _lease(entry: Entry, event: LeaseTaken) -> Iterator[Named]:
    state, detail = ("released", "") if event.released else ("lease", f"for {event.ttl_seconds:g} s")
    yield _state(entry, event, state, event.owner, detail)


def _up(entry: Entry, event: SourceUp) -> Iterator[Named]:
    yield _state(entry, event, "up", "", event.detail)


def _lost(entry: Entry, event: SourceLost) -> Iterator[Named]:
    yield _state(entry, event, "lost", "", event.cause)


def _state(
    entry: Entry, event: LeaseTaken | SourceUp | SourceLost, state: str, owner: str, detail: str
) -> Named:
    place = (entry.sequence, entry.stored_at)
    return "source_state", (*place, event.source, state, event.epoch, owner, detail)


def _signed(entry: Entry, event: CheckpointSigned) -> Iterator[Named]:
    told = (event.size, event.root, event.findings, "", event.note)
    yield "checkpoint", (entry.sequence, entry.stored_at, *told)


def _refused(entry: Entry, event: CheckpointRefused) -> Iterator[Named]:
    at = "" if event.index is None else f" at record {event.index}"
    told = (0, "", 0, f"{event.kind}{at}: {event.detail}", event.note)
    yield "checkpoint", (entry.sequence, entry.stored_at, *told)


_Rows: TypeAlias = Callable[[Entry, Any], Iterator[Named]]

_STEPS: Final[tuple[type[Event], ...]] = (
    commands.CommandDenied,
    commands.SimulationOrdered,
    commands.DryRunDone,
    commands.CommandSimulated,
    commands.ApprovalRequested,
    commands.ApprovalAccepted,
    commands.ApprovalRefused,
    commands.CommandPermitted,
    commands.SafePermitted,
    commands.GenerationRaised,
    commands.CommandCancelled,
    commands.CommandExpired,
    commands.CommandClaimed,
    commands.CommandExecuted,
    commands.CommandFailed,
    commands.OutcomeUnknown,
    *governance.GOVERNANCE,
)

_PROJECTIONS: Final[Mapping[type[Event], tuple[str, _Rows]]] = MappingProxyType(
    {
        **dict.fromkeys(_STEPS, ("COMMANDS", step_rows)),
        commands.CommandRequested: ("INTENTS", intent_rows),
        commands.ApprovalReceived: ("APPROVALS", approval_rows),
        operations.PolicyPublished: ("POLICY", policy_rows),
        GapRecorded: ("SOURCES", _gap),
        LeaseTaken: ("SOURCES", _lease),
        SourceUp: ("SOURCES", _up),
        SourceLost: ("SOURCES", _lost),
        CheckpointSigned: ("CHECKPOINTS", _signed),
        CheckpointRefused: ("CHECKPOINTS", _refused),
    }
)

PROJECTED: Final[Mapping[str, str]] = MappingProxyType(
    {event_type(kind): stream for kind, (stream, _rows) in _PROJECTIONS.items()}
)
"""Event type to the stream on which it has derived rows."""
