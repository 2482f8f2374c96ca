"""What cannot be meant by limits, bypass classes, vectors, revocations or fallbacks is refused."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import pytest

from plantops.policy.document import (
    BypassClass,
    Limit,
    OperationRule,
    Policy,
    Revoked,
    Role,
    Vector,
    VectorInput,
)
from plantops.policy.soundness import problems
from support.plant_samples import NOW, POLICY, key, with_policy

KEY = key("lost").public.to_base64()


def limit(**changed: object) -> Policy:
    fields: dict[str, object] = {"id": "x", "applies": ("pump.SetSpeed",), "calls": 3}
    return with_policy(limits=(Limit(**{**fields, **changed}),))  # type: ignore[arg-type]


def bypass(**changed: object) -> Policy:
    fields: dict[str, object] = {"permissives": ("cool",), "roles": ("supervisor",), "max_seconds": 3600.0}
    return with_policy(bypass_classes={"x": BypassClass(**{**fields, **changed})})  # type: ignore[arg-type]


def vector(**changed: object) -> Policy:
    fields: dict[str, object] = {
        "id": "x", "asset": "pump", "operation": "Stop", "actor": "bob", "expect": "deny", "rule": "role",
    }  # fmt: skip
    return with_policy(vectors=(Vector(**{**fields, **changed}),))  # type: ignore[arg-type]


def rule(pattern: str = "pump.SetSpeed", **changed: object) -> Policy:
    made = OperationRule(**changed)  # type: ignore[arg-type]
    return with_policy(operations={"*.Stop": OperationRule(safe_direction=True), pattern: made})


def revoked(*keys: str, since: datetime = NOW, size: int = 0) -> Policy:
    return with_policy(revoked=tuple(Revoked(key=each, since=since, audit_size=size) for each in keys))


def roles(pattern: str) -> Policy:
    return with_policy(roles={**POLICY.roles, "guest": Role(operations=(pattern,))})


ESCALATED: dict[str, Any] = {
    "approval_seconds": 900.0,
    "escalate_seconds": 300.0,
    "escalation_roles": ("supervisor",),
}
SOUND = [
    POLICY,
    limit(),
    limit(calls=None, drift={"RPM": 0.0}),
    limit(calls=None, concurrent=1, applies=("*.act-bypass", "*")),
    bypass(),
    vector(),
    vector(expect="allow", rule=""),
    vector(inputs={"pump.speed": VectorInput(value=None, quality=0, age_seconds=None)}),
    rule(fallback="Stop"),
    rule("*.SetSpeed", fallback="Stop"),
    rule(**ESCALATED),
    rule("*.act-bypass", risk="critical"),
    rule("pump.act-lock"),
    roles("*.act-unlock"),
    revoked(KEY),
]
UNSOUND = [
    (limit(id=""), "1 limits with the id ''"),
    (with_policy(limits=limit().limits * 2), "2 limits"),
    (limit(applies=()), "applies to nothing"),
    (limit(applies=("pump",)), "'pump'"),
    (limit(applies=("pump.act-fly",)), "no act"),
    (limit(window_seconds=0.0), "window_seconds"),
    (limit(window_seconds=math.inf), "window_seconds"),
    (limit(window_seconds=32 * 86_400.0), "window_seconds"),
    (limit(calls=None), "bounds nothing"),
    (limit(calls=-1), "calls -1"),
    (limit(concurrent=-1), "concurrent -1"),
    (limit(drift={"RPM": -1.0}), "drift -1.0"),
    (limit(drift={"RPM": math.nan}), "drift nan"),
    (bypass(permissives=()), "no permissives"),
    (bypass(permissives=("warm",)), "'warm', which is not defined"),
    (bypass(roles=()), "no roles"),
    (bypass(roles=("king",)), "'king', which is not defined"),
    (bypass(max_seconds=0.0), "max_seconds"),
    (bypass(max_seconds=367 * 86_400.0), "max_seconds"),
    (with_policy(vectors=vector().vectors * 2), "2 vectors"),
    (vector(rule=""), "by no rule"),
    (vector(expect="allow"), "names the rule"),
    (vector(asset="a.b"), "'a.b'"),
    (vector(actor=""), "''"),
    (vector(inputs={"speed": VectorInput(value=1)}), "asset.property"),
    (vector(inputs={"pump.speed": VectorInput(value=1, quality=300)}), "quality 300"),
    (vector(inputs={"pump.speed": VectorInput(value=1, age_seconds=-1.0)}), "age -1.0"),
    (rule("pump.*", fallback="Stop"), "only one operation"),
    (rule("*.Start", safe_direction=True, fallback="Stop"), "only one operation"),
    (rule("*.act-undo", fallback="Stop"), "only one operation"),
    (rule(fallback="Start"), "not in the safe direction"),
    (rule(fallback="pump.Stop"), "of the same asset"),
    (rule("*.act-lock", safe_direction=True), "no act is"),
    (rule("pump.act-fly"), "no act"),
    (rule(**{**ESCALATED, "escalate_seconds": 900.0}), "less than approval_seconds"),
    (rule(**{**ESCALATED, "escalate_seconds": 0.0}), "escalate_seconds"),
    (rule(**{**ESCALATED, "escalate_seconds": None}), "both, or neither"),
    (rule(**{**ESCALATED, "escalation_roles": ()}), "both, or neither"),
    (rule(**{**ESCALATED, "escalation_roles": ("king",)}), "'king', which is not defined"),
    (rule(**{**ESCALATED, "escalation_roles": ("operator",)}), "only persons approve"),
    (roles("*.act-fly"), "no act"),
    (revoked("AAAA"), "no Ed25519"),
    (revoked(KEY, KEY), "2 times"),
    (revoked(KEY, since=NOW.replace(tzinfo=None)), "without a zone"),
    (revoked(KEY, size=-1), "-1 audit records"),
    (revoked(POLICY.principals["alice"].keys[0]), "lists it for 'alice'"),
    (with_policy(revision=2**53), "beyond"),
]


@pytest.mark.parametrize("policy", SOUND)
def test_what_can_be_meant_is_taken(policy: Policy) -> None:
    assert problems(policy) == []


@pytest.mark.parametrize(("policy", "why"), UNSOUND, ids=[why for _policy, why in UNSOUND])
def test_what_cannot_be_meant_is_refused(policy: Policy, why: str) -> None:
    assert any(why in problem for problem in problems(policy)), problems(policy)
