"""An undo writes back what was recorded, and is judged like the operation that it undoes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from plantops.events.base import AssetName, Scalar
from plantops.events.commands import (
    ApprovalRequested,
    CommandPermitted,
    CommandSimulated,
    SimulationOrdered,
)
from plantops.gate import answers
from plantops.gate.core import Gate
from plantops.gate.forgetting import REMEMBER
from plantops.gate.needed import tags_needed
from plantops.model.assets import Asset, Model, Operation, Step
from plantops.model.load import Plant
from plantops.policy.document import ArgumentLimit, OperationRule
from plantops.policy.evidence import evidence_problem
from plantops.policy.keyring import Keyring
from plantops.policy.needs import undo_hindrance
from support.acts_samples import HOT, PLANT, POLICY_OF_ACTS, POSITION, ActStory
from support.gate_samples import OPC1, PLC1, PUMP, ROOT, SITE, VALVE, after


def undo(story: ActStory, command: str, **asked: Any) -> str:
    return story.act("undo", {"command": command}, **asked)


def is_undoable(story: ActStory, command: str) -> bool:
    told = answers.status(story.state, command)  # type: ignore[arg-type]
    assert told is not None
    return told.undo


def test_an_undo_is_permitted_with_the_recorded_writes() -> None:
    story = ActStory()
    moved = story.positioned(40.0, before=10.0)
    assert is_undoable(story, moved)
    undo(story, f"c{story.state.asked[moved].sequence}", asset=VALVE)
    story.denied("undo: a signed undo names the command by its identity")
    undo(story, moved, asset=VALVE)
    permit = story.only(CommandPermitted).permit
    assert (permit.undoes, permit.operation, permit.arguments) == (moved, "SetPosition", {"PERCENT": 10.0})
    assert [(write.tag, write.value) for write in permit.writes] == [(POSITION, 10.0)]
    assert not is_undoable(story, moved)


def test_the_restored_value_is_held_against_the_rules_of_today() -> None:
    story = ActStory()
    moved = story.positioned(40.0, before=90.0)
    rules = {"valve-001.SetPosition": OperationRule(limits={"PERCENT": ArgumentLimit(high=80.0)})}
    story.publish(after(POLICY_OF_ACTS, operations={**POLICY_OF_ACTS.operations, **rules}))
    undo(story, moved, asset=VALVE)
    decision = story.denied("argument:PERCENT").decision
    assert decision is not None
    assert (decision.operation, decision.arguments) == ("SetPosition", {"PERCENT": 90.0})


def test_who_may_not_ask_the_operation_may_not_undo_it() -> None:
    story = ActStory()
    moved = story.positioned()
    undo(story, moved, asset=VALVE, actor="carol")
    story.denied("role")


def test_an_undo_of_risk_high_is_simulated_and_confirmed() -> None:
    story = ActStory()
    speeded = story.speeded(1200.0, before=900.0)
    first = undo(story, speeded)
    ordered = story.only(SimulationOrdered).permit
    assert (ordered.undoes, [write.value for write in ordered.writes]) == (speeded, [900.0])
    story.dry_run(first)  # type: ignore[arg-type]
    simulated = story.only(CommandSimulated)
    assert (simulated.next, simulated.projected) == ("confirm", {"plc1.setpoint": 900.0})
    undo(story, speeded, confirms=first, actor="bob")
    story.denied("confirmation")
    undo(story, speeded, confirms=first)
    assert story.only(CommandPermitted).permit.undoes == speeded


def test_permissives_of_the_operation_hold_for_its_undo() -> None:
    story = ActStory()
    speeded = story.speeded()
    undo(story, speeded, observation=story.hot())
    story.denied("permissive:cool")
    first = undo(story, speeded)
    story.dry_run(first, HOT)  # type: ignore[arg-type]
    story.denied("permissive:cool")


def reset(story: ActStory) -> str:
    asked = story.waiting()
    story.approve(asked, "bob")
    story.approve(asked, "carol")
    story.executed(asked.command, story.one(CommandPermitted), False)
    return asked.command


def test_an_undo_of_a_critical_command_is_approved_by_as_many() -> None:
    story = ActStory()
    command = reset(story)
    back = undo(story, command)
    story.dry_run(back)  # type: ignore[arg-type]
    wanted = story.one(ApprovalRequested)
    assert (wanted.operation, wanted.needed, wanted.roles) == ("act-undo", 2, ("supervisor",))
    story.approve(wanted, "bob")
    story.approve(wanted, "carol")
    assert story.one(CommandPermitted).permit.undoes == command


def test_a_command_is_undone_once_and_an_undo_never() -> None:
    story = ActStory()
    moved = story.positioned(40.0, before=10.0)
    back = undo(story, moved, asset=VALVE)
    permitted = story.only(CommandPermitted)
    undo(story, moved, asset=VALVE)
    story.denied("is still being executed")
    story.executed(back, permitted, 40.0)  # type: ignore[arg-type]
    undo(story, moved, asset=VALVE)
    story.denied("has written to the asset since")
    undo(story, back, asset=VALVE)
    story.denied("is an undo itself")


def test_an_undo_that_wrote_nothing_may_be_asked_again() -> None:
    story = ActStory()
    moved = story.positioned()
    undo(story, moved, asset=VALVE)
    story.fail(story.only(CommandPermitted), written=False)
    undo(story, moved, asset=VALVE)
    story.only(CommandPermitted)


@pytest.mark.parametrize("later", ["SetPosition", "CloseValve"])
def test_what_another_command_wrote_since_is_not_written_over(later: str) -> None:
    story = ActStory()
    moved = story.positioned()
    arguments: dict[str, Scalar] = {"PERCENT": 60.0} if later == "SetPosition" else {}
    other = story.ask(later, arguments, asset=VALVE)
    permit: Any = next(event for event in story.out if hasattr(event, "permit"))
    undo(story, moved, asset=VALVE)
    story.denied("still being executed")
    story.claim(other, by="adapter-opc1")
    story.execute(other, permit.decision, by="adapter-opc1")
    assert not is_undoable(story, moved)
    undo(story, moved, asset=VALVE)
    story.denied(f"({later}) has written to the asset since")


def test_a_stop_that_overlapped_counts_as_later() -> None:
    story = ActStory()
    moved = story.ask("SetPosition", {"PERCENT": 40.0}, asset=VALVE)
    permitted = story.only(CommandPermitted)
    story.claim(moved, by="adapter-opc1")
    stop = story.ask("CloseValve", asset=VALVE)
    story.claim(stop, by="adapter-opc1")
    story.execute(stop, permitted.decision, by="adapter-opc1")
    story.say_executed(
        permitted.permit,
        permitted.decision,
        (msgspec.structs.replace(permitted.permit.writes[0], value=1.0),),
    )
    undo(story, moved, asset=VALVE)
    story.denied("(CloseValve) has written to the asset since")


def test_says_why_something_cannot_be_undone() -> None:
    story = ActStory()
    undo(story, "c99", asset=VALVE)
    story.denied("no command 'c99'")
    denied = story.ask("SetPosition", {"PERCENT": 400.0}, asset=VALVE)
    undo(story, denied, asset=VALVE)
    story.denied("was not executed")
    moved = story.positioned()
    undo(story, moved, asset=PUMP)
    story.denied("is of valve-001")
    lock = story.lock(VALVE, actor="bob")
    story.act("unlock", {"lock": lock}, asset=VALVE, actor="bob")
    undo(story, lock, asset=VALVE)
    story.denied("is an act")
    stop = story.ask("StopPump")
    undo(story, stop, asset=PUMP)
    story.denied("safe direction")
    story.ask("SetPosition", {"PERCENT": 50.0}, asset=VALVE)
    lost = story.only(CommandPermitted)
    story.lose(lost)
    undo(story, lost.command, asset=VALVE)
    story.denied("reconcile it")


def test_what_left_no_way_back_or_took_itself_back_is_not_undone() -> None:
    story = ActStory(msgspec.structs.replace(POLICY_OF_ACTS, operations={}))
    story.ask("SetPosition", {"PERCENT": 40.0}, asset=VALVE)
    first = story.only(CommandPermitted)
    story.fail(first, written=False)
    undo(story, first.command, asset=VALVE)
    story.denied("wrote nothing")
    story.ask("SetPosition", {"PERCENT": 40.0}, asset=VALVE)
    second = story.only(CommandPermitted)
    story.fail(second, compensated=True)
    undo(story, second.command, asset=VALVE)
    story.denied("left no way back")
    story.ask("SetPosition", {"PERCENT": 40.0}, asset=VALVE)
    third = story.only(CommandPermitted)
    story.fail(third)
    undo(story, third.command, asset=VALVE)
    assert story.only(CommandPermitted).permit.undoes == third.command


def test_an_undo_by_an_operation_is_held_against_that_operation_too() -> None:
    rules = {name: rule for name, rule in POLICY_OF_ACTS.operations.items() if "CloseValve" not in name}
    rules["valve-001.CloseValve"] = OperationRule(limits={"SPEED": ArgumentLimit(high=1.0)})
    story = ActStory()
    marked = story.ask("Mark", asset=VALVE)
    story.executed(marked, story.only(CommandPermitted), 0.0)
    story.publish(after(POLICY_OF_ACTS, operations={**rules, "valve-001.SetPosition": OperationRule()}))
    undo(story, marked, asset=VALVE)
    assert "SPEED" in story.denied("argument:SPEED").reason


def test_what_was_recorded_under_another_model_is_not_written() -> None:
    story = ActStory()
    moved = story.positioned()
    other = Plant.of(Model(assets={**PLANT.model.assets, AssetName("spare"): Asset()}), (PLC1, OPC1))
    story.gate = Gate(SITE, other, ROOT)
    story.publish(after(POLICY_OF_ACTS, model=other.digest))
    undo(story, moved, asset=VALVE)
    story.denied("the model is another one")
    assert not is_undoable(story, moved)


def test_a_lock_and_what_nobody_knows_hinder_an_undo() -> None:
    story = ActStory()
    moved = story.positioned()
    story.lock(VALVE)
    undo(story, moved, asset=VALVE)
    story.denied("lockout")


def test_the_door_observes_what_the_undone_operation_needs() -> None:
    story = ActStory()
    speeded = story.speeded()
    back = undo(story, speeded)
    intent = story.state.asked[back].intent  # type: ignore[index]
    needed = tags_needed(story.state, PLANT, POLICY_OF_ACTS, intent, is_held_against=True)
    assert needed == ("plc1.local", "plc1.setpoint", "plc1.temperature")
    assert "plc1.setpoint" not in tags_needed(
        story.state, PLANT, POLICY_OF_ACTS, intent, is_held_against=False
    )


def test_undo_values_live_as_long_as_the_command_is_remembered() -> None:
    story = ActStory()
    moved = story.positioned()
    again = story.gate.load(story.gate.dump(story.state))
    assert again.deeds[moved]["adapter-opc1"].undo == story.state.deeds[moved]["adapter-opc1"].undo != ()
    story.wait(REMEMBER.total_seconds() + 60)
    story.ask("Explode")
    assert moved not in story.state.deeds


def _dumped(risk: Any) -> Plant:
    """A valve whose `Mark` is undone by `Dump`."""
    valve = PLANT.model.assets[VALVE]
    dump = Operation(risk=risk, steps=(Step(property="command", value=100.0),))
    mark = msgspec.structs.replace(valve.operations["Mark"], undo="operation:Dump")
    valve = msgspec.structs.replace(valve, operations={**valve.operations, "Dump": dump, "Mark": mark})
    return Plant.of(Model(assets={**PLANT.model.assets, VALVE: valve}), (PLC1, OPC1))


@pytest.mark.parametrize(
    ("risk", "rules", "why"),
    [
        ("critical", {}, "risk critical"),
        ("low", {"valve-001.Dump": OperationRule(simulate=True)}, "simulated first"),
        ("low", {"valve-001.Dump": OperationRule(risk="medium")}, "risk medium"),
    ],
)
def test_an_undo_does_not_get_by_what_the_operation_that_undoes_takes(
    risk: Any, rules: dict[str, OperationRule], why: str
) -> None:
    plant = _dumped(risk)
    rules = {**POLICY_OF_ACTS.operations, **rules}
    story = ActStory(msgspec.structs.replace(POLICY_OF_ACTS, model=plant.digest, operations=rules), plant)
    marked = story.ask("Mark", asset=VALVE)
    permitted = story.only(CommandPermitted)
    story.executed(marked, permitted, 10.0)
    undo(story, marked, asset=VALVE)
    story.denied(why)
    story.denied("ask for Dump itself")
    problem = undo_hindrance(msgspec.structs.replace(POLICY_OF_ACTS, operations=rules), plant, VALVE, "Mark")
    permit = msgspec.structs.replace(permitted.permit, undoes=marked)
    keyring = Keyring(msgspec.structs.replace(POLICY_OF_ACTS, operations=rules))
    assert evidence_problem(permit, keyring, plant, story.now) == problem
