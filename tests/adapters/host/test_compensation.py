"""Commands of several steps: told step by step, stopped between two of them, and taken back."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from plantops.events.base import CommandId, Scalar
from plantops.events.commands import CommandCancelled, CommandExecuted, CommandFailed, OutcomeUnknown
from plantops.events.governance import CommandProgressed
from support.host_governed import governed
from support.host_ground import RUN, SETPOINT, SITE, TEMPERATURE, Ground
from support.host_orders import FINALS, changed, only, standing_of
from support.host_rig import Rig
from support.manual_clock import calm


async def started(tmp_path: Path) -> Rig:
    return await Rig(tmp_path, ground=governed()).up()


def steps(ground: Ground) -> list[tuple[int, int]]:
    told = ground.told(CommandProgressed)
    return [(one.step, one.steps) for one in told if isinstance(one, CommandProgressed)]


async def failed(rig: Rig) -> CommandFailed:
    told = await only(rig)
    assert isinstance(told, CommandFailed), told
    return told


async def test_each_step_of_several_is_told_in_its_order(tmp_path: Path) -> None:
    rig = await started(tmp_path)
    await rig.ground.say(rig.ground.order("Cycle", {"RPM": 900.0}))
    done = await only(rig)
    assert isinstance(done, CommandExecuted)
    assert rig.device.written == [(SETPOINT, 900.0), (RUN, True), (SETPOINT, 0.0)]
    assert steps(rig.ground) == [(1, 3), (2, 3), (3, 3)]
    results = [one.result for one in rig.ground.told(CommandProgressed) if isinstance(one, CommandProgressed)]
    assert tuple(results) == done.steps
    await rig.stop()


async def test_one_step_is_no_progress(tmp_path: Path) -> None:
    rig = await started(tmp_path)
    await rig.ground.say(rig.ground.order("SetSpeed", {"RPM": 900.0}))
    assert isinstance(await only(rig), CommandExecuted)
    assert steps(rig.ground) == []
    await rig.stop()


async def test_a_refused_step_takes_the_others_back_in_reverse(tmp_path: Path) -> None:
    rig = await started(tmp_path)
    rig.device.on_write = _heating(rig)
    await rig.ground.say(rig.ground.order("Start", {"RPM": 900.0}))
    told = await failed(rig)
    assert "cool" in told.reason
    assert rig.device.written == [(SETPOINT, 900.0), (SETPOINT, 100.0)]
    assert rig.device.values[SETPOINT] == 100.0
    assert (told.written, told.compensated, told.undo) == (True, True, ())
    assert [(one.write.tag, one.before, one.read_back) for one in told.compensation] == [
        ("setpoint", 900.0, 100.0)
    ]
    await rig.stop()


async def test_what_did_not_stay_is_taken_back_too_last_first(tmp_path: Path) -> None:
    rig = await started(tmp_path)
    sticks = True

    def write(tag: int, value: Scalar) -> None:
        if not (sticks and (tag, value) == (SETPOINT, 0.0)):
            rig.device.values[tag] = value

    rig.device.on_write = write
    await rig.ground.say(rig.ground.order("Cycle", {"RPM": 900.0}))
    told = await failed(rig)
    assert "setpoint reads 900.0" in told.reason
    assert [(one.write.tag, one.write.value) for one in told.compensation] == [
        ("setpoint", 900.0),
        ("run", False),
        ("setpoint", 100.0),
    ]
    assert rig.device.written[3:] == [(SETPOINT, 900.0), (RUN, False), (SETPOINT, 100.0)]
    assert told.compensated
    assert (rig.device.values[SETPOINT], rig.device.values[RUN]) == (100.0, False)
    await rig.stop()


async def test_a_permit_that_does_not_say_so_takes_nothing_back(tmp_path: Path) -> None:
    rig = await started(tmp_path)
    await rig.ground.say(changed(rig.ground.order("Start", {"RPM": 900.0}), compensates=False))
    told = await failed(rig)
    assert "taking steps back" in told.reason
    assert rig.device.written == []
    await rig.stop()


async def test_a_cancelled_command_ends_between_two_steps_and_is_taken_back(tmp_path: Path) -> None:
    rig = await started(tmp_path)
    order = rig.ground.order("Cycle", {"RPM": 900.0})
    rig.device.on_write = _then_unreadable(rig)
    await rig.ground.say(order)
    await calm()
    cancelled = CommandCancelled(site=SITE, command=order.command, reason="wrong pump", by=CommandId("act1"))
    message = rig.ground.gate.message(
        f"cmd.{SITE}.cancelled.gate.{order.command}", cancelled, id="cancel", time=0
    )
    await rig.ground.gate_bus.publish(message, stream="COMMANDS")
    rig.device.on_write = rig.device.values.__setitem__
    rig.device.may_read.set()
    told = await failed(rig)
    assert told.reason == "cancelled by act1: wrong pump"
    assert rig.device.written == [(SETPOINT, 900.0), (SETPOINT, 100.0)]
    assert told.compensated
    await rig.stop()


async def test_after_its_time_no_step_begins_and_what_was_done_is_taken_back(tmp_path: Path) -> None:
    rig = await started(tmp_path)
    order = rig.ground.order("Cycle", {"RPM": 900.0})
    order = changed(order, not_after=rig.ground.now() + timedelta(seconds=0.1))
    rig.device.on_write = _then_unreadable(rig)
    await rig.ground.say(order)
    await rig.ground.clock.advance(0.2)
    rig.device.on_write = rig.device.values.__setitem__
    rig.device.may_read.set()
    told = await failed(rig)
    assert "ran out" in told.reason
    assert rig.device.written == [(SETPOINT, 900.0), (SETPOINT, 100.0)]
    assert told.compensated
    await rig.stop()


@pytest.mark.parametrize("is_heard", [True, False])
async def test_a_stop_has_the_asset_and_nothing_is_written_over_it(tmp_path: Path, is_heard: bool) -> None:
    rig = await started(tmp_path)
    rig.device.on_write = _then_unreadable(rig)
    await rig.ground.say(rig.ground.order("Cycle", {"RPM": 900.0}))
    await calm()
    await rig.ground.raise_generation(1)
    rig.device.on_write = rig.device.values.__setitem__
    if is_heard:
        await rig.ground.say(rig.ground.order("Stop", generation=1))
    await calm()
    rig.device.may_read.set()
    await rig.ground.clock.advance_until(lambda: bool(rig.ground.told(CommandFailed)))
    (told,) = rig.ground.told(CommandFailed)
    assert isinstance(told, CommandFailed)
    assert "not taken back: " in told.reason
    assert "generation 1" in told.reason
    assert not told.compensated
    stop = [(RUN, False), (SETPOINT, 0.0)] if is_heard else []
    assert rig.device.written == [(SETPOINT, 900.0), *stop]
    await rig.stop()


async def test_a_stop_that_only_the_stream_knows_has_the_asset_too(tmp_path: Path) -> None:
    rig = await started(tmp_path)
    heat = _heating(rig)

    def write(tag: int, value: Scalar) -> None:
        heat(tag, value)
        rig.device.may_read.clear()

    rig.device.on_write = write
    await rig.ground.say(rig.ground.order("Start", {"RPM": 900.0}))
    await calm()
    await rig.ground.raise_generation(1)
    rig.device.may_read.set()
    told = await failed(rig)
    assert "cool" in told.reason
    assert "not taken back: pump-001 is at generation 1" in told.reason
    assert rig.device.written == [(SETPOINT, 900.0)]
    await rig.stop()


@pytest.mark.parametrize(
    ("is_ours", "seconds", "heard", "reason"),
    [(True, 1, 0, ""), (False, 1, 0, "lease"), (True, 16, 0, ""), (True, 1, 1, "overtaken")],
)
async def test_at_the_moment_of_taking_back_lease_and_generation_count_and_the_time_does_not(
    is_ours: bool, seconds: float, heard: int, reason: str
) -> None:
    ground = governed()
    order = ground.order("Start", {"RPM": 900.0})
    await ground.say(order)
    standing = await standing_of(ground, order, is_ours=is_ours, heard=heard)
    await ground.clock.advance(seconds)
    assert reason in standing.taken()
    assert bool(standing.taken()) == bool(reason)


async def test_nothing_is_taken_back_when_one_value_was_not_known(tmp_path: Path) -> None:
    rig = await started(tmp_path)
    rig.device.bad[SETPOINT] = 24
    rig.device.on_write = _heating(rig)
    order = rig.ground.order("Start", {"RPM": 900.0})
    await rig.ground.say(order)
    told = await failed(rig)
    assert rig.device.written == [(SETPOINT, 900.0)]
    assert told.reason.endswith("not taken back: what stood there before was not read well")
    assert (told.compensation, told.compensated) == ((), False)
    await rig.stop()


async def test_a_step_whose_outcome_is_open_is_not_taken_back(tmp_path: Path) -> None:
    rig = await started(tmp_path)
    rig.device.lost_after_write.add(RUN)
    await rig.ground.say(rig.ground.order("Cycle", {"RPM": 900.0}))
    told = await only(rig)
    assert isinstance(told, OutcomeUnknown)
    assert [one.write.tag for one in told.steps] == ["setpoint", "run"]
    await rig.ground.clock.advance(60.0)
    assert rig.device.written == [(SETPOINT, 900.0), (RUN, True)]
    await rig.stop()


async def test_a_way_back_that_may_or_may_not_have_been_gone_is_an_unknown_outcome(tmp_path: Path) -> None:
    rig = await started(tmp_path)
    heat = _heating(rig)

    def write(tag: int, value: Scalar) -> None:
        heat(tag, value)
        rig.device.lost_after_write.add(SETPOINT)

    rig.device.on_write = write
    rig.device.lost_after_write.clear()
    await rig.ground.say(rig.ground.order("Start", {"RPM": 900.0}))
    told = await only(rig)
    assert isinstance(told, OutcomeUnknown)
    await rig.stop()


async def test_progress_that_nobody_takes_stops_nothing(tmp_path: Path) -> None:
    rig = await started(tmp_path)
    real = rig.bus.publish

    async def publish(message: object, **rest: object) -> int:
        if ".progressed." in message.subject:  # type: ignore[attr-defined]  # a message
            rig.ground.broker.lose_acks(1)
        return await real(message, **rest)  # type: ignore[arg-type]  # as it came

    rig.bus.publish = publish  # type: ignore[method-assign]  # the broker loses just these answers
    await rig.ground.say(rig.ground.order("Cycle", {"RPM": 900.0}))
    assert isinstance(await only(rig), CommandExecuted)
    assert len(rig.ground.told(*FINALS)) == 1
    await rig.stop()


def _heating(rig: Rig) -> Callable[[int, Scalar], None]:
    def heat(tag: int, value: Scalar) -> None:
        rig.device.values[TEMPERATURE] = 99.0
        rig.device.bad.clear()
        rig.device.values[tag] = value

    return heat


def _then_unreadable(rig: Rig) -> Callable[[int, Scalar], None]:
    def write(tag: int, value: Scalar) -> None:
        rig.device.values[tag] = value
        rig.device.may_read.clear()

    return write
