"""What the gate remembers that a judgement has to know. Pure."""

from __future__ import annotations

from datetime import datetime

from plantops.events.circumstances import NO_CIRCUMSTANCES, Bypass, Circumstances
from plantops.events.command_parts import Decision
from plantops.gate.limits import uses_of
from plantops.gate.state import Asked, GateState, View
from plantops.policy import rights
from plantops.policy.acts import is_act
from plantops.policy.circumstantial import bypass_of
from plantops.policy.document import Policy
from plantops.policy.judge import rule_for
from plantops.policy.needs import applying


def circumstances_of(state: GateState, asked: Asked, now: datetime) -> Circumstances:
    """Lock-outs and bypasses of the asset in the order in which they were made, use of limits, and what
    nobody knows. Nothing for the safe direction, which asks nothing of it.

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
        uses=uses_of(state, verified.policy, asked, now) if of_use else (),
        unreconciled=View(state).unreconciled_on(intent.asset) if of_use else (),
    )
    # The very object: a decision leaves it out of its bytes.
    return NO_CIRCUMSTANCES if known == NO_CIRCUMSTANCES else known


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
