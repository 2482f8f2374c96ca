"""What the gate remembers: one fold per stream, joined only when asked.

`asked` folds INTENTS, `courses` and `generations` fold the gate's own events, `deeds` folds what the
executors say, `verified` folds POLICY. No fold looks at another, so their order cannot matter.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

import msgspec

from plantops.events.base import AssetName, CommandId, Digest, PrincipalName, SourceName
from plantops.events.command_parts import Intent, Permit
from plantops.events.commands import ApprovalRequested, CommandRequested, CommandSimulated
from plantops.policy.verify import Verified

# How long a key answers for the command that it once named. A signed intent is refused as too old long
# before; every approval that is still awaited keeps its command anyway.
REMEMBER = timedelta(days=2)

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


class Simulated(msgspec.Struct, frozen=True):
    """What a confirmation or an approval is held against."""

    next: Literal["confirm", "approve", "nothing"]
    person: PrincipalName
    policy: Digest
    model: Digest
    result: Digest
    expires_at: datetime


class Course(msgspec.Struct):
    """How far the gate took a command.

    `executor` is the one whose answers count, `generation` the asset's when the gate first let it on,
    `permit` what may be written (never that of a dry run), `permitted` stays true whatever follows.
    """

    phase: Phase
    reason: str = ""
    executor: str = ""
    generation: int = 0
    permitted: bool = False
    permit: Permit | None = None
    simulated: Simulated | None = None
    approval: ApprovalRequested | None = None
    approvers: tuple[PrincipalName, ...] = ()


class Deed(msgspec.Struct):
    """What an executor did; `final` is the type of its last word, empty until then."""

    claimed: bool = False
    final: str = ""
    reason: str = ""


ASKED: Final = Course("asked")
NOTHING_DONE: Final = Deed()


def executor_of(source: SourceName) -> str:
    """The principal that executes on a source."""
    return f"adapter-{source}"


@dataclass
class GateState:
    """All folds of the gate, and indexes over `asked` that only make questions quick.

    `standing` holds the commands of an asset that may still change something, `stops` those in the safe
    direction. They may hold more: whoever reads them drops or moves what does not belong there.
    """

    verified: Verified | None = None
    asked: dict[CommandId, Asked] = field(default_factory=dict)
    courses: dict[CommandId, Course] = field(default_factory=dict)
    deeds: dict[CommandId, dict[str, Deed]] = field(default_factory=dict)
    generations: dict[AssetName, int] = field(default_factory=dict)
    standing: dict[AssetName, dict[CommandId, None]] = field(default_factory=dict)
    stops: dict[CommandId, None] = field(default_factory=dict)
    by_simulation: dict[CommandId, list[CommandId]] = field(default_factory=dict)
    by_sequence: dict[int, CommandId] = field(default_factory=dict)

    def index(self, command: CommandId, asked: Asked) -> None:
        """Enter an intent into the indexes."""
        self.standing.setdefault(asked.intent.asset, {})[command] = None
        self.by_sequence[asked.sequence] = command
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
        return self._state.courses.get(command, ASKED)

    def deed(self, command: CommandId) -> Deed:
        """What its own executor did; what others say of it does not count."""
        said = self._state.deeds.get(command)
        return NOTHING_DONE if said is None else said.get(self.course(command).executor, NOTHING_DONE)

    def generation(self, asset: AssetName) -> int:
        """How often a safe-direction command overtook this asset."""
        return self._state.generations.get(asset, 0)

    def is_over(self, command: CommandId) -> bool:
        """Nothing can happen to it any more, whatever is told later.

        A cancelled or expired command that had a permit is not over: an executor may have claimed it
        before, and only its last word ends it.
        """
        course = self.course(command)
        match course.phase:
            case "denied":
                return True
            case "simulated":
                return not self._waits_for_confirmation(command, course)
            case "cancelled" | "expired" if not course.permitted:
                return True
            case _:
                return course.permitted and bool(self.deed(command).final)

    def is_closed(self, command: CommandId) -> bool:
        """As `is_over`, for people: what the gate ended counts as ended unless an executor is at it."""
        if self.is_over(command):
            return True
        return self.course(command).phase in ("cancelled", "expired") and not self.deed(command).claimed

    def _waits_for_confirmation(self, command: CommandId, course: Course) -> bool:
        waits = course.simulated is not None and course.simulated.next == "confirm"
        return waits and self.confirmed_by(command) is None

    def open_on(self, asset: AssetName) -> list[CommandId]:
        """Normal commands that may still change the asset, in the order of their intents."""
        known = self._state.standing.get(asset, {})
        found = []
        for command in list(known):
            permit = self.course(command).permit
            if self.is_over(command):
                del known[command]  # for ever, so the index may forget it
            elif permit is not None and permit.safe_direction:
                del known[command]
                self._state.stops[command] = None
            else:
                found.append(command)
        return found

    def open_ones(self) -> list[CommandId]:
        """Every command that is not closed, in the order of the intents."""
        stops = self._state.stops
        for command in [each for each in stops if self.is_over(each)]:
            del stops[command]
        found = [each for asset in self._state.standing for each in self.open_on(asset)]
        return sorted(
            (each for each in (*found, *stops) if not self.is_closed(each)),
            key=lambda command: self._state.asked[command].sequence,
        )

    def waiting(self) -> list[CommandId]:
        """Commands that wait for an approval, in the order of their intents."""
        found = [
            command
            for known in self._state.standing.values()
            for command in known
            if self.course(command).phase == "waiting"
        ]
        return sorted(found, key=lambda command: self._state.asked[command].sequence)

    def in_flight(self, asset: AssetName, now: datetime) -> CommandId | None:
        """The normal command that may be writing to the asset now.

        A claimed one stays in flight until its executor says how it ended, an unclaimed one until its
        permit has run out: also when it was cancelled, since the claim may be on its way to us.
        """
        for command in self.open_on(asset):
            permit = self.course(command).permit
            if permit is not None and (self.deed(command).claimed or now <= permit.not_after):
                return command
        return None

    def confirmed_by(self, simulated: CommandId) -> CommandId | None:
        """The command that was permitted by confirming this simulation, whatever became of it."""
        for command in self._state.by_simulation.get(simulated, ()):
            if self.course(command).permitted:
                return command
        return None


def record_request(state: GateState, event: CommandRequested, sequence: int, at: datetime) -> None:
    """The first intent under an identity counts; what comes later under it changes nothing."""
    if event.command in state.asked:
        return
    asked = Asked(event.intent, event.digest, event.login, event.signer, sequence, at)
    state.asked[event.command] = asked
    state.index(event.command, asked)
    _forget(state, at)


def is_forgotten(view: View, command: CommandId, asked: Asked, newest: datetime) -> bool:
    """Whether nothing can follow from a command any more, and its key may be used again."""
    return newest - asked.at > REMEMBER and view.is_over(command)


def _forget(state: GateState, newest: datetime) -> None:
    """Drop the oldest commands as far as they are over, so that memory follows the last days only."""
    view = View(state)
    while state.asked:
        command, asked = next(iter(state.asked.items()))
        if not is_forgotten(view, command, asked, newest):
            return
        del state.asked[command]
        state.courses.pop(command, None)
        state.deeds.pop(command, None)
        state.stops.pop(command, None)
        state.by_sequence.pop(asked.sequence, None)
        state.by_simulation.pop(command, None)
        state.standing.get(asked.intent.asset, {}).pop(command, None)


def simulated_of(event: CommandSimulated) -> Simulated:
    """What has to be kept of a simulation."""
    decision = event.decision
    return Simulated(
        event.next, decision.person, decision.policy, decision.model, event.result, event.expires_at
    )
