"""Undo: the writes are those that this executor recorded itself, or none."""

from __future__ import annotations

from plantops.adapters.host.away import AWAY
from plantops.adapters.host.claims import Claims
from plantops.adapters.host.execution import same_writes
from plantops.events import EventUnreadable, decode, event_type
from plantops.events.command_parts import Permit
from plantops.events.commands import CommandExecuted, CommandFailed
from plantops.events.envelope import Message
from plantops.flow.bus import Bus, Stored
from plantops.flow.trust import Trust
from plantops.runtime.errors import TrustError


async def undo_problem(permit: Permit, *, bus: Bus, claims: Claims, trust: Trust) -> str:
    """Why a permit's writes are not the recorded way back of the command that it names; empty when they are.

    The gate names them, and our own last word on that command has the say: signed by us, as it stands on
    the stream, about the same asset.
    """
    try:
        last = await bus.last("COMMANDS", claims.own(permit.undoes))
    except AWAY as error:
        return f"the record of {permit.undoes} cannot be read: {error}"
    if last is None:
        return f"this executor has done nothing for {permit.undoes}"
    word = _word(last, trust)
    if word is None or word.command != permit.undoes:
        return f"the last word on {permit.undoes} is no outcome that can be undone"
    if word.decision is None or word.decision.asset != permit.asset:
        return f"{permit.undoes} was not of {permit.asset}"
    if not word.undo:
        return f"{permit.undoes} left no way back"
    if not same_writes(word.undo, permit.writes):
        return f"the permit's writes are not the recorded way back of {permit.undoes}"
    return ""


def _word(stored: Stored, trust: Trust) -> CommandExecuted | CommandFailed | None:
    try:
        event = decode(stored.data)
        message = Message(stored.subject, stored.data, stored.headers)
        trust.at(stored.time_ns).believe(event_type(event), event.version, message)
    except (EventUnreadable, TrustError):
        return None
    return event if isinstance(event, (CommandExecuted, CommandFailed)) else None
