"""What the gate remembers that a judgement has to know. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from plantops.events.circumstances import NO_CIRCUMSTANCES, Bypass, Circumstances
from plantops.events.command_parts import Decision
from plantops.gate.limits import uses_of
from plantops.gate.state import Asked, GateState, View
from plantops.policy import rights
from plantops.policy.acts import is_act
from plantops.policy.circumstantial import bypass_of
from plantops.policy.document import Policy
from plantops.policy.judge import rule_for
from plantops.policy.needs import applying, limits_on

MAX_LOOKED_AT: Final = 2_000
"""Some ten milliseconds."""


def circumstances_of(state: GateState, asked: Asked, now: datetime, *, counts: bool = True) -> Circumstances:
    """Lock-outs and bypasses of the asset in the order in which they were made, use of limits where it
    `counts`, and what nobody knows. Nothing for the safe direction, which asks nothing of it.

    An act is told of locks and bypasses alone: it is neither counted nor hindered.
    """
    intent, verified = asked.intent, state.verified
    if verified is None or rule_for(verified.policy, intent.asset, intent.operation).safe_direction:
        return NO_CIRCUMSTANCES
    locks = [lock for lock in state.locks.values() if lock.asset == intent.asset]
    bypasses = [
        each for each in state.bypasses.values() if each.asset == intent.asset and now < each.expires_at
    ]
    of_use = not is_act(intent.operation)
    known = Circumstances(
        lockouts=tuple(sorted(locks, key=lambda lock: (lock.since, lock.lock))),
        bypasses=tuple(sorted(bypasses, key=lambda each: (each.since, each.bypass))),
        uses=uses_of(state, verified.policy, asked, now) if of_use and counts else (),
        unreconciled=View(state).unreconciled_on(intent.asset) if of_use else (),
    )
    # The very object: a decision leaves it out of its bytes.
    return NO_CIRCUMSTANCES if known == NO_CIRCUMSTANCES else known


def too_much_to_count(state: GateState, policy: Policy, asked: Asked, now: datetime) -> tuple[str, ...]:
    """The limits that cover the command, when counting their use would look at more than `MAX_LOOKED_AT`
    permits; none when it would not. An intent is counted whatever it takes, a question is not."""
    intent = asked.intent
    if is_act(intent.operation):
        return ()
    covering = tuple(limits_on(policy, rights.patterns_for(intent.asset, intent.operation)))
    longest = max((limit.window_seconds for limit in covering), default=0.0)
    since, looked_at = now - timedelta(seconds=longest), 0
    for use in reversed(state.uses.values()):
        if use.at <= since:
            break
        looked_at += len(covering)
        if looked_at > MAX_LOOKED_AT:
            return tuple(limit.id for limit in covering)
    return ()


def counted(policy: Policy, decision: Decision) -> tuple[Bypass, ...]:
    """The bypasses without which a decision would have been judged by a permissive, in their order."""
    known = decision.circumstances
    patterns = rights.patterns_for(decision.asset, decision.operation)
    used = {
        bypass.bypass
        for permissive in applying(policy, patterns)
        if (bypass := bypass_of(permissive, decision.asset, policy, known, decision.now)) is not None
    }
    return tuple(each for each in known.bypasses if each.bypass in used)
