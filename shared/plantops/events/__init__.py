"""What can be said: the list of all events, and their way to bytes and back."""

from __future__ import annotations

from typing import TypeAlias, get_args

import msgspec

from plantops.events import commands, conversation, governance, operations, sources, tags
from plantops.events.base import Event, encode_json, event_type
from plantops.events.unreadable import EventUnknown, EventUnreadable, TypeUnknown, VersionUnknown

AnyEvent: TypeAlias = (
    tags.SourceDefined
    | tags.NamedFrame
    | sources.LeaseTaken
    | sources.SourceUp
    | sources.SourceLost
    | sources.GapRecorded
    | commands.CommandRequested
    | commands.ApprovalReceived
    | commands.CommandDenied
    | commands.SimulationOrdered
    | commands.DryRunDone
    | commands.CommandSimulated
    | commands.ApprovalRequested
    | commands.ApprovalAccepted
    | commands.ApprovalRefused
    | commands.CommandPermitted
    | commands.SafePermitted
    | commands.GenerationRaised
    | commands.CommandCancelled
    | commands.CommandExpired
    | commands.CommandClaimed
    | commands.CommandExecuted
    | commands.CommandFailed
    | commands.OutcomeUnknown
    | governance.ActDone
    | governance.LockSet
    | governance.LockLiftAsked
    | governance.LockLifted
    | governance.BypassGranted
    | governance.BypassEnded
    | governance.ApprovalWithdrawn
    | governance.ApprovalEscalated
    | governance.CommandProgressed
    | governance.ReconcileOrdered
    | governance.CommandReconciled
    | governance.FallbackOrdered
    | governance.PolicyActivated
    | governance.ReignBegan
    | governance.PolicyRefused
    | governance.RootRotated
    | conversation.TurnAsked
    | conversation.ModelReplied
    | conversation.ToolAnswered
    | conversation.TurnEnded
    | conversation.ConversationReset
    | conversation.BudgetCharged
    | conversation.BudgetExceeded
    | operations.PolicyPublished
    | operations.RootPublished
    | operations.TimerFired
    | operations.CheckpointSigned
    | operations.CheckpointRefused
    | operations.CheckpointCosigned
    | operations.CheckpointDisputed
    | operations.MessageBuried
)
"""Every event with a JSON form. Tag frames have their own encoding (`events.frames`)."""

EVENT_TYPES: dict[str, type[Event]] = {event_type(kind): kind for kind in get_args(AnyEvent)}

ALL_TYPES: dict[str, type[Event]] = {**EVENT_TYPES, event_type(tags.TagFrame): tags.TagFrame}
"""Every event type that this program writes and reads, tag frames among them."""

_DECODER: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)


class _Typed(msgspec.Struct):
    type: str


_TYPE_DECODER = msgspec.json.Decoder(_Typed)


def encode(event: Event) -> bytes:
    """JSON bytes of an event, equal for equal events."""
    return encode_json(event)


def decode(data: bytes) -> AnyEvent:
    """The event in JSON bytes. Raises: TypeUnknown; EventUnreadable for damaged bytes."""
    try:
        return _DECODER.decode(data)
    except msgspec.DecodeError as error:
        _refuse_unknown_type(data)
        raise EventUnreadable(str(error)) from error


def _refuse_unknown_type(data: bytes) -> None:
    try:
        kind = _TYPE_DECODER.decode(data).type
    except msgspec.DecodeError:
        return
    if kind not in EVENT_TYPES:
        raise TypeUnknown(kind)


def check_known(kind: str, version: int | None) -> None:
    """Whether an event said to be of this type and version can be understood; None: no version is told.

    Raises: TypeUnknown, VersionUnknown.
    """
    known = ALL_TYPES.get(kind)
    if known is None:
        raise TypeUnknown(kind, version)
    if version is not None and version != known.version and version not in known.also_reads:
        raise VersionUnknown(kind, version, known.version)


__all__ = [
    "ALL_TYPES",
    "EVENT_TYPES",
    "AnyEvent",
    "Event",
    "EventUnknown",
    "EventUnreadable",
    "TypeUnknown",
    "VersionUnknown",
    "check_known",
    "decode",
    "encode",
    "event_type",
]
