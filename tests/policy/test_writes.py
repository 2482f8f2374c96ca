"""What is written is what the model says, and what is taken back is only what was surely there."""

from __future__ import annotations

import msgspec
import pytest

from plantops.events.base import Scalar, SourceName, TagName
from plantops.events.command_parts import Invocation, StepResult, Write
from plantops.model.assets import Delegate, Model
from plantops.model.load import Plant
from plantops.policy.projection import project
from plantops.policy.writes import Plan, plan_of, simulator_of, undo_of
from plantops.runtime.errors import Refused
from support.plant_samples import DEFINITIONS, MODEL, NOW, PLANT, SPEED, seen, source

PLC = SourceName("plc")

TO_1200 = Write(
    tag=TagName("speed.set"),
    value=1200.0,
    verify="feedback",
    feedback=TagName("speed.actual"),
    tolerance=5,
    settle_seconds=3,
)
TO_STOP = Write(tag=TagName("run"), value=False)


def result(write: Write, before: Scalar | None, *, quality: int = 192, written: bool = True) -> StepResult:
    return StepResult(write=write, before=before, before_quality=quality, written_at=NOW if written else None)


def test_puts_the_arguments_into_the_steps() -> None:
    assert plan_of(PLANT, "pump", "SetSpeed", {"RPM": 1200.0}) == Plan(PLC, (TO_1200,))
    assert plan_of(PLANT, "pump", "Stop", {}) == Plan(PLC, (TO_STOP,))
    assert simulator_of(PLANT, "pump", "Stop", {}) is None


def test_hands_the_arguments_to_a_delegate_and_to_a_simulator() -> None:
    mes = source("mes")
    operation = msgspec.structs.replace(
        SPEED, steps=(), undo="none", delegate=Delegate(source="mes", path="batches/start", timeout_seconds=9)
    )
    simulated = msgspec.structs.replace(SPEED, simulator=Delegate(source="mes", path="try"))
    asset = msgspec.structs.replace(
        MODEL.assets["pump"], operations={"Batch": operation, "SetSpeed": simulated}
    )
    plant = Plant.of(Model(assets={"pump": asset}), (*DEFINITIONS, mes))
    invocation = Invocation(path="batches/start", arguments={"RPM": 900.0}, timeout_seconds=9)
    assert plan_of(plant, "pump", "Batch", {"RPM": 900.0}) == Plan(mes.source, invocation=invocation)
    whole = plan_of(plant, "pump", "Batch", {"RPM": 900}).invocation
    assert whole is not None
    assert repr(whole.arguments["RPM"]) == "900.0"
    tried = Invocation(path="try", arguments={"RPM": 900.0})
    assert simulator_of(plant, "pump", "SetSpeed", {"RPM": 900.0}) == Plan(mes.source, invocation=tried)
    assert plan_of(plant, "pump", "SetSpeed", {"RPM": 900.0}).source == "plc"
    with pytest.raises(Refused, match="RPM"):
        plan_of(plant, "pump", "Batch", {})


def test_refuses_what_the_model_does_not_have() -> None:
    with pytest.raises(Refused, match="no operation"):
        plan_of(PLANT, "pump", "Explode", {})
    with pytest.raises(Refused, match="RPM"):
        plan_of(PLANT, "pump", "SetSpeed", {})


def test_restores_the_before_values_last_written_first() -> None:
    other = Write(tag=TagName("run"), value=True)
    undo = undo_of(PLANT, "pump", "SetSpeed", [result(TO_1200, 900.0), result(other, False)])
    assert [(write.tag, write.value) for write in undo] == [("run", False), ("speed.set", 900.0)]
    assert (undo[1].verify, undo[1].feedback, undo[1].tolerance) == ("feedback", "speed.actual", 5)


def test_restores_only_what_was_written() -> None:
    other = Write(tag=TagName("run"), value=True)
    undo = undo_of(PLANT, "pump", "SetSpeed", [result(TO_1200, 900.0), result(other, None, written=False)])
    assert [write.tag for write in undo] == ["speed.set"]
    assert undo_of(PLANT, "pump", "SetSpeed", [result(TO_1200, 900.0, written=False)]) == ()


@pytest.mark.parametrize(("before", "quality"), [(None, 192), (900.0, 0), (900.0, 64)])
def test_restores_nothing_when_a_before_value_is_not_sure(before: float | None, quality: int) -> None:
    sure = result(Write(tag=TagName("run"), value=True), False)
    assert undo_of(PLANT, "pump", "SetSpeed", [sure, result(TO_1200, before, quality=quality)]) == ()


def test_undoes_by_another_operation_or_not_at_all() -> None:
    started = [result(Write(tag=TagName("run"), value=True), False)]
    assert undo_of(PLANT, "pump", "Start", started) == (TO_STOP,)
    assert undo_of(PLANT, "pump", "Start", []) == ()
    assert undo_of(PLANT, "pump", "Stop", started) == ()


def test_projects_written_tags_and_their_feedback_and_leaves_the_rest() -> None:
    level = seen("level", 5.0, quality=0)
    inputs = (level, seen("speed.set", None, quality=24, age=None))
    projected = project(inputs, (TO_1200,))
    assert projected[0] is level
    assert [(one.tag, one.value, one.quality, one.age_seconds, one.note) for one in projected[1:]] == [
        ("speed.set", 1200.0, 192, 0.0, "projected"),
        ("speed.actual", 1200.0, 192, 0.0, "projected"),
    ]
    assert project(inputs, ()) == inputs
