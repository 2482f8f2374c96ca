"""What the gate takes into its memory, and when it may leave it again. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from plantops.events.base import AssetName, CommandId
from plantops.events.command_parts import command_id
from plantops.events.commands import CommandRequested
from plantops.gate.state import Asked, GateState, View, signed_text
from plantops.policy.acts import FALLBACK

# How long a key answers for the command that it once named. A signed intent is refused as too old long
# before; every approval that is still awaited keeps its command anyway.
REMEMBER = timedelta(days=2)


def record_request(state: GateState, event: CommandRequested, sequence: int, at: datetime) -> None:
    """The first intent under an identity counts; what comes later under it changes nothing."""
    if event.command in state.asked:
        return
    asked = Asked(event.intent, event.digest, event.login, event.signer, sequence, at, signed_text(event))
    state.asked[event.command] = asked
    state.index(event.command, asked)
    _forget(state, at)


def is_forgotten(state: GateState, command: CommandId, asked: Asked, newest: datetime) -> bool:
    """Whether nothing can follow from a command any more, and its key may be used again.

    A lock that hangs keeps its command, and so does a bypass; and one whose outcome nobody knows stays
    until it is reconciled, however long that takes.
    """
    view = View(state)
    last = max(asked.at, view.deed(command).ended or asked.at)
    if newest - last <= REMEMBER or view.is_unreconciled(command):
        return False
    if not (view.is_over(command) or _was_never_taken(view, command, newest)):
        return False
    fallback = command_id(FALLBACK, command)
    if fallback in state.fallbacks and not view.is_over(fallback):
        return False
    return command not in state.locks and command not in state.bypasses


def _was_never_taken(view: View, command: CommandId, newest: datetime) -> bool:
    """A permit that the gate ended and that nobody claimed, so long ago that no claim can be on its way."""
    course = view.course(command)
    if course.phase not in ("cancelled", "expired") or course.permit is None or view.deed(command).claimed:
        return False
    return newest - course.permit.not_after > REMEMBER


def _forget(state: GateState, newest: datetime) -> None:
    """Drop the oldest commands as far as they are over, so that memory follows the last days only."""
    gone = []
    for command, asked in state.asked.items():
        if newest - asked.at <= REMEMBER:
            break
        if is_forgotten(state, command, asked, newest):
            gone.append((command, asked))
    for command, asked in gone:
        _drop(state, command, asked)


def _drop(state: GateState, command: CommandId, asked: Asked) -> None:
    del state.asked[command]
    fallback = command_id(FALLBACK, command)
    for each in (command, fallback):
        state.courses.pop(each, None)
        state.deeds.pop(each, None)
        state.rehearsals.pop(each, None)
        state.stops.pop(each, None)
        state.unknown.pop(each, None)
        _leave(state.on_asset, asked.intent.asset, each)
    state.fallbacks.pop(fallback, None)
    state.by_sequence.pop(asked.sequence, None)
    state.by_simulation.pop(command, None)
    _unconfirm(state, asked.intent.confirms, command)
    for bound in state.bound.values():
        bound.pop(command, None)
    _leave(state.standing, asked.intent.asset, command)


def _leave(index: dict[AssetName, dict[CommandId, None]], asset: AssetName, command: CommandId) -> None:
    """Anybody may name assets that are none: an index keeps no place for them."""
    known = index.get(asset, {})
    known.pop(command, None)
    if not known:
        index.pop(asset, None)


def _unconfirm(state: GateState, simulated: CommandId, command: CommandId) -> None:
    """What it confirmed may never have been asked for, and is then dropped by nobody else."""
    others = [each for each in state.by_simulation.get(simulated, ()) if each != command]
    if others:
        state.by_simulation[simulated] = others
    else:
        state.by_simulation.pop(simulated, None)
