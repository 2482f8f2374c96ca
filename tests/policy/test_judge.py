"""Every rule lets pass what is right, and denies alone what is wrong."""

from __future__ import annotations

import math
from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plantops.events.base import encode_json
from plantops.events.command_parts import Decision, Observation
from plantops.model.assets import Argument, Model, Operation
from plantops.model.load import Plant
from plantops.policy.document import (
    ArgumentLimit,
    Every,
    Negate,
    OperationRule,
    Permissive,
    Policy,
    Principal,
)
from plantops.policy.judge import (
    Request,
    decision_digest,
    effective_risk,
    inputs_needed,
    judge,
    rule_for,
)
from plantops.policy.projection import project
from plantops.policy.writes import plan_of
from support.plant_samples import (
    COOL,
    DEFINITIONS,
    MODEL,
    NOW,
    PLANT,
    POLICY,
    SPEED,
    judged,
    observed,
    request,
    seen,
    verdicts,
    verified,
    with_policy,
)

SECOND = timedelta(seconds=1)


def rules(**changed: object) -> Policy:
    rule = msgspec.structs.replace(POLICY.operations["pump.SetSpeed"], **changed)
    return with_policy(operations={**POLICY.operations, "pump.SetSpeed": rule})


def people(**changed: Principal) -> Policy:
    return with_policy(principals={**POLICY.principals, **changed})


def test_allows_what_is_right_and_tells_every_rule_in_order() -> None:
    decision = judged()
    assert decision.allowed
    assert [finding.rule for finding in decision.findings] == [
        "policy",
        "audience",
        "identity",
        "person",
        "role",
        "operation",
        "argument:RPM",
        "model",
        "clock",
        "unsigned",
        "mode:remote",
        "change:RPM",
        "permissive:cool",
    ]
    assert (decision.person, decision.risk, decision.safe_direction) == ("Alice", "medium", False)
    assert (decision.policy, decision.model) == (verified().digest, PLANT.digest)
    assert decision.findings[-1].text == "motor must be cool: pump.temperature is 60.0 Cel, must be <= 95"


BROKEN_REQUESTS = [
    ("identity", "false", {"actor": "mallory"}),
    ("identity", "false", {"actor": "robot", "on_behalf_of": ("mallory",)}),
    ("identity", "false", {"on_behalf_of": ("bob",)}),
    ("person", "false", {"actor": "robot"}),
    ("person", "false", {"actor": "watchdog"}),
    ("role", "false", {"actor": "bob"}),
    ("role", "false", {"actor": "robot", "on_behalf_of": ("bob",)}),
    ("confirmation", "false", {"actor": "robot", "on_behalf_of": ("alice",), "confirms": "c0"}),
    ("operation", "false", {"operation": "Explode"}),
    ("operation", "false", {"asset": "valve"}),
    ("argument:RPM", "false", {"arguments": {}}),
    ("argument:RPM", "false", {"arguments": {"RPM": "1200"}}),
    ("argument:RPM", "false", {"arguments": {"RPM": True}}),
    ("argument:RPM", "false", {"arguments": {"RPM": math.nan}}),
    ("argument:RPM", "false", {"arguments": {"RPM": math.inf}}),
    ("argument:RPM", "false", {"arguments": {"RPM": 2**70}}),
    ("argument:RPM", "false", {"arguments": {"RPM": -1}}),
    ("argument:RPM", "false", {"arguments": {"RPM": 3601.0}}),
    ("argument:RPM", "false", {"arguments": {"RPM": 3000.5}}),
    ("argument:rpm", "false", {"arguments": {"RPM": 1200, "rpm": 1200}}),
    ("argument:NAME", "false", {"operation": "Brew", "arguments": {"NAME": "petrol"}}),
    ("model", "false", {"model": "f" * 64}),
    ("model", "unknown", {"model": ""}),
    ("clock", "unknown", {"issued_at": None}),
    ("clock", "unknown", {"expires_at": None}),
    ("clock", "unknown", {"issued_at": NOW.replace(tzinfo=None)}),
    ("clock", "false", {"issued_at": NOW - 31 * SECOND}),
    ("clock", "false", {"issued_at": NOW + 31 * SECOND}),
    ("clock", "false", {"expires_at": NOW - SECOND / 2}),
    ("clock", "false", {"expires_at": NOW + 86_401 * SECOND}),
    ("clock", "false", {"expires_at": NOW - 2 * SECOND}),
    ("unsigned", "false", {"signed": False}),
    ("change:RPM", "false", {"arguments": {"RPM": 1501.0}}),
]


@pytest.mark.parametrize(("rule", "verdict", "changed"), BROKEN_REQUESTS)
def test_denies_a_request_that_breaks_one_rule(rule: str, verdict: str, changed: dict[str, object]) -> None:
    decision = judged(request(**changed))  # type: ignore[arg-type]  # each row names real fields
    assert verdicts(decision)[rule] == verdict
    assert not decision.allowed


BROKEN_POLICIES = [
    ("policy", "false", None),
    ("policy", "false", with_policy(expires=NOW)),
    ("policy", "false", with_policy(not_before=NOW + SECOND)),
    ("audience", "false", with_policy(audience="elsewhere")),
    ("model", "false", with_policy(model="e" * 64)),
    ("argument:RPN", "unknown", rules(limits={"RPN": ArgumentLimit(high=3000)})),
    ("argument:RPM", "false", rules(limits={"RPM": ArgumentLimit(low=math.nan)})),
    ("change:RPM", "false", rules(limits={"RPM": ArgumentLimit(max_change=math.nan)})),
    (
        "permissive:cool",
        "unknown",
        with_policy(permissives=(Permissive(id="cool", applies=("*",), require=Every(of=())),)),
    ),
]


@pytest.mark.parametrize(("rule", "verdict", "policy"), BROKEN_POLICIES)
def test_denies_under_a_policy_that_does_not_hold(rule: str, verdict: str, policy: Policy | None) -> None:
    decision = judged(policy=policy)
    assert verdicts(decision)[rule] == verdict
    assert not decision.allowed


BROKEN_INPUTS = [
    ("mode:remote", "false", observed(seen("remote", False))),
    ("mode:remote", "unknown", observed(seen("remote", 1))),
    ("mode:remote", "unknown", observed(without=["remote"])),
    ("mode:remote", "unknown", observed(seen("remote", True, quality=216))),
    ("change:RPM", "unknown", observed(without=["speed.set"])),
    ("change:RPM", "unknown", observed(seen("speed.set", 1000.0, age=6.0))),
    ("change:RPM", "unknown", observed(seen("speed.set", True))),
    ("permissive:cool", "false", observed(seen("temperature", 96.0))),
    ("permissive:cool", "unknown", observed(seen("temperature", 60.0, age=5.1))),
    ("permissive:cool", "unknown", observed(seen("temperature", math.nan))),
    (
        "permissive:cool",
        "unknown",
        Observation(at=NOW, inputs=(*observed().inputs, seen("temperature", 50.0))),
    ),
    ("permissive:cool", "unknown", Observation(at=NOW - 31 * SECOND, inputs=observed().inputs)),
    ("permissive:cool", "unknown", Observation(at=NOW + 31 * SECOND, inputs=observed().inputs)),
    ("permissive:cool", "unknown", Observation(at=NOW - 5 * SECOND, inputs=observed().inputs)),
]


@pytest.mark.parametrize(("rule", "verdict", "observation"), BROKEN_INPUTS)
def test_denies_on_what_the_plant_says_or_does_not_say(
    rule: str, verdict: str, observation: Observation
) -> None:
    decision = judged(seen=observation)
    assert verdicts(decision)[rule] == verdict
    assert {name for name, truth in verdicts(decision).items() if truth != "true"} >= {rule}
    assert not decision.allowed


def test_denies_without_any_observation() -> None:
    decision = judge(verified(), PLANT, request(), None, NOW, stage="request")
    assert [name for name, truth in verdicts(decision).items() if truth != "true"] == [
        "mode:remote",
        "change:RPM",
        "permissive:cool",
    ]


def test_a_policy_that_just_expired_serves_the_safe_direction_only_and_says_so() -> None:
    policy = with_policy(expires=NOW)
    stop = judged(request("Stop"), policy=policy)
    assert stop.allowed
    assert stop.safe_direction
    assert "still serves" in stop.findings[0].text
    assert not judged(policy=policy).allowed


def test_a_stop_waits_for_nothing_but_who_may_ask_it() -> None:
    hot = Permissive(id="all", applies=("*",), require=Negate(of=COOL.require))
    policy = with_policy(permissives=(hot,), unsigned_risk="")
    asked = request("Stop", signed=False, model="", issued_at=None, expires_at=None)
    stop = judge(verified(policy), PLANT, asked, None, NOW, stage="request")
    assert stop.allowed
    assert inputs_needed(policy, PLANT, "pump", "Stop") == ()
    assert judged(request("Stop", actor="bob"), policy=policy).allowed
    assert not judged(request("Stop", actor="gate"), policy=policy).allowed
    assert not judged(request("Stop", actor="mallory"), policy=policy).allowed
    assert not judged(request("Stop", arguments={"fast": True}), policy=policy).allowed
    assert not judged(request("Stop"), policy=with_policy(model="e" * 64)).allowed


def test_only_the_policy_makes_an_operation_safe() -> None:
    policy = with_policy(operations={})
    assert not judged(request("Stop"), policy=policy).safe_direction


def test_a_delegate_gets_no_more_than_its_person_nor_than_itself() -> None:
    robot = request(actor="robot", on_behalf_of=("alice",))
    decision = judged(robot)
    assert (decision.allowed, decision.person) == (True, "Alice")
    assert not judged(robot, policy=people(robot=Principal(kind="agent", roles=("guest",)))).allowed
    assert not judged(request(actor="robot", on_behalf_of=("bob",))).allowed


def test_without_a_person_only_low_risk_and_simulation_pass() -> None:
    low = with_policy(operations={"pump.Brew": OperationRule(risk="low")})
    plant = plant_with("Brew", risk="low")
    asked = request("Brew", actor="watchdog", arguments={"NAME": "ale"}, model=plant.digest)
    low = msgspec.structs.replace(low, model=plant.digest)
    assert judged(asked, policy=low, plant=plant).allowed
    assert judged(request(actor="watchdog", mode="simulate"), stage="simulation").allowed


def test_unsigned_passes_up_to_the_risk_that_the_policy_allows() -> None:
    unsigned = request(signed=False, model="")
    assert not judged(unsigned).allowed
    assert judged(unsigned, policy=with_policy(unsigned_risk="medium")).allowed
    assert judged(
        request(signed=False, model="", mode="simulate"), policy=with_policy(unsigned_risk="")
    ).allowed
    assert not judged(unsigned, policy=with_policy(unsigned_risk="")).allowed


@pytest.mark.parametrize(
    ("policy_risk", "model_risk", "risk"),
    [
        (None, None, "critical"),
        ("low", None, "low"),
        (None, "low", "low"),
        ("high", "low", "high"),
        ("low", "high", "high"),
        ("critical", "medium", "critical"),
    ],
)
def test_risk_is_the_higher_word_and_without_a_word_the_highest(
    policy_risk: str, model_risk: str, risk: str
) -> None:
    rule = msgspec.structs.replace(OperationRule(), risk=policy_risk)
    operation = msgspec.structs.replace(SPEED, risk=model_risk)
    assert effective_risk(rule, operation) == risk
    assert effective_risk(rule, None) == "critical"


def test_the_nearest_rule_counts() -> None:
    policy = with_policy(
        operations={
            "pump.Start": OperationRule(risk="high"),
            "pump.*": OperationRule(risk="medium"),
            "*.Open": OperationRule(risk="low"),
        }
    )
    risks = [
        rule_for(policy, *place).risk for place in (("pump", "Start"), ("pump", "Open"), ("tank", "Open"))
    ]
    assert risks == ["high", "medium", "low"]
    assert rule_for(policy, "tank", "Start") == OperationRule()


def test_asks_for_exactly_the_inputs_that_its_rules_need() -> None:
    assert inputs_needed(POLICY, PLANT, "pump", "SetSpeed") == ("remote", "speed.set", "temperature")
    assert inputs_needed(POLICY, PLANT, "pump", "Start") == ("temperature",)
    assert inputs_needed(POLICY, PLANT, "pump", "Explode") == ()
    decision = judged(seen=observed(seen("level", 3.0)))
    assert [one.tag for one in decision.inputs] == ["remote", "speed.set", "temperature"]


def test_ages_count_on_until_the_judgement() -> None:
    decision = judged(seen=Observation(at=NOW - 2 * SECOND, inputs=observed().inputs))
    assert decision.allowed
    assert {one.age_seconds for one in decision.inputs} == {2.5}


def test_a_later_stage_does_not_ask_again_how_long_ago_it_was_issued() -> None:
    old = request(issued_at=NOW - 500 * SECOND)
    assert not judged(old, stage="request").allowed
    assert judged(old, stage="approval").allowed
    assert not judged(request(expires_at=NOW - SECOND / 2), stage="execution").allowed


def test_a_simulation_is_judged_on_the_projected_state() -> None:
    slow = Permissive(
        id="slow",
        applies=("pump.SetSpeed",),
        require=msgspec.structs.replace(COOL.require, property="pump.speed", value=1100, unit="rpm"),
    )
    policy = with_policy(permissives=(slow,))
    now = observed(seen("speed.actual", 1000.0))
    writes = plan_of(PLANT, "pump", "SetSpeed", {"RPM": 1200.0}).writes
    then = Observation(at=NOW, inputs=project(now.inputs, writes))
    assert judged(policy=policy, seen=now).allowed
    assert verdicts(judged(policy=policy, seen=then, stage="simulation"))["permissive:slow"] == "false"


def plant_with(name: str, **changed: object) -> Plant:
    operation: Operation = msgspec.structs.replace(MODEL.assets["pump"].operations[name], **changed)
    asset = msgspec.structs.replace(
        MODEL.assets["pump"], operations={**MODEL.assets["pump"].operations, name: operation}
    )
    return Plant.of(Model(assets={"pump": asset}), DEFINITIONS)


ANY_VALUE = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.sampled_from(["", "on", "1000"])
)
ANY_INPUTS = st.lists(
    st.builds(
        seen,
        st.sampled_from(["remote", "speed.set", "temperature", "level"]),
        ANY_VALUE,
        quality=st.sampled_from([0, 24, 64, 84, 192, 216, 400, -64]),
        age=st.one_of(st.none(), st.floats()),
    ),
    max_size=5,
)
ANY_REQUEST = st.builds(
    request,
    st.sampled_from(["SetSpeed", "Start", "Stop", "Brew", "Explode"]),
    actor=st.sampled_from(["alice", "bob", "robot", "mallory"]),
    arguments=st.dictionaries(st.sampled_from(["RPM", "NAME"]), ANY_VALUE.filter(lambda v: v is not None)),
    signed=st.booleans(),
    mode=st.sampled_from(["execute", "simulate"]),
)


@given(asked=ANY_REQUEST, inputs=ANY_INPUTS, late=st.integers(-40, 40))
def test_the_record_of_a_decision_judges_the_same_again(
    asked: Request, inputs: list[object], late: int
) -> None:
    observation = Observation(at=NOW - late * SECOND, inputs=tuple(inputs))  # type: ignore[arg-type]
    first = judged(asked, seen=observation)
    data = encode_json(first)
    record = msgspec.json.decode(data, type=Decision)
    assert encode_json(record) == data
    again = judged(asked, seen=Observation(at=record.now, inputs=record.inputs))
    assert encode_json(again) == data
    assert decision_digest(again) == decision_digest(record)
    assert first.allowed == all(finding.verdict == "true" for finding in first.findings)


def test_a_number_that_no_record_can_hold_is_refused_even_without_bounds() -> None:
    plant = plant_with("SetSpeed", arguments={"RPM": Argument(type="integer")})
    policy = msgspec.structs.replace(with_policy(operations={}), model=plant.digest)
    for value, verdict in ((2**64 - 1, "true"), (2**64, "false"), (-(2**63) - 1, "false")):
        decision = judged(request(arguments={"RPM": value}, model=plant.digest), policy=policy, plant=plant)
        assert verdicts(decision)["argument:RPM"] == verdict
        assert encode_json(decision)
