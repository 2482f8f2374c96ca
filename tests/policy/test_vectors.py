"""A policy proves its own decisions, or it does not come into force where the plant is known."""

from __future__ import annotations

from datetime import timedelta

import pytest

from plantops.events.base import Digest, Scalar
from plantops.policy.document import Limit, Policy, Vector, VectorInput
from plantops.policy.in_force import InForce
from plantops.policy.vectors import assumed, failing, run_vectors
from plantops.policy.verify import verify_policy
from plantops.runtime.errors import PolicyRejected
from support.plant_samples import NOW, PLANT, POLICY, ROOT, SITE, signed, verified, with_policy

WELL = {
    "pump.remote": VectorInput(value=True),
    "pump.speed_set": VectorInput(value=1000.0),
    "pump.temperature": VectorInput(value=60.0),
}


def vector(**changed: object) -> Vector:
    fields: dict[str, object] = {
        "id": "v",
        "asset": "pump",
        "operation": "SetSpeed",
        "actor": "alice",
        "expect": "allow",
        "arguments": {"RPM": 1200.0},
        "inputs": WELL,
    }
    return Vector(**{**fields, **changed})  # type: ignore[arg-type]  # each test names real fields


def hot(value: Scalar | None = 120.0, **seen: object) -> dict[str, VectorInput]:
    return {**WELL, "pump.temperature": VectorInput(value=value, **seen)}  # type: ignore[arg-type]


HOLDING = (
    vector(id="well"),
    vector(id="hot", inputs=hot(), expect="deny", rule="permissive:cool"),
    vector(id="hot, by kind", inputs=hot(), expect="deny", rule="permissive"),
    vector(id="stale", inputs=hot(60.0, age_seconds=6.0), expect="deny", rule="permissive:cool"),
    vector(id="never", inputs=hot(60.0, age_seconds=None), expect="deny", rule="permissive:cool"),
    vector(id="bad", inputs=hot(60.0, quality=0), expect="deny", rule="permissive:cool"),
    vector(id="unseen", inputs={}, expect="deny", rule="mode:remote"),
    vector(id="guest", actor="bob", expect="deny", rule="role"),
    vector(id="stranger", actor="mallory", expect="deny", rule="identity"),
    vector(id="unsigned", signed=False, expect="deny", rule="unsigned"),
    vector(id="for a person", actor="robot", on_behalf_of=("alice",)),
    vector(id="far", arguments={"RPM": 1600.0}, expect="deny", rule="change:RPM"),
    vector(id="stop", operation="Stop", actor="bob", arguments={}, inputs={}),
    vector(id="no such", operation="Fly", expect="deny", rule="operation"),
)
PROVEN = with_policy(vectors=HOLDING)
FALSE = with_policy(vectors=(vector(inputs=hot()),))


def test_vectors_are_judged_as_commands_are() -> None:
    for result in run_vectors(verified(PROVEN), PLANT):
        assert result.passed, result
    assert failing(verified(PROVEN), PLANT) is None


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (vector(inputs=hot()), "wanted: allowed; came: denied by permissive:cool"),
        (vector(expect="deny", rule="permissive"), "wanted: denied by permissive; came: allowed"),
        (vector(inputs=hot(), expect="deny", rule="role"), "came: denied by permissive:cool"),
        (vector(inputs=hot(), expect="deny", rule="permissive:co"), "came: denied"),
        (vector(inputs={"pump.colour": VectorInput(value=1)}), "the model has no pump.colour"),
    ],
)
def test_the_first_that_does_not_hold_refuses_the_policy(wrong: Vector, why: str) -> None:
    policy = with_policy(vectors=(HOLDING[0], wrong))
    with pytest.raises(PolicyRejected, match="vector 'v' demands") as caught:
        verify_policy(signed(policy), ROOT, site=SITE, now=NOW, in_force=None, plant=PLANT)
    assert why in str(caught.value)


def test_limits_count_as_unused() -> None:
    limit = Limit(id="often", applies=("pump.SetSpeed",), calls=1, drift={"RPM": 300.0})
    policy = with_policy(
        limits=(limit,),
        vectors=(
            HOLDING[0],
            vector(id="drift", arguments={"RPM": 1400.0}, expect="deny", rule="limit:often"),
        ),
    )
    assert failing(verified(policy), PLANT) is None


def test_the_result_does_not_depend_on_when_it_is_asked() -> None:
    for now in (POLICY.not_before, NOW, POLICY.expires - timedelta(seconds=1)):
        accepted = verify_policy(signed(PROVEN), ROOT, site=SITE, now=now, in_force=None, plant=PLANT)
        assert accepted.policy == PROVEN


def test_who_has_no_plant_or_another_believes_the_signatures_alone() -> None:
    assert verify_policy(signed(FALSE), ROOT, site=SITE, now=NOW, in_force=None).policy == FALSE
    for_another = with_policy(vectors=FALSE.vectors, model=Digest("1" * 64))
    accepted = verify_policy(signed(for_another), ROOT, site=SITE, now=NOW, in_force=None, plant=PLANT)
    assert accepted.policy == for_another


def offered(in_force: InForce, policy: Policy) -> bool:
    try:
        return in_force.offer(signed(policy), NOW)
    except PolicyRejected:
        return False


def test_a_process_without_the_plant_comes_back_to_the_policy_of_those_who_have_it() -> None:
    base = verified()
    failed = with_policy(revision=4, previous=base.digest, vectors=FALSE.vectors)
    good = with_policy(revision=5, previous=base.digest, vectors=HOLDING)
    knowing, blind = InForce(ROOT, SITE, plant=PLANT), InForce(ROOT, SITE)
    for policy in (POLICY, failed, good):
        offered(knowing, policy)
        offered(blind, policy)
    assert knowing.verified is not None
    assert blind.verified is not None
    assert knowing.verified.policy == blind.verified.policy == good


def test_a_failed_policy_leaves_the_one_before_in_force() -> None:
    knowing = InForce(ROOT, SITE, plant=PLANT)
    assert offered(knowing, POLICY)
    failed = with_policy(revision=4, previous=verified().digest, vectors=FALSE.vectors)
    assert not offered(knowing, failed)
    assert knowing.verified is not None
    assert knowing.verified.policy == POLICY


def test_a_document_can_be_tried_before_anybody_signs_it() -> None:
    old_model = with_policy(vectors=HOLDING, model=Digest("1" * 64))
    assert failing(assumed(old_model, PLANT), PLANT) is None
