"""What the policy says about an operation, and what must be observed to judge it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from plantops.events.base import TagName
from plantops.events.command_parts import RISKS, Risk
from plantops.model.assets import Operation
from plantops.model.check import undo_operation
from plantops.model.load import Plant
from plantops.policy import rights
from plantops.policy.acts import ACTS, is_act
from plantops.policy.arguments import change_targets
from plantops.policy.document import Compare, Condition, Limit, Negate, OperationRule, Permissive, Policy

_NO_RULE: Final = OperationRule()


def rule_for(policy: Policy, asset: str, operation: str) -> OperationRule:
    """The one rule that counts: `asset.operation`, else `asset.*`, else `*.operation`, else the defaults.

    No `asset.*` stands for an act."""
    rules = policy.operations
    if is_act(operation):
        return rules.get(f"{asset}.{operation}") or rules.get(f"*.{operation}") or _NO_RULE
    return (
        rules.get(f"{asset}.{operation}")
        or rules.get(f"{asset}.*")
        or rules.get(f"*.{operation}")
        or _NO_RULE
    )


def effective_risk(rule: OperationRule, operation: Operation | None) -> Risk:
    """The higher of policy and model; the highest where neither says, or the operation is not known."""
    said = [risk for risk in (rule.risk, operation.risk if operation else None) if risk is not None]
    if operation is None or not said:
        return "critical"
    return max(said, key=lambda risk: RISKS.index(risk) if risk in RISKS else len(RISKS))


def undo_hindrance(policy: Policy, plant: Plant, asset: str, operation: str) -> str:
    """Why an operation cannot be undone by the one that the model names for it; empty when it can.

    An undo takes what the operation takes that it undoes; who may ask for that must not thereby get by the
    risk, the simulation or the approvers of another. What goes in the safe direction takes none of them.
    """
    found = plant.operation(asset, operation)
    name = undo_operation(found.undo) if found is not None else None
    if name is None:
        return ""
    own, other = rule_for(policy, asset, operation), rule_for(policy, asset, name)
    if other.safe_direction:
        return ""
    risk, higher = effective_risk(own, found), effective_risk(other, plant.operation(asset, name))
    if RISKS.index(higher) > RISKS.index(risk):
        return f"it is undone by {name}, which has risk {higher}: ask for {name} itself"
    if other.simulate and not own.simulate and risk in ("low", "medium"):
        return f"it is undone by {name}, which is simulated first: ask for {name} itself"
    are_enough = own.approvals >= other.approvals and _approvers(own) <= _approvers(other)
    if higher == "critical" and not are_enough:
        return f"it is undone by {name}, which others approve: ask for {name} itself"
    return ""


def _approvers(rule: OperationRule) -> frozenset[str]:
    return frozenset((*rule.approval_roles, *rule.escalation_roles))


def inputs_needed(policy: Policy, plant: Plant, asset: str, operation: str) -> tuple[TagName, ...]:
    """The tags that must be observed to judge the operation, sorted; none for the safe direction."""
    found, rule = plant.operation(asset, operation), rule_for(policy, asset, operation)
    if found is None or rule.safe_direction:
        return ()
    names = {f"{asset}.{required.property}" for required in found.requires}
    for permissive in applying(policy, rights.patterns_for(asset, operation)):
        names.update(_properties(permissive.require))
    bounded = {argument for argument, limit in rule.limits.items() if limit.max_change is not None}
    for usage in limits_on(policy, rights.patterns_for(asset, operation)):
        bounded.update(usage.drift)
    for argument in bounded:
        names.update(change_targets(asset, found, argument))
    tags = (plant.tag_of(name) for name in names)
    return tuple(sorted(tag for tag in tags if tag is not None))


def operation_of(plant: Plant, asset: str, operation: str) -> Operation | None:
    """The operation as the model describes it, or an act on an asset of the model; None for neither."""
    act = ACTS.get(operation)
    if act is None or asset not in plant.model.assets:
        return plant.operation(asset, operation)
    return Operation(description=act.text, risk=act.risk, arguments=dict(act.arguments))


def limits_on(policy: Policy, patterns: frozenset[str]) -> Iterator[Limit]:
    """The limits that cover an operation."""
    return (each for each in policy.limits if rights.covers(each.applies, patterns))


def applying(policy: Policy, patterns: frozenset[str]) -> Iterator[Permissive]:
    return (each for each in policy.permissives if rights.covers(each.applies, patterns))


def _properties(condition: Condition) -> Iterator[str]:
    if isinstance(condition, Compare):
        yield condition.property
    elif isinstance(condition, Negate):
        yield from _properties(condition.of)
    else:
        for each in condition.of:
            yield from _properties(each)
