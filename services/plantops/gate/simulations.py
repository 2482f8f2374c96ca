"""Simulation: who is asked for a dry run, and the permissives judged on the projected state. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

import msgspec

from plantops.events.base import CommandId, Digest, Scalar, encode_json
from plantops.events.command_parts import Decision, Observation, Permit
from plantops.events.commands import (
    ApprovalRequested,
    CommandExpired,
    CommandSimulated,
    DryRunDone,
    SimulationOrdered,
)
from plantops.flow.processor import Output
from plantops.gate.site import Site, first_reason
from plantops.gate.state import Asked, Course, GateState, Rehearsal, View, executor_of
from plantops.gate.undoing import is_undo
from plantops.policy import delegated
from plantops.policy.document import OperationRule
from plantops.policy.judge import decision_digest, rule_for
from plantops.policy.projection import project
from plantops.policy.writes import simulator_of

WAITING_FOR: Final = "simulation"
NOTHING: Final = Digest("")


def order(site: Site, state: GateState, command: CommandId, asked: Asked, decision: Decision) -> list[Output]:
    """Ask the executor for a dry run, and then the operation's external simulator, where it has one.

    Their sources differ (`model.check`), so their answers can be told apart. Raises: Refused when the model
    cannot say what is to be done.
    """
    intent = asked.intent
    plan = site.plan(state, asked)
    simulator = None
    if not is_undo(asked):
        simulator = simulator_of(site.plant, intent.asset, intent.operation, intent.arguments)
    generation, outputs = View(state).generation(intent.asset), []
    for each in (plan, simulator):
        if each is None:
            continue
        paper = site.permit(state, command, asked, decision, generation=generation, plan=each)
        ordered = SimulationOrdered(
            site=site.site, command=command, permit=_prolonged(paper), decision=decision
        )
        outputs.append(site.say(ordered))
    return outputs


def _prolonged(paper: Permit) -> Permit:
    """A dry run may take as long as the one that is asked has to answer."""
    if paper.invocation is None:
        return paper
    longer = timedelta(seconds=paper.invocation.timeout_seconds)
    return msgspec.structs.replace(paper, not_after=paper.not_after + longer)


@dataclass(frozen=True, slots=True)
class Both:
    """The answers to a dry run: the executor's, and the simulator's where one was asked."""

    executor: Rehearsal
    simulator: Rehearsal | None = None

    @property
    def at(self) -> datetime:
        """When the later one came."""
        return self.executor.at if self.simulator is None else max(self.executor.at, self.simulator.at)

    @property
    def encoded(self) -> tuple[tuple[str, ...], ...]:
        """What each of them would send to its device."""
        return (self.executor.done.encoded, () if self.simulator is None else self.simulator.done.encoded)

    def outcome(self) -> dict[str, Scalar] | str:
        """What both say would happen; a text when they contradict each other."""
        done = self.executor.done.simulated
        told = {} if self.simulator is None else self.simulator.done.simulated
        for name, value in told.items():
            other = done.get(name, value)
            if encode_json(other) != encode_json(value):
                return f"the simulator says {name} = {value!r}, the executor {other!r}"
        return {**done, **told}


def fold_order(state: GateState, event: SimulationOrdered) -> None:
    """Remember who was asked: the executor first, the simulator after it."""
    course, asked = View(state).course(event.command), executor_of(event.permit.source)
    is_second = course.phase == "simulating"
    state.change(
        event.command,
        phase="simulating",
        executor=course.executor if is_second else asked,
        simulator=asked if is_second else course.simulator,
        generation=event.permit.generation,
        until=max(event.permit.not_after, course.until or event.permit.not_after),
    )


def fold_answer(state: GateState, event: DryRunDone, signer: str, at: datetime) -> None:
    """Keep the first answer of each who may be asked, while it can still count."""
    course = state.courses.get(event.command)
    if course is None or course.phase in ("asked", "simulating"):
        state.rehearsals.setdefault(event.command, {}).setdefault(signer, Rehearsal(event, at))


def decide(site: Site, state: GateState, event: DryRunDone, now: datetime, signer: str) -> Sequence[Output]:
    """Tell what would happen, and what it takes to let it happen. An unexpected answer changes nothing.

    Each answer counts only from the executor of the source that was asked, and only the first. Judged is
    what the executor saw, at the time of its answer, since a simulator may take longer than inputs stay
    fresh. Raises: Refused when the model no longer says what is to be written.
    """
    view = View(state)
    asked, course = view.asked(event.command), view.course(event.command)
    if asked is None or course.phase != "simulating" or state.verified is None:
        return ()
    given = state.rehearsals.get(event.command, {})
    if signer not in (course.executor, course.simulator) or signer in given:
        return ()
    if course.until is not None and now > course.until:
        return [site.say(CommandExpired(site=site.site, command=event.command, waiting_for=WAITING_FOR))]
    if not event.ok:
        return [site.deny(event.command, f"simulation: {_whose(course, signer)}{event.problem}")]
    if course.generation != view.generation(asked.intent.asset):
        return [site.deny(event.command, f"simulation: {asked.intent.asset} was stopped meanwhile")]
    told = {**given, signer: Rehearsal(event, now)}
    if course.executor not in told or (course.simulator and course.simulator not in told):
        return ()
    both = Both(told[course.executor], told.get(course.simulator))
    return _conclude(site, state, event.command, asked, both)


def _whose(course: Course, signer: str) -> str:
    return f"{signer}: " if course.simulator and signer == course.simulator else ""


def _conclude(site: Site, state: GateState, command: CommandId, asked: Asked, both: Both) -> Sequence[Output]:
    assert state.verified is not None
    done = both.executor.done
    outcome = both.outcome()
    if isinstance(outcome, str):
        return [site.deny(command, f"simulation: {outcome}")]
    writes = site.plan(state, asked).writes
    seen = done.observation
    projected = None if seen is None else Observation(at=seen.at, inputs=project(seen.inputs, writes))
    decision = site.judge(
        state, command, asked, observation=projected, now=both.executor.at, stage="simulation"
    )
    if not decision.allowed:
        return [site.deny(command, f"simulation: {first_reason(decision)}", decision)]
    rule = rule_for(state.verified.policy, decision.asset, decision.operation)
    next_step = _next(state, asked, decision)
    seconds = rule.approval_seconds if next_step == "approve" else rule.confirm_seconds
    simulated = CommandSimulated(
        site=site.site,
        command=command,
        before=done.before,
        projected={write.tag: write.value for write in writes},
        decision=decision,
        result=NOTHING,
        next=next_step,
        expires_at=both.at + timedelta(seconds=seconds),
        simulated=outcome,
    )
    simulated = msgspec.structs.replace(simulated, result=result_digest(simulated, both.encoded))
    outputs = [site.say(simulated)]
    if next_step == "approve":
        outputs.append(site.say(ask_approval(site, asked, simulated, rule, both.at)))
    return outputs


def _next(state: GateState, asked: Asked, decision: Decision) -> Literal["confirm", "approve", "nothing"]:
    if decision.risk == "critical":
        return "approve" if asked.intent.mode == "execute" else "nothing"
    return "confirm" if is_confirmed_first(state, asked, decision) else "nothing"


def is_confirmed_first(state: GateState, asked: Asked, decision: Decision) -> bool:
    """Whether it waits for a person's confirmation of its simulation (`policy.delegated`)."""
    if state.verified is None:
        return False
    policy, intent = state.verified.policy, asked.intent
    rule = rule_for(policy, decision.asset, decision.operation)
    return delegated.is_confirmed_first(
        policy, rule, decision.risk, actor=intent.actor, derived_from=intent.derived_from
    )


def result_digest(simulated: CommandSimulated, encoded: tuple[tuple[str, ...], ...]) -> Digest:
    """SHA-256 of all that a person could see before he confirms: what stood there, what will, the bytes for
    the device, what the simulator said, and the judgement."""
    parts = [
        simulated.before,
        simulated.projected,
        encoded,
        simulated.simulated,
        decision_digest(simulated.decision),
    ]
    return Digest(hashlib.sha256(encode_json(parts)).hexdigest())


def ask_approval(
    site: Site, asked: Asked, simulated: CommandSimulated, rule: OperationRule, now: datetime
) -> ApprovalRequested:
    """Ask other persons to sign the decision of a simulation."""
    patience = rule.escalate_seconds
    return ApprovalRequested(
        site=site.site,
        command=simulated.command,
        intent=asked.digest,
        decision=decision_digest(simulated.decision),
        needed=max(1, rule.approvals),
        roles=rule.approval_roles,
        expires_at=simulated.expires_at,
        asset=asked.intent.asset,
        operation=asked.intent.operation,
        arguments=asked.intent.arguments,
        requester=asked.intent.actor,
        escalates_at=None if patience is None else now + timedelta(seconds=patience),
    )
