"""What can be said: the list of all events, and their way to bytes and back."""

from __future__ import annotations

from typing import TypeAlias, get_args

import msgspec

from plantops.events import commands, operations, sources, tags
from plantops.events.base import Event, encode_json, event_type

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
    | operations.PolicyPublished
    | operations.TimerFired
    | operations.CheckpointSigned
    | operations.CheckpointRefused
    | operations.MessageBuried
)
"""Every event with a JSON form. Tag frames have their own encoding (`events.frames`)."""

EVENT_TYPES: dict[str, type[Event]] = {event_type(kind): kind for kind in get_args(AnyEvent)}

_DECODER: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)


class EventUnreadable(ValueError):
    """The bytes are no known event; they belong in DEAD with this reason."""


def encode(event: Event) -> bytes:
    """JSON bytes of an event, equal for equal events."""
    return encode_json(event)


def decode(data: bytes) -> AnyEvent:
    """The event in JSON bytes. Raises: EventUnreadable for damaged bytes and unknown types."""
    try:
        return _DECODER.decode(data)
    except msgspec.DecodeError as error:
        raise EventUnreadable(str(error)) from error


__all__ = ["EVENT_TYPES", "AnyEvent", "Event", "EventUnreadable", "decode", "encode", "event_type"]
