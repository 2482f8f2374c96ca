"""What the gate remembers: one fold per stream, joined only when asked.

`asked` folds INTENTS, `courses` and `generations` fold the gate's own events, `deeds` folds what the
executors say, `verified` folds POLICY. No fold looks at another, so their order cannot matter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias

import msgspec

from plantops.events.base import AssetName, CommandId, Digest, PrincipalName
from plantops.events.commands import ApprovalRequested, CommandRequested, CommandSimulated, Intent, Permit
from plantops.policy.verify import Verified

Phase: TypeAlias = Literal[
    "asked", "denied", "simulating", "simulated", "waiting", "permitted", "cancelled", "expired"
]


class Asked(msgspec.Struct):
    """An intent as the door took it; `sequence` is the handle for people (`c12`)."""

    intent: Intent
    digest: Digest
    login: PrincipalName
    signer: str
    sequence: int
    at: datetime


class Course(msgspec.Struct):
    """How far the gate took a command."""

    phase: Phase
    reason: str = ""
    permit: Permit | None = None
    simulated: CommandSimulated | None = None
    approval: ApprovalRequested | None = None
    approvers: tuple[PrincipalName, ...] = ()


class Deed(msgspec.Struct):
    """What an executor did; `final` is the type of its last word, empty until then."""

    claimed: bool = False
    final: str = ""
    reason: str = ""


@dataclass
class GateState:
    """All folds of the gate, and two indexes over `asked` that only make questions quick."""

    verified: Verified | None = None
    asked: dict[CommandId, Asked] = field(default_factory=dict)
    courses: dict[CommandId, Course] = field(default_factory=dict)
    deeds: dict[CommandId, Deed] = field(default_factory=dict)
    generations: dict[AssetName, int] = field(default_factory=dict)
    by_asset: dict[AssetName, dict[CommandId, None]] = field(default_factory=dict)
    by_simulation: dict[CommandId, list[CommandId]] = field(default_factory=dict)

    def index(self, command: CommandId, asked: Asked) -> None:
        """Enter an intent into the indexes."""
        self.by_asset.setdefault(asked.intent.asset, {})[command] = None
        if asked.intent.confirms:
            self.by_simulation.setdefault(asked.intent.confirms, []).append(command)


class View:
    """Joins over the folds; reads only."""

    def __init__(self, state: GateState) -> None:
        self._state = state

    def asked(self, command: CommandId) -> Asked | None:
        """The intent behind a command."""
        return self._state.asked.get(command)

    def course(self, command: CommandId) -> Course:
        """How far it is; `asked` before the gate said anything."""
        return self._state.courses.get(command) or Course("asked")

    def deed(self, command: CommandId) -> Deed:
        """What the executor did; nothing, when it did nothing yet."""
        return self._state.deeds.get(command) or Deed()

    def generation(self, asset: AssetName) -> int:
        """How often a safe-direction command overtook this asset."""
        return self._state.generations.get(asset, 0)

    def is_closed(self, command: CommandId) -> bool:
        """Nothing more will happen to it. What an executor has claimed is open until he says how it ended."""
        deed, course = self.deed(command), self.course(command)
        if deed.claimed:
            return bool(deed.final)
        if course.phase == "simulated":
            waits = course.simulated is not None and course.simulated.next == "confirm"
            return not waits or self.confirmed_by(command) is not None
        return course.phase in ("denied", "cancelled", "expired")

    def open_on(self, asset: AssetName) -> Iterator[CommandId]:
        """Commands on the asset that a stop must overtake, in the order of their intents."""
        known = self._state.by_asset.get(asset, {})
        for command in list(known):
            if self.deed(command).final or self.course(command).phase == "denied":
                del known[command]  # these two are for ever, so the index may forget it
            elif not self.is_closed(command):
                yield command

    def in_flight(self, asset: AssetName, now: datetime) -> CommandId | None:
        """The normal command that may be writing to the asset now.

        A claimed one stays in flight until its executor or a person says how it ended; an unclaimed
        one until its permit has run out.
        """
        for command in self.open_on(asset):
            course, deed = self.course(command), self.deed(command)
            if course.permit is None or course.permit.safe_direction:
                continue
            if deed.claimed or (course.phase == "permitted" and now <= course.permit.not_after):
                return command
        return None

    def confirmed_by(self, simulated: CommandId) -> CommandId | None:
        """The permitted command that has already confirmed this simulation."""
        for command in self._state.by_simulation.get(simulated, ()):
            if self.course(command).phase in ("permitted", "cancelled"):
                return command
        return None


def record_request(state: GateState, event: CommandRequested, sequence: int, at: datetime) -> None:
    """The first intent under an identity counts; what comes later under it changes nothing."""
    if event.command in state.asked:
        return
    asked = Asked(event.intent, event.digest, event.login, event.signer, sequence, at)
    state.asked[event.command] = asked
    state.index(event.command, asked)


class _Snapshot(msgspec.Struct):
    policy: Verified | None
    asked: dict[CommandId, Asked]
    courses: dict[CommandId, Course]
    deeds: dict[CommandId, Deed]
    generations: dict[AssetName, int]


_ENCODER = msgspec.msgpack.Encoder(order="deterministic")
_DECODER = msgspec.msgpack.Decoder(_Snapshot)


def dump(state: GateState) -> bytes:
    """Equal folds give equal bytes. Of closed commands only what a retry or a question needs is kept."""
    view = View(state)
    closed = {command for command in state.asked if view.is_closed(command)}
    return _ENCODER.encode(
        _Snapshot(
            policy=state.verified,
            asked={c: _slim_asked(a) if c in closed else a for c, a in sorted(state.asked.items())},
            courses={c: _slim_course(k) if c in closed else k for c, k in sorted(state.courses.items())},
            deeds=dict(sorted(state.deeds.items())),
            generations=dict(sorted(state.generations.items())),
        )
    )


def load(data: bytes) -> GateState:
    """Raises: ValueError when the bytes are no snapshot of this version."""
    snapshot = _DECODER.decode(data)
    state = GateState(
        verified=snapshot.policy,
        asked=snapshot.asked,
        courses=snapshot.courses,
        deeds=snapshot.deeds,
        generations=snapshot.generations,
    )
    for command, asked in sorted(snapshot.asked.items(), key=lambda item: item[1].sequence):
        state.index(command, asked)
    return state


def _slim_asked(asked: Asked) -> Asked:
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
    return Asked(slim, asked.digest, asked.login, asked.signer, asked.sequence, asked.at)


def _slim_course(course: Course) -> Course:
    return Course(course.phase, course.reason)
