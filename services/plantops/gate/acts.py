"""The gate's answer to an act: a lock, a bypass, a cancel, an undo, a reconciliation. Pure.

An act goes the way of every intent up to the judgement; then it is done here instead of being permitted to
an executor. An undo alone goes on as the operation that it undoes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import Literal

import msgspec

from plantops.events.base import CommandId
from plantops.events.command_parts import Decision
from plantops.events.commands import CommandRequested, CommandSimulated
from plantops.events.governance import ActDone
from plantops.flow.processor import Output
from plantops.gate import bypasses, cancelling, locks, reconciling, simulations, undoing
from plantops.gate.doing import Act, Doing
from plantops.gate.site import Site, first_reason
from plantops.gate.state import Asked, GateState
from plantops.policy.acts import BYPASS, CANCEL, END_BYPASS, LOCK, RECONCILE, UNDO, UNLOCK
from plantops.policy.judge import rule_for
from plantops.runtime.errors import Refused

_DOERS: Mapping[str, Callable[[Act], Doing]] = MappingProxyType(
    {
        LOCK: locks.lock,
        UNLOCK: locks.unlock,
        BYPASS: bypasses.grant,
        END_BYPASS: bypasses.end,
        CANCEL: cancelling.cancel,
        RECONCILE: reconciling.order,
    }
)


def decide(
    site: Site,
    state: GateState,
    event: CommandRequested,
    asked: Asked,
    *,
    why_not: Callable[[Decision], str],
) -> Sequence[Output] | None:
    """Do the act, or deny it, or ask for what its risk demands; None: an undo that may be judged further.

    `why_not` says why a confirmation does not count. Nothing is dry-run: what would be done is told at once.
    """
    simulates = event.intent.mode == "simulate"
    decision = site.judge_words(
        state,
        event.command,
        asked,
        observation=event.observation,
        now=asked.at,
        stage="simulation" if simulates else "request",
    )
    act = Act(site, state, event.command, asked, decision)
    try:
        if not _is_allowed(act):
            return [site.deny(event.command, first_reason(decision), decision)]
        if event.intent.operation == UNDO:
            undoing.meant(site.plant, state, event.command, asked)  # raises where it cannot be undone
            return None
        doing = _DOERS[event.intent.operation](act)
    except Refused as error:
        return [site.deny(event.command, f"{error.reason}: {error}", decision)]
    if simulates:
        return [site.say(_told(act, doing, "nothing"))]
    return _by_risk(act, doing, why_not)


def complete(
    site: Site, state: GateState, command: CommandId, asked: Asked, decision: Decision
) -> list[Output]:
    """Do an act that was judged anew with the last approval."""
    act = Act(site, state, command, asked, decision)
    try:
        return _done(act, _DOERS[asked.intent.operation](act))
    except Refused as error:
        return [site.deny(command, f"{error.reason}: {error}", decision)]


def _is_allowed(act: Act) -> bool:
    """Each rule holds; of who takes his own word back no role is asked."""
    failed = {finding.rule for finding in act.decision.findings if finding.verdict != "true"}
    if act.asked.intent.operation == CANCEL and failed == {"role"}:
        return cancelling.is_own(act)
    return act.decision.allowed


def _by_risk(act: Act, doing: Doing, why_not: Callable[[Decision], str]) -> list[Output]:
    site, intent, decision = act.site, act.asked.intent, act.decision
    rule = rule_for(act.policy, intent.asset, intent.operation)
    if decision.risk == "critical":
        told = _told(act, doing, "approve")
        wanted = simulations.ask_approval(site, act.asked, told, rule, decision.now)
        return [site.say(told), site.say(wanted)]
    if simulations.is_confirmed_first(act.state, act.asked, decision):
        if not intent.confirms:
            return [site.say(_told(act, doing, "confirm"))]
        if refused := why_not(decision):
            return [site.deny(act.command, f"confirmation: {refused}", decision)]
    return _done(act, doing)


def _told(act: Act, doing: Doing, next_step: Literal["confirm", "approve", "nothing"]) -> CommandSimulated:
    """What would be done, in words: there is no device to ask."""
    intent, decision = act.asked.intent, act.decision
    rule = rule_for(act.policy, intent.asset, intent.operation)
    seconds = rule.approval_seconds if next_step == "approve" else rule.confirm_seconds
    told = CommandSimulated(
        site=act.site.site,
        command=act.command,
        before=(),
        projected={},
        decision=decision,
        result=simulations.NOTHING,
        next=next_step,
        expires_at=decision.now + timedelta(seconds=seconds),
        simulated={"act": doing.text},
    )
    return msgspec.structs.replace(told, result=simulations.result_digest(told, ()))


def _done(act: Act, doing: Doing) -> list[Output]:
    outputs = [act.site.say(event) for event in doing.events]
    if doing.is_done:
        done = ActDone(
            site=act.site.site,
            command=act.command,
            act=act.asked.intent.operation,
            text=doing.text,
            decision=act.decision,
        )
        outputs.append(act.site.say(done))
    return outputs
