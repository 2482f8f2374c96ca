"""A model that does not fit its sources is refused, and the message names the place."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from plantops.events.base import TagName
from plantops.model.assets import (
    Argument,
    Asset,
    Delegate,
    Model,
    Operation,
    Property,
    Requirement,
    Step,
    Verify,
)
from plantops.model.load import Plant, check_model, load_model, tag_sources
from plantops.runtime.errors import SettingsError
from support.plant_samples import DEFINITIONS, MODEL, PLANT, SPEED, source, tag

PUMP = MODEL.assets["pump"]


def properties(**changed: Property) -> Model:
    return Model(assets={"pump": Asset(properties={**PUMP.properties, **changed})})


def operation(name: str = "Try", **changed: object) -> Model:
    tried = msgspec.structs.replace(SPEED, **changed)
    return Model(assets={"pump": msgspec.structs.replace(PUMP, operations={**PUMP.operations, name: tried})})


def argument(**changed: object) -> Model:
    return operation(arguments={"RPM": msgspec.structs.replace(SPEED.arguments["RPM"], **changed)})


def step(property_: str, value: object, **verify: object) -> Model:
    proof = msgspec.structs.replace(Verify(), **verify)
    return operation(steps=(Step(property=property_, value=value, verify=proof),))  # type: ignore[arg-type]


def required(property_: str, value: bool | float) -> Model:
    return operation(requires=(Requirement(property=property_, equals=value),))


def delegated(source: str = "mes", path: str = "batches/start", **changed: object) -> Model:
    who = Delegate(source=source, path=path)
    return operation(**{"steps": (), "undo": "none", "delegate": who, **changed})  # type: ignore[arg-type]


MES = (*DEFINITIONS, source("mes"))
WRONG = [
    (Model(assets={"a.b": Asset()}), "assets.a.b", "asset name"),
    (properties(**{"x y": Property(tag=TagName("level"))}), "properties.x y", "property name"),
    (properties(x=Property(tag=TagName("lvl"))), "properties.x.tag", "no source has the tag 'lvl'"),
    (properties(x=Property(tag=TagName("level"), unit="m")), "properties.x.unit", "is in '%'"),
    (operation("Set Speed"), "operations.Set Speed", "operation name"),
    (operation(arguments={"R.P": Argument(type="number")}), "Try.arguments.R.P", "argument name"),
    (argument(low=5, high=1), "arguments.RPM.low", "above high"),
    (argument(high=math.inf), "arguments.RPM.high", "finite"),
    (argument(low=math.nan), "arguments.RPM.low", "finite"),
    (argument(type="string"), "arguments.RPM.low", "bounds an argument of type string"),
    (argument(choices=(1, "two")), "arguments.RPM.choices", "'two'"),
    (argument(choices=(True,)), "arguments.RPM.choices", "True"),
    (operation(steps=()), "Try.steps", "no step"),
    (step("nothing", 1), "steps[0].property", "no property"),
    (step("temperature", 1), "steps[0].property", "not writable"),
    (step("speed_set", "$rpm"), "steps[0].value", "no argument"),
    (step("recipe", "$RPM"), "steps[0].value", "of type number"),
    (step("run", 1), "steps[0].value", "does not fit"),
    (step("speed_set", True), "steps[0].value", "does not fit"),
    (step("speed_set", math.nan), "steps[0].value", "does not fit"),
    (step("recipe", 5), "steps[0].value", "does not fit"),
    (step("run", True, kind="feedback", property="nothing"), "verify.property", "no property"),
    (step("run", True, kind="feedback", property="speed"), "verify.property", "is f8"),
    (step("run", True, property="remote"), "verify.property", "not used by kind 'echo'"),
    (step("run", True, tolerance=-1.0), "verify.tolerance", "0 or more"),
    (step("run", True, settle_seconds=math.inf), "verify.settle_seconds", "finite"),
    (required("nothing", True), "requires[0].property", "no property"),
    (required("remote", 1), "requires[0].equals", "does not fit"),
    (operation(undo="back"), "Try.undo", "'back'"),
    (operation(undo="operation:Nothing"), "Try.undo", "does not have"),
    (operation(undo="operation:SetSpeed"), "Try.undo", "takes arguments"),
    (operation("act-lock"), "operations.act-lock", "are acts"),
    (operation(delegate=Delegate(source="mes", path="x")), "Try.delegate", "beside steps"),
    (delegated("erp"), "Try.delegate.source", "no source 'erp'"),
    (delegated(path=""), "Try.delegate.path", "is empty"),
    (delegated(delegate=Delegate(source="mes", path="x", timeout_seconds=math.nan)), "timeout", "is nan"),
    (delegated(compensate="restore"), "Try.compensate", "there is none"),
    (delegated(undo="restore"), "Try.undo", "nothing that a delegate did"),
    (operation(simulator=Delegate(source="erp", path="x")), "Try.simulator.source", "no source 'erp'"),
    (operation(simulator=Delegate(source="plc", path="x")), "Try.simulator.source", "name another"),
    (delegated(simulator=Delegate(source="mes", path="y")), "Try.simulator.source", "name another"),
]


@pytest.mark.parametrize(("model", "place", "why"), WRONG, ids=[f"{place} {why}" for _m, place, why in WRONG])
def test_refuses_what_does_not_fit_and_names_the_place(model: Model, place: str, why: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Plant.of(model, MES)
    assert place in caught.value.setting
    assert why in caught.value.message


def test_a_source_without_tags_may_carry_out_and_simulate() -> None:
    check_model(delegated(), MES)
    check_model(operation(simulator=Delegate(source="mes", path="x"), compensate="restore"), MES)


def with_valve(change: Callable[[Operation], Operation]) -> Model:
    valve = Property(tag=TagName("valve"))
    both = Operation(steps=(Step(property="valve", value=1),))
    return Model(
        assets={
            "pump": Asset(
                properties={**PUMP.properties, "valve": valve},
                operations={"Stop": PUMP.operations["Stop"], "Open": change(both)},
            )
        }
    )


def test_an_operation_and_its_undo_write_to_one_source() -> None:
    check_model(with_valve(lambda operation: operation), DEFINITIONS)
    mixed = with_valve(
        lambda one: msgspec.structs.replace(one, steps=(*one.steps, Step(property="run", value=True)))
    )
    with pytest.raises(SettingsError, match="sources plc, scada"):
        check_model(mixed, DEFINITIONS)
    with pytest.raises(SettingsError, match="another source"):
        check_model(with_valve(lambda one: msgspec.structs.replace(one, undo="operation:Stop")), DEFINITIONS)


@pytest.mark.parametrize(
    ("value", "fits"), [(0, True), (2**64 - 1, True), (-1, False), (2**64, False), (1.5, False)]
)
def test_an_integer_tag_takes_what_it_can_hold(value: float, fits: bool) -> None:
    model = with_valve(lambda one: msgspec.structs.replace(one, steps=(Step(property="valve", value=value),)))
    if fits:
        check_model(model, DEFINITIONS)
    else:
        with pytest.raises(SettingsError, match="does not fit"):
            check_model(model, DEFINITIONS)


def test_a_tag_has_one_source_and_a_source_one_definition() -> None:
    assert tag_sources(DEFINITIONS)[TagName("level")] == "scada"
    with pytest.raises(SettingsError, match="'run' is in source 'plc' and in 'x'"):
        tag_sources((*DEFINITIONS, source("x", tag("run"))))
    with pytest.raises(SettingsError, match="defined twice"):
        tag_sources((*DEFINITIONS, source("plc", tag("new"))))


def test_a_plant_knows_tags_units_and_a_digest_that_follows_every_change() -> None:
    assert PLANT.tag_of("pump.speed") == "speed.actual"
    assert PLANT.tag_of("pump.nothing") is None
    assert (PLANT.unit_of("pump.speed"), PLANT.unit_of("pump.temperature")) == ("rpm", "Cel")
    said = Plant.of(properties(run=Property(tag=TagName("run"), unit="1")), DEFINITIONS)
    assert said.unit_of("pump.run") == "1"
    assert (PLANT.unit_of("pump.run"), PLANT.unit_of("pump.nothing")) == ("", "")
    assert PLANT.operation("pump", "Start") == PUMP.operations["Start"]
    assert PLANT.operation("pump", "Explode") is PLANT.operation("tank", "Start") is None
    assert Plant.of(MODEL, reversed(DEFINITIONS)).digest == PLANT.digest
    other = (DEFINITIONS[0], source("scada", tag("level", unit="%"), tag("valve", "u8")))
    assert Plant.of(MODEL, other).digest != PLANT.digest
    assert Plant.of(operation(risk="low"), DEFINITIONS).digest != PLANT.digest


def test_reads_a_model_file(tmp_path: Path) -> None:
    path = tmp_path / "model.toml"
    path.write_text(
        """
        [assets.pump.properties.run]
        tag = "run"
        [assets.pump.operations.Stop]
        risk = "low"
        undo = "restore"
        [[assets.pump.operations.Stop.steps]]
        property = "run"
        value = false
        """
    )
    model = load_model(path)
    assert model.assets["pump"].operations["Stop"].steps == (Step(property="run", value=False),)
    check_model(model, DEFINITIONS)


def test_a_misspelt_risk_is_refused_not_taken_for_none(tmp_path: Path) -> None:
    path = tmp_path / "model.toml"
    path.write_text('[assets.pump.operations.Stop]\nrisk = "HIGH"\n')
    with pytest.raises(
        SettingsError, match=r"model.toml:2: assets.pump.operations.Stop.risk is the text 'HIGH'"
    ):
        load_model(path)
