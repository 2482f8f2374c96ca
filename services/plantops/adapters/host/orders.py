"""What the gate orders of an executor, and when its word counts."""

from __future__ import annotations

from typing import TypeAlias

from plantops.events import decode, event_type, subjects
from plantops.events.command_parts import Decision, Permit
from plantops.events.commands import CommandPermitted, SafePermitted, SimulationOrdered
from plantops.events.envelope import Message
from plantops.events.governance import ReconcileOrdered
from plantops.flow.bus import Stored
from plantops.flow.reading import refuse_unknown
from plantops.flow.trust import Trust
from plantops.policy.judge import decision_digest
from plantops.runtime.errors import TrustError

Permission: TypeAlias = CommandPermitted | SafePermitted
Order: TypeAlias = Permission | SimulationOrdered
_ORDERS = (CommandPermitted, SafePermitted, SimulationOrdered, ReconcileOrdered)


def order_of(stored: Stored, trust: Trust) -> Order | ReconcileOrdered:
    """Raises: EventUnreadable, SubjectInvalid, TrustError."""
    refuse_unknown(stored)
    order = decode(stored.data)
    if not isinstance(order, _ORDERS):
        raise TrustError(f"{event_type(order)!r} is no order to an executor")
    said = subjects.parse_command(stored.subject)
    stated = (event_type(order).removeprefix("command."), order.command, order.site)
    named = order.command if isinstance(order, ReconcileOrdered) else order.permit.command
    if stated != (said.event, said.command, said.site) or named != order.command:
        raise TrustError("the subject says something else than the event")
    message = Message(stored.subject, stored.data, stored.headers)
    trust.at(stored.time_ns).believe(event_type(order), order.version, message)
    return order


def decision_problem(order: Order) -> str:
    """Why the decision beside a permit does not carry it; empty when it does."""
    permit = order.permit
    if decision_digest(order.decision) != permit.decision:
        return "the permit names another decision than the one beside it"
    if not isinstance(order, SimulationOrdered) and not _fits(order.decision, permit):
        return "the decision beside the permit does not allow it"
    return ""


def is_safe(order: Order) -> bool:
    """Whether it goes in the safe direction, by the kind of event where that says so."""
    return (
        order.permit.safe_direction if isinstance(order, SimulationOrdered) else type(order) is SafePermitted
    )


def _fits(decision: Decision, permit: Permit) -> bool:
    return decision.allowed and (
        (decision.command, decision.asset, decision.operation, decision.arguments, decision.actor)
        == (permit.command, permit.asset, permit.operation, permit.arguments, permit.actor)
    )
