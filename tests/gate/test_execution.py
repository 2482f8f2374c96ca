"""From intent to permit: each risk takes its way, and no other."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
import pytest

from plantops.events import encode
from plantops.events.base import CommandId, Scalar, TagName
from plantops.events.command_parts import Observation, ObservedInput, Write
from plantops.events.commands import (
    CommandCancelled,
    CommandDenied,
    CommandExpired,
    CommandPermitted,
    CommandSimulated,
    SimulationOrdered,
)
from plantops.events.operations import TimerFired
from plantops.gate.core import Gate
from plantops.model.load import Plant
from support.gate_samples import (
    MODEL,
    OPC1,
    PLANT,
    PLC1,
    POLICY,
    PUMP,
    ROOT,
    SITE,
    VALVE,
    Story,
    after,
    seen,
    well,
)


@pytest.mark.parametrize(("operation", "value"), [("SetPosition", 40.0), ("Mark", 1.0)])
def test_permits_low_and_medium_at_once_naming_the_exact_writes(operation: str, value: float) -> None:
    story = Story()
    arguments: dict[str, Scalar] = {"PERCENT": value} if operation == "SetPosition" else {}
    command = story.ask(operation, arguments, asset=VALVE, actor="agent", on_behalf_of=("alice",))
    permit = story.only(CommandPermitted).permit
    assert permit.writes == (Write(tag=TagName("opc1.command"), value=value),)
    assert (permit.command, permit.source, permit.generation) == (command, "opc1", 0)
    assert (permit.actor, permit.on_behalf_of, permit.safe_direction) == ("agent", ("alice",), False)
    assert permit.not_after == story.now + timedelta(seconds=15)
    assert (permit.model, permit.policy) == (
        PLANT.digest,
        story.state.verified and story.state.verified.digest,
    )


def test_executes_a_high_command_only_after_its_confirmation() -> None:
    story = Story()
    first = story.ask("SetSpeed", {"RPM": 1200.0})
    assert story.only(SimulationOrdered).permit.writes[0].value == 1200.0
    story.dry_run(first)
    told = story.only(CommandSimulated)
    assert (told.next, told.projected) == ("confirm", {"plc1.setpoint": 1200.0})
    second = story.ask("SetSpeed", {"RPM": 1200.0}, confirms=first)
    assert story.only(CommandPermitted).permit.command == second


def test_a_person_confirms_what_an_agent_had_simulated_for_him() -> None:
    story = Story()
    first = story.simulated(actor="agent", on_behalf_of=("alice",))
    story.ask("SetSpeed", {"RPM": 1200.0}, confirms=first)
    story.only(CommandPermitted)


@pytest.mark.parametrize(
    ("reason", "changed"),
    [
        ("differ", {"arguments": {"RPM": 1201.0}}),
        ("differ", {"arguments": {"RPM": 1200}}),
        ("differ", {"operation": "StartPump", "arguments": {}}),
        ("simulated for Alice", {"actor": "bob"}),
        ("confirmed by no agent", {"actor": "agent", "on_behalf_of": ("alice",)}),
        ("temperature is 96.0", {"observation": "hot"}),
    ],
)
def test_refuses_a_confirmation_that_is_not_the_simulation_s(reason: str, changed: dict[str, object]) -> None:
    story = Story()
    first = story.simulated()
    fields: dict[str, object] = {"operation": "SetSpeed", "arguments": {"RPM": 1200.0}, **changed}
    if "observation" in fields:
        fields["observation"] = well(seen("plc1.temperature", 96.0), at=story.now)
    story.ask(**fields, confirms=first)  # type: ignore[arg-type]
    story.denied(reason)
    story.ask("SetSpeed", {"RPM": 1200.0}, confirms=first)
    story.only(CommandPermitted)  # and the refused one used nothing up


def test_confirms_once_whatever_became_of_the_first_confirmation() -> None:
    story = Story()
    first = story.simulated()
    second = story.ask("SetSpeed", {"RPM": 1200.0}, confirms=first)
    decision = story.only(CommandPermitted).decision
    story.ask("SetSpeed", {"RPM": 1200.0}, confirms=first)
    story.denied("confirmed already")
    story.wait(16)
    story.fire(second, "execution")
    story.only(CommandExpired)
    story.ask("SetSpeed", {"RPM": 1200.0}, confirms=first)
    story.denied("confirmed already")
    story.execute(second, decision)
    story.ask("SetSpeed", {"RPM": 1200.0}, confirms=first)
    story.denied("confirmed already")


def test_refuses_a_confirmation_that_comes_too_late() -> None:
    story = Story()
    first = story.simulated()
    story.wait(300.001)
    story.ask("SetSpeed", {"RPM": 1200.0}, confirms=first)
    story.denied("ran out")


def test_refuses_a_confirmation_under_another_policy() -> None:
    story = Story()
    first = story.simulated()
    story.publish(after(POLICY, moc="another word"))
    story.ask("SetSpeed", {"RPM": 1200.0}, confirms=first)
    story.denied("policy or model changed")


def test_refuses_a_confirmation_under_another_model() -> None:
    story = Story()
    first = story.simulated()
    assets = {**MODEL.assets, PUMP: msgspec.structs.replace(MODEL.assets[PUMP], description="another")}
    plant = Plant.of(msgspec.structs.replace(MODEL, assets=assets), (PLC1, OPC1))
    story.gate = Gate(SITE, plant, story.gate.root)
    story.ask("SetSpeed", {"RPM": 1200.0}, confirms=first)
    assert story.one(CommandDenied).reason.startswith("model")
    assert story.one(CommandCancelled).command == first


@pytest.mark.parametrize("reference", ["nobody-asked", "x" * 300, "*"])
def test_refuses_to_confirm_what_nobody_simulated(reference: str) -> None:
    story = Story()
    story.ask("SetSpeed", {"RPM": 1200.0}, confirms=reference)
    story.denied("is no simulation that waits")


def test_a_critical_command_is_not_executed_by_confirming_it() -> None:
    story = Story()
    wanted = story.waiting()
    story.ask("ResetFault", confirms=wanted.command)
    story.denied("is no simulation that waits")
    told = story.simulated("ResetFault", mode="simulate")
    assert story.only(CommandSimulated).next == "nothing"
    story.ask("ResetFault", confirms=told)
    story.denied("takes nothing")


@pytest.mark.parametrize("asset", [PUMP, VALVE])
def test_a_simulation_never_permits(asset: str) -> None:
    story = Story()
    for operation in MODEL.assets[asset].operations:
        arguments = dict.fromkeys(MODEL.assets[asset].operations[operation].arguments, 10.0)
        command = story.ask(operation, arguments, asset=asset, mode="simulate", signed=False)  # type: ignore[arg-type]
        source = story.only(SimulationOrdered).permit.source
        story.dry_run(command, by=f"adapter-{source}")
        story.only(CommandSimulated)
    assert not story.state.generations
    assert not any(isinstance(each.fact, CommandPermitted) for each in story.own)


def test_only_the_own_executor_answers_an_ordered_simulation() -> None:
    story = Story()
    command = story.ask("SetSpeed", {"RPM": 1200.0})
    assert story.dry_run(command, by="adapter-opc1") == []
    story.dry_run(command)
    story.only(CommandSimulated)
    assert story.dry_run(command) == []


def test_a_dry_run_that_fails_or_finds_a_hot_motor_denies() -> None:
    story = Story()
    command = story.ask("SetSpeed", {"RPM": 1200.0})
    story.dry_run(command, ok=False, problem="register 7 does not exist")
    story.denied("register 7")
    command = story.ask("SetSpeed", {"RPM": 1200.0})
    story.dry_run(command, seen("plc1.temperature", 96.0))
    story.denied("temperature is 96.0")


BAD = [
    ("was not observed", None),
    ("never confirmed", seen("plc1.temperature", 60.0, age=None)),
    ("confirmed 9 s ago", seen("plc1.temperature", 60.0, age=9.0)),
    ("quality", seen("plc1.temperature", 60.0, quality=24)),
    ("quality", seen("plc1.temperature", 60.0, quality=64)),
    ("overridden", seen("plc1.temperature", 60.0, quality=216)),
    ("no value", seen("plc1.temperature", None)),
    ("cannot be compared", seen("plc1.temperature", "60")),
    ("cannot be compared", seen("plc1.temperature", True)),
    ("must be <= 95", seen("plc1.temperature", 95.1)),
]


@pytest.mark.parametrize(("reason", "bad"), BAD)
def test_denies_with_a_reason_when_an_input_is_not_good(reason: str, bad: ObservedInput | None) -> None:
    story = Story()
    inputs = (seen("plc1.local", False),) if bad is None else (seen("plc1.local", False), bad)
    story.ask("SetSpeed", {"RPM": 1200.0}, observation=Observation(at=story.now, inputs=inputs))
    assert "permissive:cool" in story.denied(reason).reason
    story.ask("SetSpeed", {"RPM": 1200.0}, blind=True)
    story.denied("was not observed")


def test_denies_everything_without_a_policy_also_a_stop() -> None:
    story = Story(policy=None)
    for operation in ("StopPump", "SetSpeed", "ResetFault"):
        story.ask(operation)
        story.denied("no verified policy")
    assert story.state.generations == {}


def test_goes_on_with_the_last_policy_that_holds() -> None:
    story = Story()
    second = story.publish(after(POLICY, moc="second"))
    digest = story.state.verified.digest if story.state.verified else ""
    story.publish(POLICY)  # rolled back
    story.publish(after(second), signer="mallory")
    story.publish(after(second, audience="elsewhere"))
    story.publish(after(second, model="e" * 64, expires=story.now))
    story.publish(msgspec.structs.replace(second, moc="the same revision"))
    story.publish(after(second, principals={**second.principals, "eve": second.principals["alice"]}))
    assert story.state.verified is not None
    assert story.state.verified.digest == digest
    story.ask("SetPosition", {"PERCENT": 40.0}, asset=VALVE)
    story.only(CommandPermitted)


def test_a_repeated_request_changes_nothing() -> None:
    story = Story()
    story.ask("SetPosition", {"PERCENT": 40.0}, asset=VALVE, key="same")
    before = story.gate.dump(story.state)
    story.ask("SetPosition", {"PERCENT": 99.0}, asset=VALVE, key="same")
    assert story.out == []
    assert story.gate.dump(story.state) == before


def test_denies_an_intent_for_another_site() -> None:
    story = Story()
    story.ask("StopPump", site="elsewhere")
    story.denied("is for 'elsewhere'")


def test_one_normal_command_at_a_time_on_an_asset() -> None:
    story = Story()
    first = story.ask("SetPosition", {"PERCENT": 40.0}, asset=VALVE)
    decision = story.only(CommandPermitted).decision
    story.ask("Mark", asset=VALVE)
    story.denied("in_flight: c1 (SetPosition)")
    story.simulated()  # another asset is free
    story.claim(first, by="adapter-opc1")
    story.wait(3600)
    story.fire(first, "execution")
    assert story.out == []
    story.ask("Mark", asset=VALVE)
    story.denied("in_flight")
    story.execute(first, decision, by="adapter-plc1")  # not its executor
    story.ask("Mark", asset=VALVE)
    story.denied("in_flight")
    story.execute(first, decision, by="adapter-opc1")
    story.ask("Mark", asset=VALVE)
    story.only(CommandPermitted)


def test_an_unclaimed_permit_frees_the_asset_when_it_has_run_out_and_not_before() -> None:
    story = Story()
    first = story.ask("SetPosition", {"PERCENT": 40.0}, asset=VALVE)
    story.wait(15)
    assert story.fire(first, "execution") == []
    story.ask("Mark", asset=VALVE)
    story.denied("in_flight")
    story.wait(0.001)
    story.ask("Mark", asset=VALVE)
    story.only(CommandPermitted)
    story.claim(first, by="adapter-opc1")  # its word was late
    story.wait(16)
    story.ask("Mark", asset=VALVE)
    story.denied("c1 (SetPosition)")


@pytest.mark.parametrize("purpose", ["approval", "confirmation", "execution"])
def test_a_timer_that_is_late_early_or_wrong_changes_nothing(purpose: str) -> None:
    story = Story()
    first = story.simulated()
    assert story.fire(first, purpose) == []
    story.wait(301)
    assert bool(story.fire(first, purpose)) == (purpose == "confirmation")
    assert story.fire(first, purpose) == []
    assert story.fire(story.ask("Nothing"), purpose) == []


def test_a_model_that_lost_the_operation_meanwhile_denies_instead_of_breaking() -> None:
    story = Story()
    command = story.ask("SetSpeed", {"RPM": 1200.0})
    pump = MODEL.assets[PUMP]
    operations = {name: each for name, each in pump.operations.items() if name != "SetSpeed"}
    assets = {**MODEL.assets, PUMP: msgspec.structs.replace(pump, operations=operations)}
    plant = Plant.of(msgspec.structs.replace(MODEL, assets=assets), (PLC1, OPC1))
    story.gate = Gate(SITE, plant, story.gate.root)
    story.dry_run(command)
    story.denied("the model has no operation")


@pytest.mark.parametrize("value", [2**70, -(2**70), "x" * 5000, True, float("nan"), float("inf")])
def test_odd_arguments_are_denied_and_no_answer_breaks_on_them(value: Scalar) -> None:
    story = Story()
    story.ask("SetSpeed", {"RPM": value})
    encode(story.denied("argument:RPM"))
    story.ask("SetSpeed", {"RPM": value}, mode="simulate")
    encode(story.denied("argument:RPM"))


@pytest.mark.parametrize("value", [2**70, 10**400, "\U0001f6d1", "\0"])
def test_a_snapshot_holds_whatever_a_client_wrote(value: Scalar) -> None:
    story = Story()
    command = story.ask(
        "SetSpeed", {"RPM": value}, issued_at=datetime.fromisoformat("0001-01-01T00:00:00+14:00")
    )
    data = story.gate.dump(story.state)
    assert story.gate.load(data).asked[command].intent.arguments == {"RPM": value}
    assert story.gate.dump(story.gate.load(data)) == data


def test_denials_hold_the_decision() -> None:
    story = Story()
    story.ask("Explode")
    event = story.only(CommandDenied)
    assert event.decision is not None
    assert not event.decision.allowed


def test_a_restart_changes_no_answer() -> None:
    """Whatever is asked about what is over: the gate that came back from its snapshot says the same."""
    story = Story()
    told = story.ask("StartPump", mode="simulate")
    story.dry_run(told)
    nothing = story.ask("ResetFault", mode="simulate")
    story.dry_run(nothing)
    first = story.simulated()
    second = story.ask("SetSpeed", {"RPM": 1200.0}, confirms=first)
    story.execute(second, story.only(CommandPermitted).decision)
    denied = story.ask("Explode")
    for reference in (nothing, first, second, denied):
        data, words = story.gate.dump(story.state), []
        for _time in range(2):
            story.ask("SetSpeed", {"RPM": 1200.0}, confirms=reference)
            words.append(story.only(CommandDenied).reason)
            story.state = story.gate.load(data)
        assert words[0] == words[1]


@pytest.mark.parametrize("purpose", ["execution", "approval", "confirmation", "escalation", "bypass"])
def test_only_a_permit_that_ran_out_waits_for_the_claim_which_may_have_come_before(purpose: str) -> None:
    gate = Gate(SITE, PLANT, ROOT)
    fired = TimerFired(site=SITE, command=CommandId("a" * 24), due=Story().now, purpose=purpose)  # type: ignore[arg-type]
    claims = ("COMMANDS", f"cmd.{SITE}.claimed.*.{'a' * 24}")
    assert gate.awaiting == "TIMERS"
    assert tuple(gate.awaited(fired)) == ((claims,) if purpose == "execution" else ())
    strange = TimerFired(site=SITE, command=CommandId("*"), due=Story().now, purpose="execution")
    assert gate.awaited(strange) == (), "a name that is none is no filter"
