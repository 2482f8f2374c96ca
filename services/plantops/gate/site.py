"""What the gate's decisions have in common: the place, and how an answer is addressed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from plantops.events import Event, event_type
from plantops.events.base import AssetName, CommandId, SiteName, SourceName
from plantops.events.command_parts import Decision, Finding, Observation, Permit, Stage
from plantops.events.commands import CommandDenied, GenerationRaised
from plantops.events.subjects import command as command_subject
from plantops.events.subjects import generation as generation_subject
from plantops.flow.processor import Output
from plantops.gate import undoing
from plantops.gate.circumstances import circumstances_of, counted
from plantops.gate.given import grants_of
from plantops.gate.state import Asked, GateState, View
from plantops.model.load import Plant
from plantops.policy.acts import is_act
from plantops.policy.judge import Request, decision_digest, judge, rule_for
from plantops.policy.needs import undo_hindrance
from plantops.policy.writes import Plan, plan_of
from plantops.runtime.errors import Refused


@dataclass(frozen=True)
class Site:
    """Where the gate stands and under which name it speaks."""

    site: SiteName
    name: str
    plant: Plant

    def say(self, event: Event) -> Output:
        """Address an event about a command."""
        kind = event_type(event).removeprefix("command.")
        if isinstance(event, GenerationRaised):
            return Output(generation_subject(self.site, self.name, event.asset), event)
        command = getattr(event, "command")  # noqa: B009 - every other event of the gate has one
        return Output(command_subject(self.site, kind, self.name, command), event)

    def deny(self, command: CommandId, reason: str, decision: Decision | None = None) -> Output:
        """A final no."""
        return self.say(CommandDenied(site=self.site, command=command, reason=reason, decision=decision))

    def judge(
        self,
        state: GateState,
        command: CommandId,
        asked: Asked,
        *,
        observation: Observation | None,
        now: datetime,
        stage: Stage,
    ) -> Decision:
        """Judge an intent with what was observed for it, at the broker's time `now`.

        An undo is judged as the operation that it undoes, and by the rules of the one that undoes it, where
        the model names one. Raises: Refused when it cannot be undone.
        """
        meant = undoing.meant(self.plant, state, command, asked)
        if meant is not asked and state.verified is not None:
            policy, intent = state.verified.policy, meant.intent
            if problem := undo_hindrance(policy, self.plant, intent.asset, intent.operation):
                raise Refused(problem, reason="undo")
        decision = self.judge_words(state, command, meant, observation=observation, now=now, stage=stage)
        if meant is asked or not decision.allowed or stage == "simulation":
            return decision
        other = undoing.other_way(self.plant, meant)
        if other is None:
            return decision
        back = self.judge_words(state, command, other, observation=observation, now=now, stage=stage)
        return decision if back.allowed else back

    def judge_words(
        self,
        state: GateState,
        command: CommandId,
        asked: Asked,
        *,
        observation: Observation | None,
        now: datetime,
        stage: Stage,
    ) -> Decision:
        """Judge an intent by the very operation or act that it names."""
        intent = asked.intent
        verified = state.verified
        is_safe = (
            verified is not None and rule_for(verified.policy, intent.asset, intent.operation).safe_direction
        )
        request = Request.of(command, intent, signed=bool(asked.signer), is_safe=is_safe)
        return judge(
            verified,
            self.plant,
            request,
            observation,
            now,
            stage=stage,
            circumstances=circumstances_of(state, asked, now),
        )

    def plan(self, state: GateState, asked: Asked) -> Plan:
        """What is to be done, for an undo what was recorded. Raises: Refused when the model cannot say it."""
        if undoing.is_undo(asked):
            return undoing.plan_of_undo(self.plant, state, asked.intent)
        intent = asked.intent
        if is_act(intent.operation):
            return Plan(source=SourceName(""))  # done here, at no device
        return plan_of(self.plant, intent.asset, intent.operation, intent.arguments)

    def permit(
        self,
        state: GateState,
        command: CommandId,
        asked: Asked,
        decision: Decision,
        *,
        generation: int,
        plan: Plan | None = None,
        approvals: tuple[str, ...] = (),
    ) -> Permit:
        """What an executor may do, for as long as the policy's rule says; only for an allowing decision.

        `plan` is the operation's own where none is given; `approvals` are the exact signed ones.
        Raises: Refused when the model cannot say what is to be done.
        """
        intent = undoing.meant(self.plant, state, command, asked).intent
        undoes = undoing.target_of(state, asked.intent) if undoing.is_undo(asked) else CommandId("")
        if plan is None:
            plan = self.plan(state, asked)
        assert state.verified is not None
        rule = rule_for(state.verified.policy, intent.asset, intent.operation)
        bypasses = counted(state.verified.policy, decision)
        found = self.plant.operation(intent.asset, intent.operation)
        return Permit(
            site=self.site,
            source=plan.source,
            command=command,
            intent=asked.digest,
            asset=intent.asset,
            operation=intent.operation,
            arguments=intent.arguments,
            actor=intent.actor,
            on_behalf_of=intent.on_behalf_of,
            generation=generation,
            writes=plan.writes,
            invocation=plan.invocation,
            compensates=found is not None and found.compensate == "restore" and not undoes,
            bypasses=bypasses,
            grants=grants_of(state, bypasses),
            undoes=undoes,
            policy=decision.policy,
            model=decision.model,
            decision=decision_digest(decision),
            not_after=decision.now + timedelta(seconds=rule.execute_seconds),
            safe_direction=decision.safe_direction,
            evidence=asked.evidence,
            approvals=approvals,
        )


def first_reason(decision: Decision) -> str:
    """The first rule that did not hold, in words."""
    failed: Finding | None = next((f for f in decision.findings if f.verdict != "true"), None)
    return f"{failed.rule}: {failed.text}" if failed else "nothing speaks against it"


def busy(view: View, asset: AssetName, now: datetime, command: CommandId) -> str:
    """Why a normal command must not start on this asset now; empty when it may."""
    other = view.in_flight(asset, now)
    if other is None or other == command:
        return ""
    asked = view.asked(other)
    name = f"{view.handle(other)} ({asked.intent.operation})" if asked else other
    end = "wait for its executor's last word, which a stop does not replace"
    return f"in_flight: {name} is still being executed on {asset}: {end}"
