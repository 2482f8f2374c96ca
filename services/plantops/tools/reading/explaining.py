"""What the gate would say to an intent now, and why: the same judgement on the same kind of observation.

Nothing is asked of the gate but what it tells everybody. What it does not tell is named, not guessed. It is
no promise: the plant may be another one when the intent comes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta

from plantops.events.base import AssetName, CommandId, OperationName, PrincipalName, Record, Scalar
from plantops.events.circumstances import NO_CIRCUMSTANCES, Circumstances
from plantops.events.command_parts import Decision, Finding, Mode, Observation, ObservedInput, Risk
from plantops.events.provenance import Provenance
from plantops.events.queries import (
    CircumstancesAsked,
    CircumstancesTold,
    CommandsAsked,
    CommandsListed,
    HoldsAsked,
    HoldsListed,
)
from plantops.events.subjects import service
from plantops.flow.observing import Observer
from plantops.policy.acts import CANCEL, UNDO, is_act
from plantops.policy.delegated import is_confirmed_first
from plantops.policy.judge import Request, inputs_needed, judge, rule_for
from plantops.policy.needs import limits_on
from plantops.policy.rights import patterns_for
from plantops.tools.contract import Arguments, Call, Page, Tool, ToolError

_LIFE: Final = timedelta(seconds=60)
_LISTED: Final = 1000
# One question, and two where it is not answered: all of them within the tool's time.
_TRIES: Final = 4

Verdict: TypeAlias = Literal["deny", "execute", "simulate", "confirm", "approve", "not_known"]


class PolicyExplain(Arguments, frozen=True):
    """The intent that would be sent, in the name of who asks here."""

    asset: Annotated[str, Meta(min_length=1, max_length=64, description="Such as pump-001.")]
    operation: Annotated[
        str, Meta(min_length=1, max_length=64, description="Such as SetSpeed; or an act, such as act-lock.")
    ]
    arguments: Annotated[
        dict[str, Scalar], Meta(max_length=64, description="As the operation takes them, by name.")
    ] = {}
    mode: Annotated[Mode, Meta(description="execute; or simulate, which permissives do not stop.")] = (
        "execute"
    )
    signed: Annotated[bool, Meta(description="Whether the intent would be signed, as agents do.")] = True


class Explained(Record, frozen=True):
    """`verdict`: it would be denied, executed at once, simulated and nothing more, or simulated and then wait
    for a person's confirmation, or for the approval of others; `not_known` where that hangs on what is named
    in `not_known`.

    `findings` are those of the gate's rules in its order and words, `reason` is the first that does not hold.
    `inputs` are the values that were judged, with where they stand in TAGS.
    """

    verdict: Verdict
    text: str
    reason: str
    risk: Risk
    safe_direction: bool
    person: PrincipalName
    findings: tuple[Finding, ...]
    inputs: tuple[ObservedInput, ...]
    judged_at: datetime
    policy: str
    not_known: tuple[str, ...] = ()


async def policy_explain(call: Call, asked: PolicyExplain) -> Page[Explained]:
    """Judge the caller's intent as the gate would."""
    policy = call.verified.policy
    is_safe = rule_for(policy, asked.asset, asked.operation).safe_direction
    observation = None if is_safe else await _observe(call, asked)
    memory = _NOTHING if is_safe else await _remembered(call, asked)
    now = call.now() if observation is None else observation.at
    decision = judge(
        call.verified,
        call.plant,
        _request(call, asked, now),
        observation,
        now,
        stage="simulation" if asked.mode == "simulate" else "request",
        circumstances=memory.circumstances,
    )
    not_known = tuple(_not_known(call, asked, decision, memory))
    verdict, text, reason = _verdict(call, asked, decision, memory)
    explained = Explained(
        verdict=verdict,
        text=text,
        reason=reason,
        risk=decision.risk,
        safe_direction=decision.safe_direction,
        person=decision.person,
        findings=decision.findings,
        inputs=decision.inputs,
        judged_at=now,
        policy=f"{policy.id} revision {policy.revision}",
        not_known=not_known,
    )
    return Page(explained, provenance=tuple(map(_place, decision.inputs)))


async def _observe(call: Call, asked: PolicyExplain) -> Observation:
    """As the gate's door does: what the rules need, from the frames themselves."""
    needed = inputs_needed(call.verified.policy, call.plant, asked.asset, asked.operation)
    observer = Observer(call.site, call.bus, call.plant, call.in_force, call.now)
    return await observer.observe(needed)


def _request(call: Call, asked: PolicyExplain, now: datetime) -> Request:
    return Request(
        command=CommandId(""),
        asset=AssetName(asked.asset),
        operation=OperationName(asked.operation),
        arguments=asked.arguments,
        actor=call.chain[0],
        on_behalf_of=call.chain[1:],
        signed=asked.signed,
        mode=asked.mode,
        issued_at=now,
        expires_at=now + _LIFE,
        model=call.plant.digest,
    )


@dataclass(frozen=True, slots=True)
class _Memory:
    """What the gate tells of its own past. `uncounted` are the limits whose use it did not tell, `older` how
    many commands may hide an unknown outcome, `busy` why no other command starts on the asset."""

    circumstances: Circumstances
    busy: str = ""
    uncounted: tuple[str, ...] = ()
    older: int = 0


_NOTHING: Final = _Memory(NO_CIRCUMSTANCES)


async def _remembered(call: Call, asked: PolicyExplain) -> _Memory:
    """The gate's circumstances; where it does not tell them, or judges by another policy, what it lists."""
    question = CircumstancesAsked(
        asset=AssetName(asked.asset),
        operation=OperationName(asked.operation),
        actor=call.chain[0],
        on_behalf_of=call.chain[1:],
    )
    soon = replace(call, timeout_seconds=call.timeout_seconds / _TRIES)
    try:
        told = await soon.ask(service("command", call.site, "circumstances"), question, CircumstancesTold)
    except ToolError:
        return await _listed(soon, asked)
    if told.policy != call.verified.digest:
        return await _listed(soon, asked)
    return _Memory(told.circumstances, told.busy, told.uncounted)


async def _listed(call: Call, asked: PolicyExplain) -> _Memory:
    """Without the use of limits, which no list tells. Raises: ToolError when the gate tells nothing."""
    asset = AssetName(asked.asset)
    commands = await call.ask(
        service("command", call.site, "list"), CommandsAsked(limit=_LISTED), CommandsListed
    )
    holds = await call.ask(service("command", call.site, "holds"), HoldsAsked(asset=asset), HoldsListed)
    now = call.now()
    if is_act(asked.operation):
        limits: tuple[str, ...] = ()
    else:
        covering = limits_on(call.verified.policy, patterns_for(asset, asked.operation))
        limits = tuple(limit.id for limit in covering)
    return _Memory(
        Circumstances(
            lockouts=holds.lockouts,
            bypasses=tuple(one for one in holds.bypasses if now < one.expires_at),
            unreconciled=() if is_act(asked.operation) else _unreconciled(call, asked, commands),
        ),
        busy=_in_flight(asked, commands),
        uncounted=limits,
        older=commands.total - len(commands.commands),
    )


def _unreconciled(call: Call, asked: PolicyExplain, commands: CommandsListed) -> tuple[CommandId, ...]:
    """In the order in which they were asked; the list has the newest first."""
    return tuple(
        one.command
        for one in reversed(commands.commands)
        if one.asset == asked.asset
        and one.outcome == "command.outcome_unknown"
        and not one.reconciled
        and not rule_for(call.verified.policy, one.asset, one.operation).safe_direction
    )


def _not_known(call: Call, asked: PolicyExplain, decision: Decision, memory: _Memory) -> Iterator[str]:
    """What the gate knows and did not tell, as far as it could change its answer."""
    if decision.safe_direction:
        return
    for limit in memory.uncounted:
        yield f"how far the limit {limit} is used: only the gate counts that, and it did not tell"
    if memory.older:
        yield f"{memory.older} commands before the newest {_LISTED}: an outcome among them may be unknown"
    if asked.operation == UNDO:
        yield "whether that command can be undone, and the rules on what it would write: simulate it"
    elif is_act(asked.operation):
        yield "whether there is such a thing to act on: simulate it"
    if asked.operation == CANCEL:
        yield "whether the command is one's own, which may be cancelled without a role"
    principal = call.verified.policy.principals.get(call.chain[0])
    if asked.mode == "execute" and principal is not None and principal.kind == "agent":
        yield "what the proposal rests on: if on more than the person's words, it waits for a confirmation"


def _verdict(
    call: Call, asked: PolicyExplain, decision: Decision, memory: _Memory
) -> tuple[Verdict, str, str]:
    """What would come of it, in words, and the first rule that stands in the way."""
    guessed = {f"limit:{limit}" for limit in memory.uncounted}
    failed = [one for one in _judged(asked, decision) if one.verdict != "true"]
    if any(one.rule not in guessed for one in failed):
        # The gate names the first of all, also where a simulation is not stopped by that one.
        first = next(one for one in decision.findings if one.verdict != "true" and one.rule not in guessed)
        return _denied(f"{first.rule}: {first.text}")
    if failed:
        return "not_known", "all else would let it pass; how far its limits are used is not known here", ""
    if asked.mode == "simulate":
        return "simulate", "the gate would simulate it and write nothing", ""
    if decision.safe_direction:
        return "execute", "the gate would let it pass at once: it goes in the safe direction", ""
    if decision.risk == "critical":
        return "approve", "the gate would simulate it, then other persons would have to approve it", ""
    rule = rule_for(call.verified.policy, asked.asset, asked.operation)
    if is_confirmed_first(call.verified.policy, rule, decision.risk, actor=call.chain[0], derived_from=()):
        return "confirm", "the gate would simulate it, then a person would have to confirm it", ""
    if memory.busy:
        return _denied(memory.busy)
    return "execute", "the gate would let it pass", ""


def _denied(reason: str) -> tuple[Verdict, str, str]:
    return "deny", f"the gate would deny it: {reason}", reason


def _judged(asked: PolicyExplain, decision: Decision) -> list[Finding]:
    """What stops it: permissives and modes do not stop a simulation, which tells of them."""
    if asked.mode != "simulate":
        return list(decision.findings)
    return [one for one in decision.findings if not one.rule.startswith(("permissive", "mode"))]


def _in_flight(asked: PolicyExplain, commands: CommandsListed) -> str:
    if is_act(asked.operation):
        return ""
    for one in commands.commands:
        is_open = one.phase == "permitted" and one.outcome in ("", "command.claimed")
        if one.asset == asked.asset and is_open:
            return f"in_flight: {one.handle} ({one.operation}) is still being executed on {asked.asset}"
    return ""


def _place(seen: ObservedInput) -> Provenance:
    return Provenance(
        channel="tag",
        name=seen.tag,
        stream="TAGS" if seen.sequence else "",
        sequence=seen.sequence,
        quality=seen.quality,
    )


POLICY_EXPLAIN: Final = Tool(
    name="policy-explain",
    description=(
        "What the gate would say to an operation now and why, without asking for it: each rule with its "
        "finding on the live plant, whether it would be simulated first, and who would have to confirm or "
        "approve."
    ),
    risk="low",
    arguments=PolicyExplain,
    result=Explained,
    work=policy_explain,
)
