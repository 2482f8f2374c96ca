"""Decision vectors: the decisions that a policy must give before it counts. Pure.

A vector is judged at the first moment of the policy's validity, on the request stage, with fresh times and
limits that nobody has used: so every process that knows the plant comes to the same result, whenever it asks.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import msgspec

from plantops.events.base import AssetName, CommandId, Digest, OperationName, PrincipalName
from plantops.events.circumstances import Circumstances, LimitUse
from plantops.events.command_parts import Decision, Observation, ObservedInput
from plantops.model.load import Plant
from plantops.policy.document import Policy, Vector
from plantops.policy.judge import judge
from plantops.policy.rules import Request
from plantops.policy.verified import Verified

_LIFE = timedelta(seconds=60)


class Result(msgspec.Struct, frozen=True):
    """What a vector gave. `rule` is the first finding that does not hold, empty when it is allowed; `text`
    says what was wanted and what came."""

    id: str
    passed: bool
    expect: str
    allowed: bool
    rule: str
    text: str


def run_vectors(verified: Verified, plant: Plant, vectors: Iterable[Vector] | None = None) -> list[Result]:
    """Every vector of the policy in its order, or those given."""
    return [
        _run(vector, verified, plant) for vector in (verified.policy.vectors if vectors is None else vectors)
    ]


def failing(verified: Verified, plant: Plant) -> Result | None:
    """The first vector that does not hold; None when all do."""
    for vector in verified.policy.vectors:
        result = _run(vector, verified, plant)
        if not result.passed:
            return result
    return None


def assumed(policy: Policy, plant: Plant) -> Verified:
    """A document as if it were verified, for `plant`: to see what it would decide before anybody signs it."""
    return Verified(
        policy=msgspec.structs.replace(policy, model=plant.digest), digest=Digest(""), envelope=b""
    )


def _run(vector: Vector, verified: Verified, plant: Plant) -> Result:
    problem = _impossible(vector, plant)
    if problem:
        return Result(vector.id, False, vector.expect, False, "", problem)
    decision = _judged(vector, verified, plant)
    rule, told = _first_against(decision)
    wanted = "allowed" if vector.expect == "allow" else f"denied by {vector.rule}"
    came = "allowed" if decision.allowed else f"denied by {rule} ({told})"
    if vector.expect == "allow":
        passed = decision.allowed
    else:
        passed = not decision.allowed and vector.rule in (rule, rule.partition(":")[0])
    text = came if passed else f"wanted: {wanted}; came: {came}"
    return Result(vector.id, passed, vector.expect, decision.allowed, rule, text)


def _impossible(vector: Vector, plant: Plant) -> str:
    """Why it cannot be judged as it was meant."""
    tags: dict[str, str] = {}
    for name in vector.inputs:
        tag = plant.tag_of(name)
        if tag is None:
            return f"the model has no {name}: correct the vector's inputs"
        if tag in tags:
            return f"{tags[tag]} and {name} are one tag: give one of them"
        tags[tag] = name
    return ""


def _judged(vector: Vector, verified: Verified, plant: Plant) -> Decision:
    now = verified.policy.not_before
    request = Request(
        command=CommandId(f"vector-{vector.id}"),
        asset=AssetName(vector.asset),
        operation=OperationName(vector.operation),
        arguments=vector.arguments,
        actor=PrincipalName(vector.actor),
        on_behalf_of=tuple(PrincipalName(name) for name in vector.on_behalf_of),
        signed=vector.signed,
        issued_at=now,
        expires_at=now + _LIFE,
        model=plant.digest,
    )
    inputs = tuple(
        ObservedInput(tag=tag, value=seen.value, quality=seen.quality, age_seconds=seen.age_seconds)
        for name, seen in vector.inputs.items()
        if (tag := plant.tag_of(name)) is not None
    )
    unused = Circumstances(uses=tuple(LimitUse(limit=limit.id) for limit in verified.policy.limits))
    observation = Observation(at=now, inputs=inputs)
    return judge(verified, plant, request, observation, now, stage="request", circumstances=unused)


def _first_against(decision: Decision) -> tuple[str, str]:
    for finding in decision.findings:
        if finding.verdict != "true":
            return finding.rule, finding.text
    return "", ""
