"""A command whose outcome nobody knows is closed by the device's own word, once."""

from __future__ import annotations

from pathlib import Path

import pytest

from plantops.adapters.host.reconciling import conclusion
from plantops.events.base import CommandId, Scalar, SourceName, TagName
from plantops.events.command_parts import ObservedInput, StepResult, Write
from plantops.events.commands import CommandClaimed, OutcomeUnknown
from plantops.events.governance import CommandReconciled, ReconcileOrdered
from plantops.events.operations import MessageBuried
from support.host_governed import governed
from support.host_ground import RUN, SETPOINT, SITE, SPEED, Ground
from support.host_orders import FINALS, Order, only
from support.host_rig import Rig, device
from support.manual_clock import calm


async def order(
    ground: Ground, target: CommandId, *tags: str, act: str = "act1", source: str = "plc1"
) -> None:
    """What the gate says when a person asks."""
    decision = ground.decision(act, "Ramp", {"RPM": 1.0})
    event = ReconcileOrdered(
        site=SITE,
        command=CommandId(act),
        target=target,
        source=SourceName(source),
        tags=tuple(TagName(tag) for tag in tags or ("setpoint",)),
        decision=decision,
    )
    subject = f"cmd.{SITE}.reconcile_ordered.gate.{act}"
    await ground.gate_bus.publish(
        ground.gate.message(subject, event, id=act, time=ground.clock.now_ns()), stream="COMMANDS"
    )


async def unknown(rig: Rig) -> CommandId:
    """A command whose write was never answered."""
    rig.device.lost_after_write.add(SETPOINT)
    command = await rig.ground.say(rig.ground.order("SetSpeed", {"RPM": 1200.0}))
    assert isinstance(await only(rig), OutcomeUnknown)
    rig.device.lost_after_write.clear()
    return command


async def crashed(tmp_path: Path, ground: Ground, what: Order) -> Rig:
    """A run that has claimed it and dies; the second run has said that it knows no more."""
    rig = await Rig(tmp_path, ground=ground, plant=device(), owner="first").up()

    def write(tag: int, value: Scalar) -> None:
        rig.device.values[tag] = value
        rig.device.may_read.clear()

    rig.device.on_write = write
    await ground.say(what)
    await calm()
    await rig.crash()
    rig.device.may_read.set()
    rig.device.on_write = rig.device.values.__setitem__
    again = Rig(tmp_path, ground=ground, plant=rig.device, owner="second")
    assert isinstance(await only(again), OutcomeUnknown)
    return again


async def told(rig: Rig) -> CommandReconciled:
    event = await only(rig, CommandReconciled)
    assert isinstance(event, CommandReconciled)
    return event


@pytest.mark.parametrize(
    ("stands", "found"), [(1200.0, "written"), (100.0, "not_written"), (700.0, "other"), (None, "other")]
)
async def test_the_device_says_what_became_of_a_write_that_was_never_answered(
    tmp_path: Path, stands: float | None, found: str
) -> None:
    rig = await Rig(tmp_path).up()
    command = await unknown(rig)
    rig.device.values[SETPOINT] = stands
    if stands is None:
        rig.device.bad[SETPOINT] = 24
    await order(rig.ground, command, "setpoint", "speed")
    event = await told(rig)
    assert (event.command, event.by, event.conclusion) == (command, "act1", found)
    assert [(one.tag, one.value) for one in event.found] == [
        ("setpoint", stands),
        ("speed", rig.device.values[SPEED]),
    ]
    assert rig.notary.records[-1] == f"command.reconciled {command}"
    assert rig.device.written == [(SETPOINT, 1200.0)]
    await rig.stop()


async def test_it_is_said_once_however_often_it_is_asked(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).up()
    command = await unknown(rig)
    await order(rig.ground, command)
    await told(rig)
    rig.device.values[SETPOINT] = 5.0
    await order(rig.ground, command, act="act2")
    await rig.ground.clock.advance(10.0)
    assert (await told(rig)).by == "act1"
    assert rig.ground.told(MessageBuried, stream="DEAD") == []
    await rig.ground.say(rig.ground.order("SetSpeed", {"RPM": 300.0}))
    await rig.ground.clock.advance_until(lambda: len(rig.ground.told(*FINALS)) == 2)
    await rig.stop()


async def test_a_permit_that_comes_again_after_it_says_nothing_more(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).up()
    permitted = rig.ground.order("SetSpeed", {"RPM": 1200.0})
    rig.device.lost_after_write.add(SETPOINT)
    await rig.ground.say(permitted)
    await only(rig)
    await order(rig.ground, permitted.command)
    await told(rig)
    await rig.ground.say(permitted)
    await rig.ground.clock.advance(60.0)
    assert len(rig.ground.told(*FINALS)) == 1
    assert rig.device.written == [(SETPOINT, 1200.0)]
    await rig.stop()


@pytest.mark.parametrize(
    ("values", "found"),
    [((900.0, True), "written"), ((100.0, False), "other"), ((900.0, False), "other")],
)
async def test_after_a_crash_the_permit_says_what_was_to_be_written(
    tmp_path: Path, values: tuple[float, bool], found: str
) -> None:
    """What stood there before is not known of a step that nobody told of: then it is never `not_written`."""
    ground = governed()
    rig = await crashed(tmp_path, ground, ground.order("Start", {"RPM": 900.0}))
    rig.device.values[SETPOINT], rig.device.values[RUN] = values
    (claim,) = ground.told(CommandClaimed)
    assert isinstance(claim, CommandClaimed)
    await order(ground, claim.command, "setpoint", "run")
    assert (await told(rig)).conclusion == found
    await rig.stop()


def test_of_a_tag_that_was_written_twice_the_last_value_and_the_first_before_count() -> None:
    steps = (step("setpoint", 900.0, before=100.0), step("setpoint", 0.0, before=900.0))
    assert conclusion(steps, {TagName("setpoint"): seen(0.0)}) == "written"
    assert conclusion(steps, {TagName("setpoint"): seen(100.0)}) == "not_written"
    assert conclusion(steps, {TagName("setpoint"): seen(900.0)}) == "other"
    assert conclusion(steps, {TagName("setpoint"): seen(0.0, quality=64)}) == "other"
    assert conclusion(steps, {}) == conclusion((), {}) == "other"
    unsure = (step("setpoint", 900.0, before=100.0, quality=24),)
    assert conclusion(unsure, {TagName("setpoint"): seen(100.0)}) == "other"


def step(tag: str, value: float, *, before: float, quality: int = 192) -> StepResult:
    return StepResult(write=Write(tag=TagName(tag), value=value), before=before, before_quality=quality)


def seen(value: float, quality: int = 192) -> ObservedInput:
    return ObservedInput(tag=TagName("setpoint"), value=value, quality=quality, age_seconds=0.0)


async def test_a_device_that_is_away_is_asked_when_it_is_back(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).up()
    command = await unknown(rig)
    rig.device.is_away = True
    await rig.ground.clock.advance(5.0)
    await order(rig.ground, command)
    await rig.ground.clock.advance(2.0)
    assert rig.ground.told(CommandReconciled) == []
    rig.device.is_away = False
    assert (await told(rig)).conclusion == "written"
    await rig.stop()


async def test_an_order_that_is_old_when_the_host_comes_back_still_waits_for_the_device(
    tmp_path: Path,
) -> None:
    ground = Ground()
    rig = await Rig(tmp_path, ground=ground, plant=device(), owner="first").up()
    command = await unknown(rig)
    await rig.crash()
    await order(ground, command)
    await ground.clock.advance(300.0)
    rig.device.is_away = True
    again = await Rig(tmp_path, ground=ground, plant=rig.device, owner="second").up()
    await ground.clock.advance(20.0)
    assert ground.told(CommandReconciled) == []
    assert ground.told(MessageBuried, stream="DEAD") == []
    again.device.is_away = False
    assert (await told(again)).conclusion == "written"
    await again.stop()


async def test_a_device_that_stays_away_is_given_up_and_the_order_buried(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).up()
    command = await unknown(rig)
    rig.device.is_away = True
    await order(rig.ground, command)
    await rig.ground.clock.advance_until(lambda: bool(rig.ground.told(MessageBuried, stream="DEAD")))
    rig.device.is_away = False
    await order(rig.ground, command, act="act2")
    assert (await told(rig)).by == "act2"
    await rig.stop()


async def test_an_order_for_a_known_outcome_or_another_source_changes_nothing(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).up()
    command = await rig.ground.say(rig.ground.order("SetSpeed", {"RPM": 1200.0}))
    await only(rig)
    await order(rig.ground, command)
    await rig.ground.clock.advance_until(lambda: bool(rig.ground.told(MessageBuried, stream="DEAD")))
    await order(rig.ground, command, act="act2", source="plc2")
    await rig.ground.clock.advance(5.0)
    assert rig.ground.told(CommandReconciled) == []
    assert len(rig.ground.told(MessageBuried, stream="DEAD")) == 1
    await rig.stop()
