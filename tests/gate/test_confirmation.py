"""A confirmation counts for the very result that the person saw, on a plant that stands as it did then."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from plantops.events.base import Digest, Scalar, SourceName, TagName
from plantops.events.command_parts import Observation, ObservedInput
from plantops.events.commands import CommandDenied, CommandPermitted, CommandSimulated, SimulationOrdered
from plantops.events.tags import SourceDefined
from plantops.model.load import Plant
from plantops.policy.document import OperationRule
from support.gate_samples import (
    MODEL,
    OPC1,
    PLC1,
    POLICY,
    STANDING,
    VALVE,
    Story,
    seen,
    well,
)

SPEED: dict[str, Scalar] = {"RPM": 1200.0}


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("result", ["", "0" * 64, "half"])
def test_refuses_a_confirmation_that_does_not_name_the_result(result: str, signed: bool) -> None:
    policy = msgspec.structs.replace(POLICY, unsigned_risk="high")
    story = Story(policy=policy)
    first = story.simulated()
    digest = story.one(CommandSimulated).result
    named = digest[:32] if result == "half" else result
    story.ask("SetSpeed", SPEED, confirms=first, simulation=Digest(named), signed=signed)
    story.denied("confirmation: the result of")
    story.ask("SetSpeed", SPEED, confirms=first, simulation=digest, signed=signed)
    assert story.only(CommandPermitted).confirms == first


def test_refuses_the_result_of_another_simulation_of_the_same_words() -> None:
    story = Story()
    first = story.simulated()
    seen_result = story.one(CommandSimulated).result
    story.wait(1)
    second = story.simulated()
    story.ask("SetSpeed", SPEED, confirms=second, simulation=seen_result)
    story.denied("confirmation: the result of")
    story.ask("SetSpeed", SPEED, confirms=first, simulation=seen_result)
    story.only(CommandPermitted)


@pytest.mark.parametrize(
    "told",
    [
        {"before": (seen("plc1.setpoint", 901.0),)},
        {"encoded": ("40001=1201",)},
        {"simulated": {"flow": 3.5}},
        {
            "observation": Observation(
                at=Story().now, inputs=well(seen("plc1.temperature", 61.0), at=Story().now).inputs
            )
        },
    ],
    ids=["before", "encoded", "simulated", "decision"],
)
def test_the_result_covers_all_that_could_be_seen(told: dict[str, object]) -> None:
    """Each part of what a person was shown gives another digest."""
    story, other = Story(), Story()
    story.simulated()
    command = other.ask("SetSpeed", SPEED)
    other.dry_run(command, **told)  # type: ignore[arg-type]  # each row names real fields
    assert story.one(CommandSimulated).result != other.one(CommandSimulated).result


def test_the_result_covers_what_would_be_written() -> None:
    story, other = Story(), Story()
    story.simulated()
    other.simulated(rpm=1300.0)
    assert story.one(CommandSimulated).projected != other.one(CommandSimulated).projected
    assert story.one(CommandSimulated).result != other.one(CommandSimulated).result


@pytest.mark.parametrize(
    ("now", "text"),
    [
        (seen("plc1.setpoint", 950.0, age=0.0), "plc1.setpoint is 950.0 now, and was 900.0"),
        (seen("plc1.setpoint", None), "what stands in plc1.setpoint is not known now"),
        (seen("plc1.setpoint", 900.0, quality=24), "what stands in plc1.setpoint is not known now"),
    ],
)
def test_refuses_a_confirmation_when_the_plant_has_moved(now: ObservedInput, text: str) -> None:
    story = Story()
    first = story.simulated()
    story.ask("SetSpeed", SPEED, confirms=first, observation=well(now, at=story.now))
    story.denied(f"confirmation: {text}")
    story.ask("SetSpeed", SPEED, confirms=first)
    story.only(CommandPermitted)


@pytest.mark.parametrize(
    ("age", "is_taken"), [(0.3, True), (0.2, False), (0.1, False), (None, False)], ids=str
)
def test_what_the_source_told_before_the_simulation_says_nothing_of_what_came_after(
    age: float | None, is_taken: bool
) -> None:
    """A dry run reads the device, where a write of a moment ago stands; the source tells of it with its next
    reading. `age` is counted back from 0.2 s after the simulation."""
    story = Story()
    first = story.simulated()
    story.wait(0.2)
    before_the_write = well(seen("plc1.setpoint", 0.0, age=age), at=story.now)
    story.ask("SetSpeed", SPEED, confirms=first, observation=before_the_write)
    assert isinstance(story.out[0], CommandPermitted if is_taken else CommandDenied)


def test_what_is_newer_than_the_observer_s_clock_counts_as_news() -> None:
    """Behind the broker's time, an observer tells no age below 0: the frame may come after the simulation."""
    story = Story()
    first = story.simulated()
    moved = well(seen("plc1.setpoint", 0.0, age=0.0), at=story.now - timedelta(seconds=0.5))
    story.ask("SetSpeed", SPEED, confirms=first, observation=moved)
    story.denied("confirmation: plc1.setpoint is 0.0 now")


def test_a_gate_that_restarted_still_knows_when_the_simulation_read_the_device() -> None:
    story = Story()
    first = story.simulated()
    story.state = story.gate.load(story.gate.dump(story.state))
    story.wait(0.2)
    before_the_write = well(seen("plc1.setpoint", 0.0, age=0.3), at=story.now)
    story.ask("SetSpeed", SPEED, confirms=first, observation=before_the_write)
    story.only(CommandPermitted)


def test_a_confirmation_without_a_look_at_the_plant_denies() -> None:
    """The inputs of the permissives are there, and the written tag was not looked at."""
    story = Story()
    first = story.simulated()
    inputs = tuple(one for one in well(at=story.now).inputs if one.tag != "plc1.setpoint")
    story.ask("SetSpeed", SPEED, confirms=first, observation=Observation(at=story.now, inputs=inputs))
    story.denied("confirmation: what stands in plc1.setpoint is not known now")


def with_deadband(deadband: float) -> Plant:
    tags = tuple(
        msgspec.structs.replace(tag, deadband=deadband) if tag.name == "plc1.setpoint" else tag
        for tag in PLC1.tags
    )
    source = SourceDefined(site=PLC1.site, source=SourceName("plc1"), groups=PLC1.groups, tags=tags)
    return Plant.of(MODEL, (source, OPC1))


@pytest.mark.parametrize(("value", "is_same"), [(900.5, True), (899.5, True), (900.51, False)])
def test_what_the_source_does_not_tell_is_no_movement(value: float, is_same: bool) -> None:
    """Below its dead band a source tells no change, while a dry run reads the device itself."""
    plant = with_deadband(0.5)
    story = Story(policy=msgspec.structs.replace(POLICY, model=plant.digest), plant=plant)
    first = story.simulated(model=plant.digest)
    story.ask(
        "SetSpeed",
        SPEED,
        confirms=first,
        model=plant.digest,
        observation=well(seen("plc1.setpoint", value, age=0.0), at=story.now),
    )
    assert isinstance(story.out[0], CommandPermitted if is_same else CommandDenied)


def test_what_could_not_be_read_in_the_simulation_is_not_held_against_it() -> None:
    story = Story()
    command = story.ask("SetSpeed", SPEED)
    story.dry_run(
        command,
        before=(ObservedInput(tag=TagName("plc1.setpoint"), value=None, quality=24, age_seconds=None),),
    )
    story.ask("SetSpeed", SPEED, confirms=command)
    story.only(CommandPermitted)


RULES = {**POLICY.operations, "valve-001.SetPosition": OperationRule(simulate=True)}


def test_below_risk_high_too_the_policy_can_ask_for_a_simulation_first() -> None:
    story = Story(policy=msgspec.structs.replace(POLICY, operations=RULES))
    first = story.ask("SetPosition", {"PERCENT": 40.0}, asset=VALVE)
    story.only(SimulationOrdered)
    story.dry_run(first, by="adapter-opc1")
    assert story.only(CommandSimulated).next == "confirm"
    assert story.only(CommandSimulated).before == (STANDING[3],)
    story.ask("SetPosition", {"PERCENT": 41.0}, asset=VALVE, confirms=first)
    story.denied("asset, operation and arguments differ")
    story.ask("SetPosition", {"PERCENT": 40.0}, asset=VALVE, confirms=first)
    assert story.only(CommandPermitted).permit.writes[0].value == 40.0


def test_an_old_look_at_the_plant_says_nothing_of_what_stands_there_now() -> None:
    """Also where no rule of the operation needs an input."""
    story = Story(policy=msgspec.structs.replace(POLICY, operations=RULES))
    first = story.ask("SetPosition", {"PERCENT": 40.0}, asset=VALVE)
    story.dry_run(first, by="adapter-opc1")
    old = well(at=story.now)
    story.wait(30.000001)
    story.ask("SetPosition", {"PERCENT": 40.0}, asset=VALVE, confirms=first, observation=old)
    story.denied("confirmation: what stands in opc1.command is not known now")


def test_arguments_can_not_change_under_an_approval_or_a_confirmation() -> None:
    """Other words are another command, of which nobody has seen or approved anything."""
    story = Story()
    first = story.simulated()
    story.ask("SetSpeed", {"RPM": 1200}, confirms=first)
    story.denied("asset, operation and arguments differ")
    other = story.ask("SetSpeed", {"RPM": 1201.0})
    assert other != first
    story.only(SimulationOrdered)


def test_a_confirmation_counts_until_its_very_last_moment() -> None:
    story = Story()
    first = story.simulated()
    story.wait(300)
    story.ask("SetSpeed", SPEED, confirms=first)
    story.only(CommandPermitted)
    late = Story()
    first = late.simulated()
    late.wait(300.000001)
    late.ask("SetSpeed", SPEED, confirms=first)
    late.denied("ran out")
