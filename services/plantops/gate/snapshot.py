"""The gate's snapshot. Pure.

JSON, as the events are: what a client could write into an intent must never be what no snapshot can hold
(msgpack has no integers beyond 64 bit, and a gate that cannot write its snapshot ends).
"""

from __future__ import annotations

import msgspec

from plantops.events.base import AssetName, CommandId
from plantops.events.command_parts import Intent
from plantops.gate.state import Asked, Course, Deed, GateState, View, is_forgotten
from plantops.policy.verify import Verified


class _Snapshot(msgspec.Struct):
    policy: Verified | None
    asked: dict[CommandId, Asked]
    courses: dict[CommandId, Course]
    deeds: dict[CommandId, dict[str, Deed]]
    generations: dict[AssetName, int]


_ENCODER = msgspec.json.Encoder(order="deterministic")
_DECODER = msgspec.json.Decoder(_Snapshot)


def dump(state: GateState) -> bytes:
    """Equal folds give equal bytes. What is over is kept as far as a later decision needs it."""
    view = View(state)
    newest = max((asked.at for asked in state.asked.values()), default=None)
    over = {command for command in state.asked if view.is_over(command)}
    gone = {
        command
        for command, asked in state.asked.items()
        if newest is not None and is_forgotten(view, command, asked, newest)
    }
    return _ENCODER.encode(
        _Snapshot(
            policy=state.verified,
            asked={c: _slim(a) if c in over else a for c, a in state.asked.items() if c not in gone},
            courses={c: _ended(k) if c in over else k for c, k in state.courses.items() if c not in gone},
            deeds={c: deed for c, deed in state.deeds.items() if c not in gone},
            generations=state.generations,
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
    )
    for command, each in asked.items():
        state.index(command, each)
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
    return msgspec.structs.replace(asked, intent=slim)


def _ended(course: Course) -> Course:
    return msgspec.structs.replace(course, permit=None, approval=None)
