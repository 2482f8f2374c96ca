"""Every rule of the judgement, each giving one finding. Pure; `judge` puts them together."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Self

import msgspec

from plantops.events.base import AssetName, CommandId, Digest, OperationName, PrincipalName, Scalar, TagName
from plantops.events.circumstances import NO_CIRCUMSTANCES, Circumstances
from plantops.events.command_parts import (
    RISKS,
    Finding,
    Intent,
    Mode,
    Observation,
    ObservedInput,
    Risk,
    Stage,
    Truth,
)
from plantops.model.assets import Operation
from plantops.model.load import Plant
from plantops.policy import rights
from plantops.policy.acts import is_act
from plantops.policy.arguments import argument_findings, change_findings, is_writable_down
from plantops.policy.circumstantial import (
    Asked,
    bypass_of,
    bypassed_text,
    hindrances,
    limit_findings,
)
from plantops.policy.conditions import Sight, equals, evaluate, read, shown
from plantops.policy.delegated import confirmation_problem
from plantops.policy.document import OperationRule, Policy
from plantops.policy.needs import applying, effective_risk, inputs_needed, operation_of, rule_for
from plantops.policy.verified import Verified, status

NO_MODEL: Final = Digest("")
NO_COMMAND: Final = CommandId("")


@dataclass(frozen=True, slots=True)
class Request:
    """What is judged: an intent as the door took it.

    `signed` says whether the actor's own signature was verified. `model` is the digest that the intent
    states, empty only where it is unsigned. `confirms` is the simulation that it confirms, if any.
    """

    command: CommandId
    asset: AssetName
    operation: OperationName
    arguments: Mapping[str, Scalar]
    actor: PrincipalName
    on_behalf_of: tuple[PrincipalName, ...] = ()
    signed: bool = False
    mode: Mode = "execute"
    issued_at: datetime | None = None
    expires_at: datetime | None = None
    model: Digest = NO_MODEL
    confirms: CommandId = NO_COMMAND

    @classmethod
    def of(cls, command: CommandId, intent: Intent, *, signed: bool, is_safe: bool = False) -> Self:
        """What an intent asks. A stop that says it confirms something is a stop (`is_safe`)."""
        return cls(
            command=command,
            asset=intent.asset,
            operation=intent.operation,
            arguments=intent.arguments,
            actor=intent.actor,
            on_behalf_of=intent.on_behalf_of,
            signed=signed,
            mode=intent.mode,
            issued_at=intent.issued_at,
            expires_at=intent.expires_at,
            model=intent.model,
            confirms=NO_COMMAND if is_safe else intent.confirms,
        )


@dataclass(frozen=True, slots=True)
class Case:
    """A request with all that the rules look at; `inputs` are those needed, as old as they are now."""

    verified: Verified | None
    plant: Plant
    request: Request
    now: datetime
    stage: Stage
    operation: Operation | None
    rule: OperationRule
    risk: Risk
    person: PrincipalName
    inputs: tuple[ObservedInput, ...]
    circumstances: Circumstances = NO_CIRCUMSTANCES

    @classmethod
    def of(
        cls,
        verified: Verified | None,
        plant: Plant,
        request: Request,
        observation: Observation | None,
        now: datetime,
        *,
        stage: Stage,
        circumstances: Circumstances = NO_CIRCUMSTANCES,
    ) -> Self:
        operation = operation_of(plant, request.asset, request.operation)
        rule, person = OperationRule(), ""
        inputs: tuple[ObservedInput, ...] = ()
        if verified is not None:
            policy = verified.policy
            rule = rule_for(policy, request.asset, request.operation)
            person = rights.person_of(policy, request.actor, request.on_behalf_of)
            needed = inputs_needed(policy, plant, request.asset, request.operation)
            inputs = _current(observation, needed, now, policy.clock_skew_seconds)
        return cls(
            verified=verified,
            plant=plant,
            request=request,
            now=now,
            stage=stage,
            operation=operation,
            rule=rule,
            risk=effective_risk(rule, operation),
            person=PrincipalName(person),
            inputs=inputs,
            circumstances=circumstances,
        )

    def findings(self) -> Iterator[Finding]:
        """All rules in their order; without a policy or an operation the rest has nothing to stand on."""
        if self.verified is None:
            yield _finding("policy", "false", "no verified policy is in force: publish one")
            return
        policy = self.verified.policy
        patterns = rights.patterns_for(self.request.asset, self.request.operation)
        yield self._policy(self.verified)
        yield self._audience(policy)
        yield self._identity(policy)
        yield self._person()
        yield self._role(policy, patterns)
        if self.request.confirms:
            yield self._confirmation(policy)
        yield self._operation()
        if self.operation is None:
            return
        yield from argument_findings(self.operation, self.rule, self.request.arguments)
        yield self._model(policy)
        yield self._clock(policy)
        yield self._unsigned(policy)
        if not self.rule.safe_direction:
            yield from self._plant_findings(self.operation, policy, patterns)

    def _policy(self, verified: Verified) -> Finding:
        policy = verified.policy
        name = f"{policy.id} revision {policy.revision}"
        match status(verified, self.now):
            case "in_force":
                return _finding("policy", "true", f"{name} is in force")
            case "not_yet":
                return _finding("policy", "false", f"{name} is not valid before {_time(policy.not_before)}")
            case "expired" if self.rule.safe_direction:
                text = f"{name} expired at {_time(policy.expires)}, it still serves for the safe direction"
                return _finding("policy", "true", text)
            case "expired":
                return _finding(
                    "policy", "false", f"{name} expired at {_time(policy.expires)}: sign a new one"
                )

    def _audience(self, policy: Policy) -> Finding:
        strangers = sorted({each.site for each in self.plant.definitions} - {policy.audience})
        if strangers:
            text = f"the policy is for {policy.audience}, the plant is {', '.join(strangers)}"
            return _finding("audience", "false", text)
        return _finding("audience", "true", f"for {policy.audience}")

    def _identity(self, policy: Policy) -> Finding:
        chain = (self.request.actor, *self.request.on_behalf_of)
        strangers = [name for name in chain if name not in policy.principals]
        if strangers:
            return _finding("identity", "false", f"{', '.join(strangers)}: not in the policy")
        if self.request.on_behalf_of and policy.principals[self.request.actor].kind == "person":
            text = f"{self.request.actor} is a person, and a person asks in his own name"
            return _finding("identity", "false", text)
        return _finding("identity", "true", " for ".join(chain))

    def _person(self) -> Finding:
        if self.person:
            return _finding("person", "true", f"the natural person is {self.person}")
        if self.rule.safe_direction or self.risk == "low" or self.request.mode == "simulate":
            return _finding("person", "true", "no natural person behind it, and none is needed for this")
        text = f"no natural person is behind {self.request.actor}, which risk {self.risk} demands"
        return _finding("person", "false", text)

    def _role(self, policy: Policy, patterns: frozenset[str]) -> Finding:
        target = f"{self.request.asset}.{self.request.operation}"
        chain = (self.request.actor, *self.request.on_behalf_of)
        denied = [name for name in chain if not rights.may(policy, name, patterns)]
        if denied:
            return _finding("role", "false", f"no role of {', '.join(denied)} covers {target}")
        return _finding("role", "true", f"{' and '.join(chain)} may ask {target}")

    def _confirmation(self, policy: Policy) -> Finding:
        actor, chain = self.request.actor, self.request.on_behalf_of
        if problem := confirmation_problem(policy, actor, chain, self.risk):
            return _finding("confirmation", "false", problem)
        return _finding("confirmation", "true", f"{' for '.join((actor, *chain))} may confirm")

    def _operation(self) -> Finding:
        target = f"{self.request.asset}.{self.request.operation}"
        if self.operation is None:
            return _finding("operation", "false", f"the model has no {target}")
        safe = ", safe direction" if self.rule.safe_direction else ""
        return _finding("operation", "true", f"{target}, risk {self.risk}{safe}")

    def _model(self, policy: Policy) -> Finding:
        stated, digest = self.request.model, self.plant.digest
        if policy.model != digest:
            text = f"the policy pins model {policy.model[:12]}, here is {digest[:12]}: sign a policy for it"
            return _finding("model", "false", text)
        if self.rule.safe_direction or stated == digest:
            return _finding("model", "true", f"model {digest[:12]}")
        if stated:
            text = f"the intent was made for model {stated[:12]}, here is {digest[:12]}: ask again"
            return _finding("model", "false", text)
        if self.request.signed:
            return _finding("model", "unknown", "a signed intent must state the model it was made for")
        return _finding("model", "true", f"model {digest[:12]}, which the unsigned intent does not state")

    def _clock(self, policy: Policy) -> Finding:
        if self.rule.safe_direction:
            return _finding("clock", "true", "not asked of the safe direction")
        issued, expires, skew = self.request.issued_at, self.request.expires_at, policy.clock_skew_seconds
        if issued is None or expires is None:
            return _finding(
                "clock", "unknown", "the intent does not say when it was issued and when it expires"
            )
        if issued.tzinfo is None or expires.tzinfo is None:
            return _finding("clock", "unknown", "the intent gives times without a zone")
        bound = timedelta(seconds=skew)
        if issued > self.now + bound or (self.stage == "request" and issued < self.now - bound):
            text = f"issued at {_time(issued)}, more than {skew:g} s from {_time(self.now)}: check the clock"
            return _finding("clock", "false", text)
        if expires <= issued:
            return _finding("clock", "false", f"expires at {_time(expires)}, before it was issued")
        if expires - issued > timedelta(seconds=policy.intent_seconds):
            text = f"lives longer than {policy.intent_seconds:g} s, the most that the policy allows"
            return _finding("clock", "false", text)
        if self.now > expires:
            return _finding("clock", "false", f"expired at {_time(expires)}, it is {_time(self.now)}")
        return _finding("clock", "true", f"issued {_time(issued)}, expires {_time(expires)}")

    def _unsigned(self, policy: Policy) -> Finding:
        if self.request.signed:
            return _finding("unsigned", "true", "signed")
        if self.rule.safe_direction or self.request.mode == "simulate":
            return _finding("unsigned", "true", "unsigned, which is enough for this")
        highest = policy.unsigned_risk
        if highest and RISKS.index(self.risk) <= RISKS.index(highest):
            return _finding("unsigned", "true", f"unsigned, allowed up to risk {highest}")
        text = f"risk {self.risk} needs a signature, unsigned is allowed up to {highest or 'simulation'}"
        return _finding("unsigned", "false", text)

    def _plant_findings(
        self, operation: Operation, policy: Policy, patterns: frozenset[str]
    ) -> Iterator[Finding]:
        asset = self.request.asset
        sight = Sight(self.plant, {one.tag: one for one in self.inputs}, policy.max_age_seconds)
        if self.stage != "execution" and not is_act(self.request.operation):
            yield from self._memory_findings(operation, policy, sight)
        for required in operation.requires:
            seen = read(f"{asset}.{required.property}", sight)
            truth: Truth = "unknown" if isinstance(seen, str) else equals(seen.value, required.equals)
            told = seen if isinstance(seen, str) else f"{asset}.{required.property} is {seen}"
            text = f"{told}, must be {shown(required.equals)}"
            yield _finding(f"mode:{required.property}", truth, _titled(required.text, text))
        yield from change_findings(asset, operation, self.rule, self.request.arguments, sight)
        for permissive in applying(policy, patterns):
            truth, text = evaluate(permissive.require, sight)
            bypass = bypass_of(permissive, asset, policy, self.circumstances, self.now)
            if bypass is not None:
                truth, text = "true", bypassed_text(bypass, truth, text)
            yield _finding(f"permissive:{permissive.id}", truth, _titled(permissive.text, text))

    def _memory_findings(self, operation: Operation, policy: Policy, sight: Sight) -> Iterator[Finding]:
        request, known = self.request, self.circumstances
        yield from hindrances(request.asset, known)
        asked = Asked(request.asset, request.operation, operation, request.arguments, sight)
        yield from limit_findings(policy, asked, known)


def _current(
    observation: Observation | None, needed: tuple[TagName, ...], now: datetime, skew_seconds: float
) -> tuple[ObservedInput, ...]:
    """The needed inputs in the order of their names, aged to `now`. A tag told twice is told not at all."""
    if observation is None or observation.at.tzinfo is None:
        return ()
    late = (now - observation.at).total_seconds()
    if not abs(late) <= skew_seconds:
        return ()
    told: dict[TagName, ObservedInput] = {}
    twice: set[TagName] = set()
    for one in observation.inputs:
        if one.tag in told:
            twice.add(one.tag)
        told[one.tag] = one
    return tuple([_aged(told[tag], max(late, 0.0)) for tag in needed if tag in told and tag not in twice])


def _aged(one: ObservedInput, late: float) -> ObservedInput:
    """With its age now, and without what JSON cannot hold, so that the record judges the same again."""
    age, value = one.age_seconds, one.value
    if age is not None:
        age = age + late if math.isfinite(age) else None
    if value is not None and not is_writable_down(value):
        value = None
    if age == one.age_seconds and value is one.value:
        return one
    return msgspec.structs.replace(one, age_seconds=age, value=value)


def _finding(rule: str, verdict: Truth, text: str) -> Finding:
    return Finding(rule=rule, verdict=verdict, text=text)


def _titled(title: str, text: str) -> str:
    return f"{title}: {text}" if title else text


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
