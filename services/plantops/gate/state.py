"""What the gate remembers: one fold per stream, joined only when asked.

`asked` folds INTENTS; `courses`, `generations`, `uses`, `locks`, `bypasses` and `fallbacks` fold the
gate's own events; `deeds` and `rehearsals` fold what the executors say; `verified` and `root` fold POLICY.
No fold looks at another, so their order cannot matter.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, TypeAlias

import msgspec

from plantops.events.base import AssetName, CommandId, Digest, OperationName, PrincipalName, SourceName
from plantops.events.circumstances import Bypass, LockOut
from plantops.events.command_parts import Intent, ObservedInput, Permit, Write
from plantops.events.commands import ApprovalRequested, CommandRequested, CommandSimulated, DryRunDone
from plantops.events.governance import ReconcileOrdered
from plantops.gate.returned import Returned, kept
from plantops.policy.document import TrustRoot
from plantops.policy.verify import Verified

Phase: TypeAlias = Literal[
    "asked",
    "denied",
    "simulating",
    "simulated",
    "waiting",
    "permitted",
    "cancelled",
    "expired",
    "ordered",
    "done",
]
UNKNOWN: Final = "command.outcome_unknown"
# `c` and a stream sequence, which has 64 bit.
MAX_HANDLE = 21


class Asked(msgspec.Struct, frozen=True):
    """An intent as the door took it; `sequence` is the handle for people (`c12`), 0 for what the gate
    ordered by itself. `evidence` is the exact text that `signer` signed, empty where nobody did."""

    intent: Intent
    digest: Digest
    login: PrincipalName
    signer: str
    sequence: int
    at: datetime
    evidence: str = ""


class Simulated(msgspec.Struct, frozen=True):
    """What a confirmation or an approval is held against; `before` is what stood in the written tags `at` the
    latest (the broker's time of the executor's answer), `told` what an external simulator said (None: not
    kept)."""

    next: Literal["confirm", "approve", "nothing"]
    person: PrincipalName
    policy: Digest
    model: Digest
    result: Digest
    expires_at: datetime
    before: tuple[ObservedInput, ...] = ()
    told: Returned = None
    at: datetime | None = None


class Course(msgspec.Struct, frozen=True):
    """How far the gate took a command.

    `executor` is the one whose answers count, `simulator` the other one who is asked for a dry run, both
    until `until`. `generation` is the asset's when the gate first let it on, `permit` what may be written
    (never that of a dry run), `permitted` stays true whatever follows. `escalated_to` are the roles that may
    approve since nobody answered, None before that; `approvals` are the exact words of `approvers`. `is_safe`
    tells of a permit in the safe direction also when the permit is dropped; `order` is what an act waits for.
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
    approvals: tuple[str, ...] = ()
    simulator: str = ""
    until: datetime | None = None
    escalated_to: tuple[str, ...] | None = None
    is_safe: bool = False
    order: ReconcileOrdered | None = None


class Rehearsal(msgspec.Struct, frozen=True):
    """An executor's first answer to a dry run, and when the broker took it."""

    done: DryRunDone
    at: datetime


class Use(msgspec.Struct, frozen=True):
    """A permitted command in the normal direction, as the limits count it.

    `drift` is how far each numeric argument moved what stood in the device; of the arguments in `unknown`
    that cannot be told. `expired`: nobody took it in time. `chain` are the actor and those it named.
    """

    command: CommandId
    at: datetime
    asset: AssetName
    operation: OperationName
    person: PrincipalName
    drift: dict[str, float] = {}
    unknown: tuple[str, ...] = ()
    expired: bool = False
    chain: tuple[PrincipalName, ...] = ()


class Deed(msgspec.Struct, frozen=True):
    """What an executor did; `final` is the type of its last word, empty until then.

    `claimed_at` and `ended_at` are places in COMMANDS (0: not told), `ended` is the broker's time of the
    last word. `written`: something reached the device, or may have. `undo` takes that back, as recorded
    under `model`. `reconciled` is what the device said once the outcome was unknown, empty until then.
    `outputs` is what an executed operation returned (None: not kept).
    """

    claimed: bool = False
    final: str = ""
    reason: str = ""
    claimed_at: int = 0
    ended_at: int = 0
    ended: datetime | None = None
    written: bool = False
    undo: tuple[Write, ...] = ()
    model: Digest = Digest("")
    reconciled: Literal["", "written", "not_written", "other"] = ""
    outputs: Returned = None


class Fallback(msgspec.Struct, frozen=True):
    """A command that the gate ordered by itself, since `cause` ended half-way."""

    cause: CommandId
    asked: Asked


ASKED: Final = Course("asked")
NOTHING_DONE: Final = Deed()


def signed_text(event: CommandRequested) -> str:
    """What the asker himself signed; empty where nobody did."""
    return event.evidence if event.signer else ""


def executor_of(source: SourceName) -> str:
    """The principal that executes on a source."""
    return f"adapter-{source}"


@dataclass
class GateState:
    """All folds of the gate, and indexes that only make questions quick.

    `standing` holds the commands of an asset that may still change something, `stops` those in the safe
    direction, `bound` those that wait for a person by the digests of policy and model that they were
    simulated under. They may hold more: whoever reads them drops or moves what does not belong there.
    `on_asset` holds all commands of an asset, `unknown` those of which an executor said that it does not
    know. `locks`, `bypasses` and `fallbacks` are by the command that made them.
    `uses` are in the order of the permits; what was permitted until `uses_from` is not all there. `root` is
    the newest trust root that was published, None while it is the pinned one.
    """

    verified: Verified | None = None
    asked: dict[CommandId, Asked] = field(default_factory=dict)
    courses: dict[CommandId, Course] = field(default_factory=dict)
    deeds: dict[CommandId, dict[str, Deed]] = field(default_factory=dict)
    generations: dict[AssetName, int] = field(default_factory=dict)
    rehearsals: dict[CommandId, dict[str, Rehearsal]] = field(default_factory=dict)
    uses: dict[CommandId, Use] = field(default_factory=dict)
    uses_from: datetime | None = None
    root: TrustRoot | None = None
    locks: dict[CommandId, LockOut] = field(default_factory=dict)
    bypasses: dict[CommandId, Bypass] = field(default_factory=dict)
    fallbacks: dict[CommandId, Fallback] = field(default_factory=dict)
    on_asset: dict[AssetName, dict[CommandId, None]] = field(default_factory=dict)
    unknown: dict[CommandId, None] = field(default_factory=dict)
    bound: dict[tuple[Digest, Digest], dict[CommandId, None]] = field(default_factory=dict)
    standing: dict[AssetName, dict[CommandId, None]] = field(default_factory=dict)
    stops: dict[CommandId, None] = field(default_factory=dict)
    by_simulation: dict[CommandId, list[CommandId]] = field(default_factory=dict)
    by_sequence: dict[int, CommandId] = field(default_factory=dict)

    def change(self, command: CommandId, **changed: object) -> None:
        """Take a command further. What it was stays as it was, for whoever holds it (see `held`)."""
        self.courses[command] = msgspec.structs.replace(self.courses.get(command, ASKED), **changed)

    def held(self) -> GateState:
        """The folds as they are now, whatever is folded later; of the indexes only `by_simulation`.

        Values never change, they are replaced: so this copies the dictionaries alone, in a millisecond or
        two for 20,000 commands.
        """
        return GateState(
            verified=self.verified,
            asked=dict(self.asked),
            courses=dict(self.courses),
            deeds=dict(self.deeds),
            generations=dict(self.generations),
            rehearsals={command: dict(given) for command, given in self.rehearsals.items()},
            uses=dict(self.uses),
            uses_from=self.uses_from,
            root=self.root,
            locks=dict(self.locks),
            bypasses=dict(self.bypasses),
            fallbacks=dict(self.fallbacks),
            by_simulation={command: list(each) for command, each in self.by_simulation.items()},
        )

    def index(self, command: CommandId, asked: Asked) -> None:
        """Enter an intent into the indexes."""
        self.standing.setdefault(asked.intent.asset, {})[command] = None
        self.on_asset.setdefault(asked.intent.asset, {})[command] = None
        self.by_sequence[asked.sequence] = command
        if asked.intent.confirms:
            self.by_simulation.setdefault(asked.intent.confirms, []).append(command)

    def index_fallback(self, command: CommandId, fallback: Fallback) -> None:
        """Enter what the gate ordered by itself into the indexes; it is of the safe direction, or denied."""
        self.on_asset.setdefault(fallback.asked.intent.asset, {})[command] = None
        self.stops[command] = None

    def bind(self, command: CommandId, simulated: Simulated) -> None:
        """Enter a simulation into the index of what waits for a person."""
        if simulated.next != "nothing":
            self.bound.setdefault((simulated.policy, simulated.model), {})[command] = None


class View:
    """Joins over the folds; reads only."""

    def __init__(self, state: GateState) -> None:
        self._state = state

    def find(self, text: str) -> CommandId | None:
        """The command meant by an identity or a handle such as `c12`."""
        if text in self._state.asked or text in self._state.fallbacks:
            return CommandId(text)
        if text.startswith("c") and text.isascii() and text[1:].isdigit() and len(text) <= MAX_HANDLE:
            return self._state.by_sequence.get(int(text[1:]))
        return None

    def asked(self, command: CommandId) -> Asked | None:
        """The intent behind a command, also behind one that the gate ordered by itself."""
        known = self._state.asked.get(command)
        if known is None and command in self._state.fallbacks:
            return self._state.fallbacks[command].asked
        return known

    def handle(self, command: CommandId) -> str:
        """What people call it: `c12`, or the identity where it has no such handle."""
        asked = self.asked(command)
        return f"c{asked.sequence}" if asked is not None and asked.sequence else command

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
            case "denied" | "done":
                return True
            case "simulated":
                return not self._waits_for_confirmation(command, course)
            case "cancelled" | "expired" if not course.permitted:
                return True
            case _:
                return course.permitted and bool(self.deed(command).final)

    def waits_for_person(self, command: CommandId) -> bool:
        """Whether a confirmation or an approval would let it on."""
        course = self.course(command)
        return course.phase == "waiting" or (
            course.phase == "simulated" and self._waits_for_confirmation(command, course)
        )

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
            key=lambda command: asked.sequence if (asked := self.asked(command)) else 0,
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

    def is_unknown(self, command: CommandId) -> bool:
        """A command, also a stop, of which nobody knows what it did: the device may still be asked."""
        deed = self.deed(command)
        return deed.final == UNKNOWN and not deed.reconciled

    def is_unreconciled(self, command: CommandId) -> bool:
        """A normal command of which nobody knows what it did."""
        return self.is_unknown(command) and not self.course(command).is_safe

    def unreconciled_on(self, asset: AssetName) -> tuple[CommandId, ...]:
        """Those of one asset, in the order of their intents."""
        found = [
            (asked.sequence, command)
            for command in self._state.unknown
            if (asked := self._state.asked.get(command)) is not None
            and asked.intent.asset == asset
            and self.is_unreconciled(command)
        ]
        return tuple(command for _sequence, command in sorted(found))

    def confirmed_by(self, simulated: CommandId) -> CommandId | None:
        """The command that was permitted by confirming this simulation, whatever became of it."""
        for command in self._state.by_simulation.get(simulated, ()):
            course = self.course(command)
            if course.permitted or course.phase in ("ordered", "done"):
                return command
        return None


def simulated_of(event: CommandSimulated) -> Simulated:
    """What has to be kept of a simulation."""
    by = event.decision
    told = kept(event.simulated)
    return Simulated(
        event.next, by.person, by.policy, by.model, event.result, event.expires_at, event.before, told, by.now
    )
