"""The gate's snapshot. Pure.

JSON, as the events are: what a client could write into an intent must never be what no snapshot can hold
(msgpack has no integers beyond 64 bit, and a gate that cannot write its snapshot ends).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Final, TypeVar

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


K = TypeVar("K", bound=str)
V = TypeVar("V")

PIECE: Final = 32
"""Commands in one piece: some 50 KB, one or two milliseconds."""
_ENCODER = msgspec.json.Encoder(order="deterministic")
_DECODER = msgspec.json.Decoder(_Snapshot)


def dump(state: GateState) -> bytes:
    """Equal folds give equal bytes. What is over is kept as far as a later decision needs it."""
    return b"".join(pieces(state))


def pieces(state: GateState) -> Iterator[bytes]:
    """What `dump` gives, in pieces of a few milliseconds. It is that of the moment of the call, however
    much is folded before the last piece is taken."""
    return _pieces(state.held())


def _pieces(state: GateState) -> Iterator[bytes]:
    view = View(state)
    over, gone = set[CommandId](), set[CommandId]()
    newest = max((asked.at for asked in state.asked.values()), default=None)
    for part in _parts(state.asked.items()):
        # What persons signed behind a bypass goes into each permit that counts with it.
        over |= {each for each, _asked in part if view.is_over(each) and each not in state.bypasses}
        if newest is not None:
            gone |= {command for command, asked in part if is_forgotten(state, command, asked, newest)}
        yield b""
    gone |= {command for command, each in state.fallbacks.items() if each.cause in gone}
    yield b'{"policy":' + _ENCODER.encode(state.verified)
    yield from _map("asked", state.asked, gone, lambda c, a: _slim(a) if c in over else a)
    yield from _map(
        "courses", state.courses, gone, lambda c, k: _ended(k) if _has_ended(view, over, c) else k
    )
    yield from _map("deeds", state.deeds, gone)
    yield from _map("generations", state.generations)
    simulating = {c: given for c, given in state.rehearsals.items() if view.course(c).phase == "simulating"}
    yield from _map("rehearsals", simulating)
    yield b',"uses":['
    for number, uses in enumerate(_parts(state.uses.values())):
        yield (b"," if number else b"") + _ENCODER.encode(uses)[1:-1]
    yield b'],"uses_from":' + _ENCODER.encode(state.uses_from)
    yield b',"root":' + _ENCODER.encode(state.root)
    yield from _map("locks", state.locks)
    yield from _map("bypasses", state.bypasses)
    yield from _map("fallbacks", state.fallbacks, gone)
    yield b"}"


def _map(
    name: str,
    values: Mapping[K, V],
    without: Collection[K] = (),
    short: Callable[[K, V], V] = lambda _key, value: value,
) -> Iterator[bytes]:
    """One member of the object, its own members in order."""
    yield f',"{name}":{{'.encode()
    kept = sorted(key for key in values if key not in without)
    for number, keys in enumerate(_parts(kept)):
        part = {key: short(key, values[key]) for key in keys}
        yield (b"," if number else b"") + _ENCODER.encode(part)[1:-1]
    yield b"}"


def _parts(values: Iterable[V]) -> Iterator[list[V]]:
    rest = iter(values)
    while part := list(islice(rest, PIECE)):
        yield part


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


def _has_ended(view: View, over: Collection[CommandId], command: CommandId) -> bool:
    return command in over and not view.is_unknown(command)


def _slim(asked: Asked) -> Asked:
    intent = asked.intent
    slim = Intent(
        site=intent.site,
        asset=intent.asset,
        operation=intent.operation,
        arguments=intent.arguments,
        mode=intent.mode,
        actor=intent.actor,
        on_behalf_of=intent.on_behalf_of,
        confirms=intent.confirms,
    )
    return msgspec.structs.replace(asked, intent=slim, evidence="")


def _ended(course: Course) -> Course:
    simulated = course.simulated
    if simulated is not None:
        simulated = msgspec.structs.replace(simulated, before=())
    return msgspec.structs.replace(course, permit=None, approval=None, approvals=(), simulated=simulated)
