"""The gate's snapshot. Pure.

JSON, as the events are: what a client could write into an intent must never be what no snapshot can hold
(msgpack has no integers beyond 64 bit, and a gate that cannot write its snapshot ends).
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from plantops.events.base import AssetName, CommandId
from plantops.events.circumstances import Bypass, LockOut
from plantops.events.command_parts import Intent
from plantops.gate.forgetting import is_forgotten
from plantops.gate.state import (
    ASKED,
    UNKNOWN,
    Asked,
    Course,
    Deed,
    Fallback,
    GateState,
    Rehearsal,
    Use,
    View,
)
from plantops.policy.document import TrustRoot
from plantops.policy.verify import Verified


class _Snapshot(msgspec.Struct):
    policy: Verified | None
    asked: dict[CommandId, Asked]
    courses: dict[CommandId, Course]
    deeds: dict[CommandId, dict[str, Deed]]
    generations: dict[AssetName, int]
    rehearsals: dict[CommandId, dict[str, Rehearsal]]
    uses: list[Use]
    uses_from: datetime | None
    root: TrustRoot | None
    locks: dict[CommandId, LockOut] = {}
    bypasses: dict[CommandId, Bypass] = {}
    fallbacks: dict[CommandId, Fallback] = {}


_ENCODER = msgspec.json.Encoder(order="deterministic")
_DECODER = msgspec.json.Decoder(_Snapshot)


def dump(state: GateState) -> bytes:
    """Equal folds give equal bytes. What is over is kept as far as a later decision needs it."""
    view = View(state)
    newest = max((asked.at for asked in state.asked.values()), default=None)
    # What persons signed behind a bypass goes into each permit that counts with it.
    over = {each for each in state.asked if view.is_over(each) and each not in state.bypasses}
    gone = {
        command
        for command, asked in state.asked.items()
        if newest is not None and is_forgotten(state, command, asked, newest)
    }
    gone |= {command for command, each in state.fallbacks.items() if each.cause in gone}
    ended = {command for command in over if not view.is_unknown(command)}
    return _ENCODER.encode(
        _Snapshot(
            policy=state.verified,
            asked={c: _slim(a) if c in over else a for c, a in state.asked.items() if c not in gone},
            courses={c: _ended(k) if c in ended else k for c, k in state.courses.items() if c not in gone},
            deeds={c: deed for c, deed in state.deeds.items() if c not in gone},
            generations=state.generations,
            rehearsals={c: r for c, r in state.rehearsals.items() if view.course(c).phase == "simulating"},
            uses=list(state.uses.values()),
            uses_from=state.uses_from,
            root=state.root,
            locks=state.locks,
            bypasses=state.bypasses,
            fallbacks={c: each for c, each in state.fallbacks.items() if c not in gone},
        )
    )


def load(data: bytes) -> GateState:
    """Raises: ValueError when the bytes are no snapshot of this version."""
    snapshot = _DECODER.decode(data)
    asked = dict(sorted(snapshot.asked.items(), key=lambda item: item[1].sequence))
    state = GateState(
        verified=snapshot.policy,
        asked=asked,
        courses=snapshot.courses,
        deeds=snapshot.deeds,
        generations=snapshot.generations,
        rehearsals=snapshot.rehearsals,
        uses={use.command: use for use in snapshot.uses},
        uses_from=snapshot.uses_from,
        root=snapshot.root,
        locks=snapshot.locks,
        bypasses=snapshot.bypasses,
        fallbacks=snapshot.fallbacks,
    )
    for command, each in asked.items():
        state.index(command, each)
        simulated = state.courses.get(command, ASKED).simulated
        if simulated is not None:
            state.bind(command, simulated)
    for command, fallback in snapshot.fallbacks.items():
        state.index_fallback(command, fallback)
    for command, said in snapshot.deeds.items():
        if any(deed.final == UNKNOWN for deed in said.values()):
            state.unknown[command] = None
    return state


def _slim(asked: Asked) -> Asked:
    intent = asked.intent
    slim = Intent(
        site=intent.site,
        asset=intent.asset,
        operation=intent.operation,
        arguments=intent.arguments,
        mode=intent.mode,
        actor=intent.actor,
        confirms=intent.confirms,
    )
    return msgspec.structs.replace(asked, intent=slim, evidence="")


def _ended(course: Course) -> Course:
    simulated = course.simulated
    if simulated is not None:
        simulated = msgspec.structs.replace(simulated, before=())
    return msgspec.structs.replace(course, permit=None, approval=None, approvals=(), simulated=simulated)
