"""The gate: lets a command through only when everything needed to judge it is known. Pure.

An intent goes identity → rights → arguments → permissives → limits → simulation → approval, as far as
its risk demands. The gate never reads the plant: each judgement uses the observation that was recorded
with the question, so that replaying the log judges the same and gets the same bytes.

These are command permissives, not safety functions: trips and emergency stops stay in the PLC and in
hard wire (ISO 13850).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from plantops.events import Event, subjects
from plantops.events.base import CommandId, PrincipalName, SiteName, encode_json, is_token
from plantops.events.commands import (
    ApprovalAccepted,
    ApprovalReceived,
    ApprovalRefused,
    ApprovalRequested,
    CommandCancelled,
    CommandDenied,
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
from plantops.events.governance import (
    ApprovalEscalated,
    ApprovalWithdrawn,
    CommandReconciled,
    PolicyActivated,
    PolicyRefused,
    ReignBegan,
    RootRotated,
)
from plantops.events.operations import PolicyPublished, RootPublished, TimerFired
from plantops.flow.processor import Fact, Output, Reads, Recorded
from plantops.gate import (
    approvals,
    bypasses,
    deeds,
    fallbacks,
    governed,
    limits,
    policy_words,
    reconciling,
    requests,
    simulations,
    withdrawals,
)
from plantops.gate.forgetting import record_request
from plantops.gate.site import Site
from plantops.gate.snapshot import dump, load, pieces
from plantops.gate.state import ASKED, GateState, executor_of, simulated_of
from plantops.model.load import Plant
from plantops.policy.document import TrustRoot
from plantops.runtime.errors import Refused

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
    ApprovalWithdrawn,
    ApprovalEscalated,
    PolicyActivated,
    PolicyRefused,
    RootRotated,
    ReignBegan,
    *governed.EVENTS,
)

# What the stream takes is 256 KiB with headers.
MAX_OUTPUT: Final = 240 * 1024


def inputs_of(site: str, name: str) -> tuple[Reads, ...]:
    """What a gate of this name folds, besides its own words."""
    answers = ("dry_run", "claimed", "executed", "failed", "outcome_unknown", "reconciled")
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
    version: int = 2
    output_stream: str = "COMMANDS"
    emits: tuple[type[Event], ...] = EMITS
    _context: Site = field(init=False, repr=False)
    _office: policy_words.Office = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_context", Site(self.site, self.name, self.plant))
        object.__setattr__(self, "_office", policy_words.Office(self._context, self.root))

    @property
    def output_filter(self) -> str:
        """Everything that the gate says about commands."""
        return f"cmd.{self.site}.*.{self.name}.*"

    @property
    def consumes(self) -> tuple[Reads, ...]:
        """Policies, intents, approvals, what executors answer, and fired timers."""
        return inputs_of(self.site, self.name)

    def began(self, run: str) -> Output:
        """The word with which a run of the gate takes over."""
        event = ReignBegan(site=self.site, writer=PrincipalName(self.name), run=run)
        return Output(subjects.reign(self.site, self.name), event)

    @property
    def awaiting(self) -> str:
        """A deadline that has passed says nothing about a command that was claimed before it."""
        return "TIMERS"

    def awaited(self, fact: Fact) -> Sequence[tuple[str, str]]:
        """The claim of the command whose permit ran out: with it the permit was used."""
        if not isinstance(fact, TimerFired) or fact.purpose != "execution" or not is_token(fact.command):
            return ()
        return (("COMMANDS", f"cmd.{self.site}.claimed.*.{fact.command}"),)

    def initial(self) -> GateState:
        """Nothing asked, and no policy: everything is denied."""
        return GateState()

    def decide(self, state: GateState, recorded: Recorded) -> Sequence[Output]:
        """The gate's answer to one fact. What cannot be written after all is denied."""
        fact = recorded.fact
        if isinstance(fact, (PolicyPublished, RootPublished)):
            return policy_words.decide(self._office, state, fact, recorded.at, recorded.sequence)
        command = getattr(fact, "command", "")
        if not is_token(command) or getattr(fact, "site", "") != self.site:
            return ()
        try:
            outputs = self._decide(state, recorded)
        except Refused as error:
            outputs = [self._context.deny(CommandId(command), f"{error.reason}: {error}")]
        outputs = self._storable(CommandId(command), outputs)
        return [*outputs, *self._outdated(state, outputs)]

    def _storable(self, command: CommandId, outputs: Sequence[Output]) -> Sequence[Output]:
        """A gate that cannot store its answer ends, and ends again on the same fact after each start."""
        sizes = [len(encode_json(output.event)) for output in outputs]
        if max(sizes, default=0) <= MAX_OUTPUT:
            return outputs
        text = (
            f"too_large: {max(sizes)} bytes would have to be stored, the limit is {MAX_OUTPUT}: ask with less"
        )
        return [self._context.deny(command, text)]

    def _outdated(self, state: GateState, outputs: Sequence[Output]) -> Sequence[Output]:
        """What is still to be withdrawn since the policy changed, and was not touched a moment ago."""
        if state.verified is None:
            return ()
        touched = {CommandId(getattr(output.event, "command", "")) for output in outputs}
        return withdrawals.outdated(self._context, state, state.verified, besides=touched)

    def _decide(self, state: GateState, recorded: Recorded) -> Sequence[Output]:
        match recorded.fact:
            case CommandRequested() as event:
                return requests.decide(self._context, state, event, recorded.at)
            case DryRunDone() as event:
                return simulations.decide(self._context, state, event, recorded.at, recorded.signer)
            case ApprovalReceived() as event:
                return approvals.decide(self._context, state, event, recorded.at)
            case TimerFired(purpose="bypass") as event:
                return bypasses.ran_out(self._context, state, event, recorded.at)
            case CommandFailed() | OutcomeUnknown() as event:
                return fallbacks.decide(self._context, state, event, recorded.at, recorded.signer)
            case CommandReconciled() as event:
                return reconciling.concluded(self._context, state, event, recorded.signer)
            case TimerFired() as event:
                return approvals.expire(self._context, state, event, recorded.at)
            case _:
                return ()

    def evolve(self, state: GateState, recorded: Recorded) -> GateState:
        """Remember one fact."""
        fact = recorded.fact
        if isinstance(fact, CommandPermitted):
            limits.record_permit(state, self.plant, fact)
        if isinstance(fact, CommandRequested):
            record_request(state, fact, recorded.sequence, recorded.at)
        elif isinstance(fact, (PolicyPublished, RootPublished)):
            policy_words.fold(self._office, state, fact, recorded.at)
        elif isinstance(fact, DryRunDone):
            simulations.fold_answer(state, fact, recorded.signer, recorded.at)
        elif isinstance(fact, deeds.WORDS):
            deeds.record(state, fact, recorded)
        elif type(fact) in governed.EVENTS:
            governed.fold(state, fact, recorded)
        elif type(fact) in _COURSE:
            _COURSE[type(fact)](state, fact)
        return state

    def dump(self, state: GateState) -> bytes:
        """Equal folds give equal bytes."""
        return dump(state)

    def dump_in_pieces(self, state: GateState) -> Iterator[bytes]:
        """As `dump`, some milliseconds of work each; what is folded in between changes nothing."""
        return pieces(state)

    def load(self, data: bytes) -> GateState:
        """Raises: ValueError when the bytes are no snapshot of this version."""
        return load(data)


def _denied(state: GateState, event: CommandDenied) -> None:
    state.change(event.command, phase="denied", reason=event.reason)


def _simulating(state: GateState, event: SimulationOrdered) -> None:
    simulations.fold_order(state, event)


def _simulated(state: GateState, event: CommandSimulated) -> None:
    simulated = simulated_of(event)
    if state.courses.get(event.command, ASKED).phase == "asked":
        # An act: there was nothing to dry-run, which would have told it.
        state.change(event.command, generation=state.generations.get(event.decision.asset, 0))
    state.change(event.command, phase="simulated", simulated=simulated)
    state.bind(event.command, simulated)
    state.rehearsals.pop(event.command, None)


def _waiting(state: GateState, event: ApprovalRequested) -> None:
    state.change(event.command, phase="waiting", approval=event)


def _accepted(state: GateState, event: ApprovalAccepted) -> None:
    course = state.courses.get(event.command, ASKED)
    state.change(
        event.command,
        approvers=(*course.approvers, event.person),
        approvals=(*course.approvals, event.evidence),
    )


def _escalated(state: GateState, event: ApprovalEscalated) -> None:
    state.change(event.command, escalated_to=event.roles)


def _withdrawn(state: GateState, event: ApprovalWithdrawn) -> None:
    state.change(event.command, approvers=(), approvals=())


def _permitted(state: GateState, event: CommandPermitted | SafePermitted) -> None:
    state.change(
        event.command,
        phase="permitted",
        permitted=True,
        permit=event.permit,
        generation=event.permit.generation,
        executor=executor_of(event.permit.source),
        is_safe=event.permit.safe_direction,
    )


def _raised(state: GateState, event: GenerationRaised) -> None:
    state.generations[event.asset] = max(event.generation, state.generations.get(event.asset, 0))


def _cancelled(state: GateState, event: CommandCancelled) -> None:
    state.change(event.command, phase="cancelled", reason=event.reason, order=None)


def _expired(state: GateState, event: CommandExpired) -> None:
    state.change(event.command, phase="expired", reason=f"nobody answered in time: {event.waiting_for}")
    limits.record_expiry(state, event)


_COURSE: Mapping[type[Any], Callable[[GateState, Any], None]] = MappingProxyType(
    {
        CommandDenied: _denied,
        SimulationOrdered: _simulating,
        CommandSimulated: _simulated,
        ApprovalRequested: _waiting,
        ApprovalAccepted: _accepted,
        ApprovalEscalated: _escalated,
        ApprovalWithdrawn: _withdrawn,
        CommandPermitted: _permitted,
        SafePermitted: _permitted,
        GenerationRaised: _raised,
        CommandCancelled: _cancelled,
        CommandExpired: _expired,
    }
)
