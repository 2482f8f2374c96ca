"""Where a command stands, in the words of HTTP. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final, Literal

from plantops.events.command_parts import Risk
from plantops.events.queries import CommandStatus
from plantops.gateway.shapes.commands import CommandShown, State
from plantops.model.load import Plant
from plantops.policy.acts import is_act
from plantops.policy.document import OperationRule, Policy
from plantops.policy.judge import rule_for
from plantops.policy.needs import effective_risk, operation_of

FINAL: Final[frozenset[State]] = frozenset(
    ("executed", "done", "denied", "cancelled", "expired", "failed", "unknown")
)
_OUTCOMES: Final[Mapping[str, State]] = MappingProxyType(
    {
        "command.claimed": "executing",
        "command.executed": "executed",
        "command.failed": "failed",
        "command.outcome_unknown": "unknown",
        "command.denied": "denied",
        "command.cancelled": "cancelled",
        "command.expired": "expired",
    }
)
_PHASES: Final[Mapping[str, State]] = MappingProxyType(
    {
        "asked": "asked",
        "denied": "denied",
        "simulating": "simulating",
        "simulated": "simulated",
        "waiting": "waiting",
        "permitted": "permitted",
        "ordered": "executing",
        "cancelled": "cancelled",
        "expired": "expired",
        "done": "done",
    }
)
_PROGRESS: Final[Mapping[State, float]] = MappingProxyType(
    {"asked": 0.1, "simulating": 0.2, "simulated": 0.4, "waiting": 0.5, "permitted": 0.7, "executing": 0.8}
)


def state_of(status: CommandStatus) -> State:
    """The gate's word, unless the executor has said more. A word that is not known here is `unknown`."""
    if status.outcome:
        return _OUTCOMES.get(status.outcome, "unknown")
    return _PHASES.get(status.phase, "unknown")


def waits_for(status: CommandStatus, now: datetime | None = None) -> Literal["", "approval", "confirmation"]:
    """What a person must do, as long as there is time for it."""
    state = state_of(status)
    if state == "waiting":
        return "approval"
    if state != "simulated" or status.next != "confirm" or status.confirmed_by:
        return ""
    is_late = status.expires_at is not None and (now or datetime.now(UTC)) >= status.expires_at
    return "" if is_late else "confirmation"


def is_at_rest(status: CommandStatus) -> bool:
    """Whether nothing more happens to it without a person."""
    return state_of(status) in FINAL or state_of(status) in ("simulated", "waiting")


def risk_of(policy: Policy | None, plant: Plant, asset: str, operation: str) -> Risk:
    """The higher of policy and model; the highest where that cannot be told."""
    rule = OperationRule() if policy is None else rule_for(policy, asset, operation)
    return effective_risk(rule, operation_of(plant, asset, operation))


def requester_of(status: CommandStatus) -> str:
    """For whom it was asked: the person at the end of the chain."""
    return status.on_behalf_of[-1] if status.on_behalf_of else status.actor


def shown(status: CommandStatus, policy: Policy | None, plant: Plant) -> CommandShown:
    """As `/v1/commands` tells it."""
    state, waiting = state_of(status), waits_for(status)
    return CommandShown(
        command=status.command,
        handle=status.handle,
        asset=status.asset,
        operation=status.operation,
        arguments=status.arguments,
        mode=status.mode,
        risk=risk_of(policy, plant, status.asset, status.operation),
        by=status.actor,
        requester=requester_of(status),
        state=state,
        is_final=state in FINAL or (state == "simulated" and not waiting),
        progress=1.0 if state in FINAL else _PROGRESS[state],
        reason=status.reason,
        waits_for=waiting,
        asked_at=status.asked_at,
        expires_at=status.expires_at,
        simulation=status.simulation_digest,
        confirms=status.confirms,
        confirmed_by=status.confirmed_by,
        reconciled=status.reconciled,
        can_undo=status.undo,
        links=links_of(status, waiting),
    )


def links_of(status: CommandStatus, waiting: str) -> dict[str, str]:
    """What can be done with it now, by its name."""
    place = place_of(status.command)
    links = {"self": place}
    if waiting == "confirmation":
        links["confirm"] = f"{place}/confirm"
    if waiting == "approval":
        links["approve"] = "/v1/approvals"
    if state_of(status) not in FINAL and not is_act(status.operation):
        links["cancel"] = f"{place}/cancel"
    if status.undo:
        links["undo"] = f"{place}/undo"
    return links


def place_of(command: str) -> str:
    """Where a command is told."""
    return f"/v1/commands/{command}"
