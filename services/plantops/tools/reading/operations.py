"""What can be asked of assets: each operation of the model, with what it takes and what stands before it."""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeAlias

from msgspec import Meta

from plantops.events.base import AssetName, OperationName, Record
from plantops.events.command_parts import Risk
from plantops.events.provenance import Provenance
from plantops.events.tooling import ToolListed
from plantops.model.assets import Requirement
from plantops.policy.conditions import shown
from plantops.policy.document import Compare, Condition, Every, Limit, Negate, Permissive
from plantops.policy.needs import applying, limits_on, rule_for
from plantops.policy.rights import patterns_for
from plantops.tools.chain import may_ask
from plantops.tools.contract import Arguments, Call, Page, Tool, ToolError
from plantops.tools.listing import operations
from plantops.tools.reading.cursors import cut

Json: TypeAlias = Any


class AssetOperations(Arguments, frozen=True):
    """Whose operations."""

    asset: Annotated[str, Meta(max_length=64, description="One asset by name; empty: all of them.")] = ""
    operation: Annotated[str, Meta(max_length=64, description="One operation by name; empty: each.")] = ""


class OperationShown(Record, frozen=True):
    """An operation. `tool` is its name among the tools, `arguments` their JSON Schema with units and ranges.

    `requires` and `permissives` must hold on the live plant, or the gate denies it; `limits` bound how often
    and how far. `may_ask`: a role of everybody in the chain covers it. Of risk critical `approvals` other
    persons of `approval_roles` must approve.
    """

    tool: str
    asset: AssetName
    operation: OperationName
    description: str
    risk: Risk
    arguments: dict[str, Json]
    safe_direction: bool
    simulate_first: bool
    may_ask: bool
    requires: tuple[str, ...] = ()
    permissives: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    approvals: int = 0
    approval_roles: tuple[str, ...] = ()


class OperationsGiven(Record, frozen=True):
    """Sorted by asset and name."""

    operations: tuple[OperationShown, ...]
    total: int


async def asset_operations(call: Call, asked: AssetOperations) -> Page[OperationsGiven]:
    """Out of the model and the policy in force; no process is asked."""
    listed = [
        one
        for one in operations(call.plant, call.verified.policy)
        if asked.asset in ("", one.asset) and asked.operation in ("", one.operation)
    ]
    if not listed and (asked.asset or asked.operation):
        wanted = f"{asked.asset or '*'}.{asked.operation or '*'}"
        raise ToolError("not_found", f"the model has no operation {wanted}: see twin-find")
    page, following = cut(listed, call.cursor, call.rows)
    return Page(
        OperationsGiven(operations=tuple(_shown(call, one) for one in page), total=len(listed)),
        provenance=tuple(Provenance(channel="asset", name=one.asset) for one in page),
        next=following,
    )


def _shown(call: Call, listed: ToolListed) -> OperationShown:
    policy = call.verified.policy
    operation = call.plant.operation(listed.asset, listed.operation)
    assert operation is not None  # it was listed out of this model
    rule = rule_for(policy, listed.asset, listed.operation)
    patterns = patterns_for(listed.asset, listed.operation)
    is_approved = listed.risk == "critical" and not listed.safe_direction
    return OperationShown(
        tool=listed.name,
        asset=AssetName(listed.asset),
        operation=OperationName(listed.operation),
        description=operation.description,
        risk=listed.risk,
        arguments=listed.arguments,
        safe_direction=listed.safe_direction,
        simulate_first=listed.simulate_first,
        may_ask=may_ask(policy, call.chain, listed.asset, listed.operation),
        requires=()
        if listed.safe_direction
        else tuple(_requirement(listed.asset, r) for r in operation.requires),
        permissives=() if listed.safe_direction else tuple(map(_permissive, applying(policy, patterns))),
        limits=() if listed.safe_direction else tuple(map(_limit, limits_on(policy, patterns))),
        approvals=max(1, rule.approvals) if is_approved else 0,
        approval_roles=rule.approval_roles if is_approved else (),
    )


def _requirement(asset: str, required: Requirement) -> str:
    text = f"{asset}.{required.property} == {shown(required.equals)}"
    return f"{required.text}: {text}" if required.text else text


def _permissive(permissive: Permissive) -> str:
    text = f"{permissive.id}: {_condition(permissive.require)}"
    return f"{text} ({permissive.text})" if permissive.text else text


def _condition(condition: Condition) -> str:
    match condition:
        case Compare():
            value = f"{shown(condition.value)} {condition.unit}".rstrip()
            return f"{condition.property} {condition.op} {value}"
        case Negate():
            return f"not ({_condition(condition.of)})"
        case _:
            word = " and " if isinstance(condition, Every) else " or "
            return word.join(f"({_condition(each)})" for each in condition.of)


def _limit(limit: Limit) -> str:
    bounds = [
        f"{limit.calls} in {limit.window_seconds:g} s" if limit.calls is not None else "",
        f"{limit.concurrent} at a time" if limit.concurrent is not None else "",
        *(
            f"{name} by {most:g} in sum in {limit.window_seconds:g} s"
            for name, most in sorted(limit.drift.items())
        ),
    ]
    return f"{limit.id}: at most {', '.join(filter(None, bounds))} per {limit.per}"


ASSET_OPERATIONS: Final = Tool(
    name="asset-operations",
    description=(
        "What can be asked of an asset, or of all: each operation with its arguments, units and ranges, its "
        "risk, the conditions that must hold, and whether it is simulated or approved first."
    ),
    risk="low",
    arguments=AssetOperations,
    result=OperationsGiven,
    work=asset_operations,
    items="operations",
)
