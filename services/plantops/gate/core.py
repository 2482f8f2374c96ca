"""The gate: lets a command through only when everything needed to judge it is known. Pure.

An intent goes identity → rights → arguments → permissives → limits → simulation → approval, as far as
its risk demands. The gate never reads the plant: each judgement uses the observation that was recorded
with the question, so that replaying the log judges the same and gets the same bytes.

These are command permissives, not safety functions: trips and emergency stops stay in the PLC and in
hard wire (ISO 13850).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from plantops.events import Event, event_type
from plantops.events.base import CommandId, SiteName, is_token
from plantops.events.commands import (
    ApprovalAccepted,
    ApprovalReceived,
    ApprovalRefused,
    ApprovalRequested,
    CommandCancelled,
    CommandClaimed,
    CommandDenied,
    CommandExecuted,
    CommandExpired,
    CommandFailed,
    CommandPermitted,
    CommandRequested,
    CommandSimulated,
    DryRunDone,
    GenerationRaised,
    OutcomeUnknown,
    SafePermitted,
    SimulationOrdered,
)
from plantops.events.operations import PolicyPublished, TimerFired
from plantops.flow.processor import Output, Reads, Recorded
from plantops.gate import approvals, requests, simulations
from plantops.gate.site import Site
from plantops.gate.snapshot import dump, load
from plantops.gate.state import Course, Deed, GateState, executor_of, record_request, simulated_of
from plantops.model.load import Plant
from plantops.policy.document import TrustRoot
from plantops.policy.keyring import Keyring
from plantops.policy.verify import verify_policy
from plantops.runtime.errors import PolicyRejected, Refused

EMITS: tuple[type[Event], ...] = (
    CommandDenied,
    SimulationOrdered,
    CommandSimulated,
    ApprovalRequested,
    ApprovalAccepted,
    ApprovalRefused,
    CommandPermitted,
    SafePermitted,
    GenerationRaised,
    CommandCancelled,
    CommandExpired,
)


def inputs_of(site: str, name: str) -> tuple[Reads, ...]:
    """What a gate of this name folds, besides its own words."""
    answers = ("dry_run", "claimed", "executed", "failed", "outcome_unknown")
    return (
        Reads("POLICY", (f"policy.{site}",)),
        Reads("INTENTS", (f"intent.{site}.>",)),
        Reads("APPROVALS", (f"approval.{site}.>",)),
        Reads("COMMANDS", tuple(f"cmd.{site}.{answer}.*.*" for answer in answers)),
        Reads("TIMERS", (f"timer.{site}.{name}",)),
    )


@dataclass(frozen=True)
class Gate:
    """The core; `name` is its identity and the writer token of its subjects."""

    site: SiteName
    plant: Plant
    root: TrustRoot
    name: str = "gate"
    version: int = 1
    output_stream: str = "COMMANDS"
    emits: tuple[type[Event], ...] = EMITS
    _context: Site = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_context", Site(self.site, self.name, self.plant))

    @property
    def output_filter(self) -> str:
        """Everything that the gate says about commands."""
        return f"cmd.{self.site}.*.{self.name}.*"

    @property
    def consumes(self) -> tuple[Reads, ...]:
        """Policies, intents, approvals, what executors answer, and fired timers."""
        return inputs_of(self.site, self.name)

    def initial(self) -> GateState:
        """Nothing asked, and no policy: everything is denied."""
        return GateState()

    def decide(self, state: GateState, recorded: Recorded) -> Sequence[Output]:
        """The gate's answer to one fact. What cannot be written after all is denied."""
        fact = recorded.fact
        command = getattr(fact, "command", "")
        if not is_token(command) or getattr(fact, "site", "") != self.site:
            return ()
        try:
            return self._decide(state, recorded)
        except Refused as error:
            return [self._context.deny(CommandId(command), f"{error.reason}: {error}")]

    def _decide(self, state: GateState, recorded: Recorded) -> Sequence[Output]:
        match recorded.fact:
            case CommandRequested() as event:
                return requests.decide(self._context, state, event, recorded.at)
            case DryRunDone() as event:
                return simulations.decide(self._context, state, event, recorded.at, recorded.signer)
            case ApprovalReceived() as event:
                return approvals.decide(self._context, state, event, recorded.at)
            case TimerFired() as event:
                return approvals.expire(self._context, state, event, recorded.at)
            case _:
                return ()

    def evolve(self, state: GateState, recorded: Recorded) -> GateState:
        """Remember one fact."""
        fact = recorded.fact
        if isinstance(fact, CommandRequested):
            record_request(state, fact, recorded.sequence, recorded.at)
        elif isinstance(fact, PolicyPublished):
            self._follow(state, fact, recorded)
        elif isinstance(fact, (CommandClaimed, CommandExecuted, CommandFailed, OutcomeUnknown)):
            _record_deed(state, fact, recorded.signer)
        elif type(fact) in _COURSE:
            _COURSE[type(fact)](state, fact)
        return state

    def _follow(self, state: GateState, event: PolicyPublished, recorded: Recorded) -> None:
        """Go on with the last policy that holds: a bad one changes nothing, whoever put it there."""
        try:
            verified = verify_policy(
                event.envelope.encode(), self.root, site=self.site, now=recorded.at, in_force=state.verified
            )
            Keyring(verified.policy)  # the door and every other process must be able to go by it too
        except PolicyRejected:
            return
        state.verified = verified

    def dump(self, state: GateState) -> bytes:
        """Equal folds give equal bytes."""
        return dump(state)

    def load(self, data: bytes) -> GateState:
        """Raises: ValueError when the bytes are no snapshot of this version."""
        return load(data)


def _record_deed(
    state: GateState, event: CommandClaimed | CommandExecuted | CommandFailed | OutcomeUnknown, signer: str
) -> None:
    deed = state.deeds.setdefault(event.command, {}).setdefault(signer, Deed())
    deed.claimed = True
    if isinstance(event, CommandClaimed):
        return
    # The executor's later word (a reconciliation) replaces `outcome unknown`, nothing else.
    if deed.final in ("", event_type(OutcomeUnknown)):
        deed.final = event_type(event)
        deed.reason = "" if isinstance(event, CommandExecuted) else event.reason


def _course(state: GateState, event: Any) -> Course:
    return state.courses.setdefault(event.command, Course("asked"))


def _denied(state: GateState, event: CommandDenied) -> None:
    course = _course(state, event)
    course.phase, course.reason = "denied", event.reason


def _simulating(state: GateState, event: SimulationOrdered) -> None:
    course = _course(state, event)
    course.phase, course.generation = "simulating", event.permit.generation
    course.executor = executor_of(event.permit.source)


def _simulated(state: GateState, event: CommandSimulated) -> None:
    course = _course(state, event)
    course.phase, course.simulated = "simulated", simulated_of(event)


def _waiting(state: GateState, event: ApprovalRequested) -> None:
    course = _course(state, event)
    course.phase, course.approval = "waiting", event


def _accepted(state: GateState, event: ApprovalAccepted) -> None:
    course = _course(state, event)
    course.approvers = (*course.approvers, event.person)


def _permitted(state: GateState, event: CommandPermitted | SafePermitted) -> None:
    course = _course(state, event)
    course.phase, course.permitted, course.permit = "permitted", True, event.permit
    course.generation, course.executor = event.permit.generation, executor_of(event.permit.source)


def _raised(state: GateState, event: GenerationRaised) -> None:
    state.generations[event.asset] = max(event.generation, state.generations.get(event.asset, 0))


def _cancelled(state: GateState, event: CommandCancelled) -> None:
    course = _course(state, event)
    course.phase, course.reason = "cancelled", event.reason


def _expired(state: GateState, event: CommandExpired) -> None:
    course = _course(state, event)
    course.phase, course.reason = "expired", f"nobody answered in time: {event.waiting_for}"


_COURSE: Mapping[type[Any], Callable[[GateState, Any], None]] = MappingProxyType(
    {
        CommandDenied: _denied,
        SimulationOrdered: _simulating,
        CommandSimulated: _simulated,
        ApprovalRequested: _waiting,
        ApprovalAccepted: _accepted,
        CommandPermitted: _permitted,
        SafePermitted: _permitted,
        GenerationRaised: _raised,
        CommandCancelled: _cancelled,
        CommandExpired: _expired,
    }
)
