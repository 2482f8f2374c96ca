"""What the gate's decisions have in common: the place, and how an answer is addressed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from plantops.events import Event, event_type
from plantops.events.base import AssetName, CommandId, SiteName
from plantops.events.command_parts import Decision, Finding, Observation, Permit, Stage
from plantops.events.commands import CommandDenied, GenerationRaised
from plantops.events.subjects import command as command_subject
from plantops.events.subjects import generation as generation_subject
from plantops.flow.processor import Output
from plantops.gate.state import Asked, GateState, View
from plantops.model.load import Plant
from plantops.policy.judge import Request, decision_digest, judge, rule_for
from plantops.policy.writes import Plan, plan_of


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
        """Judge an intent with what was observed for it, at the broker's time `now`."""
        intent = asked.intent
        verified = state.verified
        is_safe = (
            verified is not None and rule_for(verified.policy, intent.asset, intent.operation).safe_direction
        )
        request = Request(
            command=command,
            asset=intent.asset,
            operation=intent.operation,
            arguments=intent.arguments,
            actor=intent.actor,
            on_behalf_of=intent.on_behalf_of,
            signed=bool(asked.signer),
            mode=intent.mode,
            issued_at=intent.issued_at,
            expires_at=intent.expires_at,
            model=intent.model,
            # A stop that says it confirms something is a stop.
            confirms=CommandId("") if is_safe else intent.confirms,
        )
        return judge(verified, self.plant, request, observation, now, stage=stage)

    def permit(
        self,
        state: GateState,
        command: CommandId,
        asked: Asked,
        decision: Decision,
        *,
        generation: int,
        plan: Plan | None = None,
    ) -> Permit:
        """What an executor may do, for as long as the policy's rule says; only for an allowing decision.

        `plan` is the operation's own where none is given. Raises: Refused when the model cannot say what is
        to be done.
        """
        intent = asked.intent
        if plan is None:
            plan = plan_of(self.plant, intent.asset, intent.operation, intent.arguments)
        assert state.verified is not None
        rule = rule_for(state.verified.policy, intent.asset, intent.operation)
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
            compensates=found is not None and found.compensate == "restore",
            policy=decision.policy,
            model=decision.model,
            decision=decision_digest(decision),
            not_after=decision.now + timedelta(seconds=rule.execute_seconds),
            safe_direction=decision.safe_direction,
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
    name = f"c{asked.sequence} ({asked.intent.operation})" if asked else other
    return f"in_flight: {name} is still being executed on {asset}; wait for its outcome, or stop the asset"
