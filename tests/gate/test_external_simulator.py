"""A dry run is asked of the executor and of the simulator that the model names; both must answer, well."""

from __future__ import annotations

import msgspec
import pytest

from plantops.events.base import CommandId, Scalar, SourceName
from plantops.events.commands import (
    CommandDenied,
    CommandExpired,
    CommandPermitted,
    CommandSimulated,
    SimulationOrdered,
)
from plantops.model.assets import Delegate, Model, Operation
from plantops.model.load import Plant
from plantops.policy.document import Policy
from support.gate_samples import MODEL, OPC1, PLC1, POLICY, PUMP, Story, process, seen, source, tag, well

SIM1 = source("sim1", tag("sim1.ready", "b1"))
SIMULATOR = Delegate(source="sim1", path="/pump/SetSpeed/simulate", timeout_seconds=20.0)
SPEED: dict[str, Scalar] = {"RPM": 1200.0}
EXECUTOR, SIMULATING = "adapter-plc1", "adapter-sim1"


def plant_with(**changed: object) -> Plant:
    """The demo plant, whose SetSpeed is changed so."""
    pump = MODEL.assets[PUMP]
    speed: Operation = msgspec.structs.replace(pump.operations["SetSpeed"], **changed)
    operations = {**pump.operations, "SetSpeed": speed}
    assets = {**MODEL.assets, PUMP: msgspec.structs.replace(pump, operations=operations)}
    return Plant.of(Model(assets=assets), (PLC1, OPC1, SIM1))


PLANT = plant_with(simulator=SIMULATOR)


def policy_for(plant: Plant) -> Policy:
    principals = {**POLICY.principals, SIMULATING: process(SIMULATING, "executor")}
    return msgspec.structs.replace(POLICY, model=plant.digest, principals=principals)


def ordered(plant: Plant = PLANT) -> tuple[Story, CommandId]:
    story = Story(policy=policy_for(plant), plant=plant)
    return story, story.ask("SetSpeed", SPEED, model=plant.digest)


def simulator_says(story: Story, command: CommandId, **told: object) -> None:
    fields: dict[str, object] = {"before": (), "encoded": (), "observation": None, "by": SIMULATING}
    story.dry_run(command, **{**fields, **told})  # type: ignore[arg-type]  # each test names real fields


def test_both_are_asked_each_for_what_it_can_do() -> None:
    story, _command = ordered()
    executor, simulator = story.out
    assert isinstance(executor, SimulationOrdered)
    assert isinstance(simulator, SimulationOrdered)
    assert (executor.permit.source, len(executor.permit.writes), executor.permit.invocation) == (
        "plc1",
        1,
        None,
    )
    assert (simulator.permit.source, simulator.permit.writes) == (SourceName("sim1"), ())
    asked = simulator.permit.invocation
    assert asked is not None
    assert (asked.path, asked.arguments, asked.timeout_seconds) == (SIMULATOR.path, SPEED, 20.0)
    assert executor.decision == simulator.decision
    assert (executor.permit.not_after - story.now).total_seconds() == 15
    assert (simulator.permit.not_after - story.now).total_seconds() == 35


@pytest.mark.parametrize("is_simulator_first", [True, False])
def test_nothing_is_simulated_before_both_have_answered(is_simulator_first: bool) -> None:
    story, command = ordered()
    if is_simulator_first:
        simulator_says(story, command, simulated={"flow": 3.5})
        assert story.out == []
        story.dry_run(command, by=EXECUTOR)
    else:
        story.dry_run(command, by=EXECUTOR)
        assert story.out == []
        simulator_says(story, command, simulated={"flow": 3.5})
    simulated = story.only(CommandSimulated)
    assert simulated.simulated == {"flow": 3.5}
    assert simulated.before == (seen("plc1.setpoint", 900.0),)
    story.ask("SetSpeed", SPEED, confirms=command, model=PLANT.digest)
    permit = story.only(CommandPermitted).permit
    assert (permit.source, permit.invocation) == ("plc1", None)


def test_the_result_covers_what_the_simulator_said() -> None:
    results = []
    for flow in (3.5, 3.6):
        story, command = ordered()
        story.dry_run(command, by=EXECUTOR)
        simulator_says(story, command, simulated={"flow": flow})
        results.append(story.only(CommandSimulated).result)
    assert len(set(results)) == 2


def test_what_the_executor_saw_does_not_age_while_the_simulator_thinks() -> None:
    """Judged is what it saw, when it saw it; a confirmation looks again."""
    story, command = ordered()
    story.dry_run(command, by=EXECUTOR)
    answered = story.now
    story.wait(19)
    simulator_says(story, command)
    simulated = story.only(CommandSimulated)
    assert simulated.decision.now == answered
    assert (simulated.expires_at - story.now).total_seconds() == 300


@pytest.mark.parametrize("signer", [EXECUTOR, SIMULATING])
def test_one_that_says_no_denies_and_says_who(signer: str) -> None:
    story, command = ordered()
    story.dry_run(command, by=signer, ok=False, problem="no such pump")
    reason = story.only(CommandDenied).reason
    assert reason == f"simulation: {'' if signer == EXECUTOR else 'adapter-sim1: '}no such pump"
    story.dry_run(command, by=SIMULATING if signer == EXECUTOR else EXECUTOR)
    assert story.out == []


def test_one_that_answers_twice_does_not_stand_for_the_other() -> None:
    story, command = ordered()
    for _time in range(2):
        story.dry_run(command, by=EXECUTOR)
        assert story.out == []
    story.dry_run(command, by="adapter-opc1")
    assert story.out == []


def test_the_first_answer_of_each_counts() -> None:
    story, command = ordered()
    simulator_says(story, command, simulated={"flow": 3.5})
    simulator_says(story, command, simulated={"flow": 9.0})
    simulator_says(story, command, ok=False, problem="changed its mind")
    assert story.out == []
    story.dry_run(command, by=EXECUTOR)
    assert story.only(CommandSimulated).simulated == {"flow": 3.5}


def test_what_contradicts_itself_is_denied() -> None:
    story, command = ordered()
    story.dry_run(command, by=EXECUTOR, simulated={"flow": 3.4})
    simulator_says(story, command, simulated={"flow": 3.5})
    story.denied("simulation: the simulator says flow = 3.5, the executor 3.4")


def test_a_simulator_that_never_answers_ends_it() -> None:
    story, command = ordered()
    story.dry_run(command, by=EXECUTOR)
    story.wait(35)
    story.fire(command, "execution")
    assert story.out == []
    story.wait(0.000001)
    story.fire(command, "execution")
    assert story.only(CommandExpired).waiting_for == "simulation"
    simulator_says(story, command)
    assert story.out == []


def test_an_answer_after_the_last_moment_ends_it_without_the_timer() -> None:
    story, command = ordered()
    story.dry_run(command, by=EXECUTOR)
    story.wait(35.000001)
    simulator_says(story, command)
    assert story.only(CommandExpired).waiting_for == "simulation"


def test_an_answer_at_the_very_last_moment_counts() -> None:
    story, command = ordered()
    story.dry_run(command, by=EXECUTOR)
    story.wait(35)
    simulator_says(story, command)
    story.only(CommandSimulated)


def test_a_simulation_that_nobody_answers_ends_also_without_a_simulator() -> None:
    story = Story()
    command = story.ask("SetSpeed", SPEED)
    story.wait(15)
    story.fire(command, "execution")
    assert story.out == []
    story.wait(0.000001)
    story.fire(command, "execution")
    assert story.only(CommandExpired).waiting_for == "simulation"
    assert story.dry_run(command) == []


def test_a_stop_meanwhile_makes_both_answers_void() -> None:
    story, command = ordered()
    simulator_says(story, command)
    story.ask("StopPump", blind=True, model=PLANT.digest)
    story.dry_run(command, by=EXECUTOR)
    assert not any(isinstance(event, CommandSimulated) for event in story.out)


def test_a_restarted_gate_still_has_the_first_answer() -> None:
    story, command = ordered()
    simulator_says(story, command, simulated={"flow": 3.5})
    story.state = story.gate.load(story.gate.dump(story.state))
    story.dry_run(command, by=EXECUTOR)
    assert story.only(CommandSimulated).simulated == {"flow": 3.5}


def test_a_delegated_operation_is_rehearsed_and_permitted_as_an_invocation() -> None:
    plant = plant_with(steps=(), delegate=Delegate(source="sim1", path="/pump/SetSpeed", timeout_seconds=5.0))
    story, command = ordered(plant)
    order = story.only(SimulationOrdered)
    assert (order.permit.source, order.permit.writes) == ("sim1", ())
    simulator_says(story, command, simulated={"flow": 3.5}, observation=well(at=story.now))
    assert story.only(CommandSimulated).simulated == {"flow": 3.5}
    story.ask("SetSpeed", SPEED, confirms=command, model=plant.digest)
    permit = story.only(CommandPermitted).permit
    assert permit.writes == ()
    assert permit.invocation is not None
    assert permit.invocation.path == "/pump/SetSpeed"
