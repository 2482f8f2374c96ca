"""A stop that a crash took out of the executor's hand is done again while its permit stands."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from plantops.events.commands import CommandClaimed, CommandExecuted, OutcomeUnknown
from support.host_ground import RUN, SETPOINT, Ground
from support.host_orders import FINALS, changed, only
from support.host_rig import Rig, device
from support.manual_clock import calm

STOPPED = [(RUN, False), (SETPOINT, 0.0)]


async def crashed_stop(tmp_path: Path, ground: Ground, *, seconds: float = 30.0) -> Rig:
    """A run that has claimed a stop and dies before the device took any of it."""
    rig = await Rig(tmp_path, ground=ground, plant=device(), owner="first").up()
    rig.device.may_write.clear()
    stop = ground.order("Stop", generation=1)
    stop = changed(stop, not_after=ground.now() + timedelta(seconds=seconds))
    await ground.raise_generation(1)
    await ground.say(stop)
    await calm()
    assert len(ground.told(CommandClaimed)) == 1
    await rig.crash()
    rig.device.may_write.set()
    assert rig.device.written == []
    return rig


async def test_a_stop_that_was_claimed_and_not_written_is_written_by_the_next_run(tmp_path: Path) -> None:
    ground = Ground()
    rig = await crashed_stop(tmp_path, ground)
    again = Rig(tmp_path, ground=ground, plant=rig.device, owner="second")
    done = await only(again)
    assert isinstance(done, CommandExecuted)
    assert rig.device.written == STOPPED
    assert len(ground.told(CommandClaimed)) == 1
    assert again.notary.records[0] == f"command.claimed {done.command}"
    await ground.clock.advance(60.0)
    assert rig.device.written == STOPPED
    assert len(ground.told(*FINALS)) == 1
    await again.stop()


async def test_what_stood_there_before_is_not_known_of_a_stop_that_is_done_again(tmp_path: Path) -> None:
    ground = Ground()
    rig = await crashed_stop(tmp_path, ground)
    again = Rig(tmp_path, ground=ground, plant=rig.device, owner="second")
    done = await only(again)
    assert isinstance(done, CommandExecuted)
    assert [(step.before, step.before_quality) for step in done.steps] == [(None, 0), (None, 0)]
    assert done.undo == ()
    await again.stop()


async def test_a_stop_whose_permit_has_run_out_is_not_done_again_and_is_unknown(tmp_path: Path) -> None:
    ground = Ground()
    rig = await crashed_stop(tmp_path, ground, seconds=3.0)
    await ground.clock.advance(4.0)
    again = Rig(tmp_path, ground=ground, plant=rig.device, owner="second")
    assert isinstance(await only(again), OutcomeUnknown)
    assert rig.device.written == []
    await again.stop()


async def test_a_stop_that_cannot_be_done_again_in_time_is_unknown_and_not_called_unwritten(
    tmp_path: Path,
) -> None:
    ground = Ground()
    rig = await crashed_stop(tmp_path, ground)
    rig.device.is_away = True
    again = Rig(tmp_path, ground=ground, plant=rig.device, owner="second")
    assert isinstance(await only(again), OutcomeUnknown)
    await again.stop()


async def test_nothing_but_a_stop_is_done_again_though_its_permit_stands(tmp_path: Path) -> None:
    ground = Ground()
    rig = await Rig(tmp_path, ground=ground, plant=device(), owner="first").up()
    rig.device.may_write.clear()
    order = ground.order("SetSpeed", {"RPM": 1200.0})
    await ground.say(order)
    await calm()
    assert len(ground.told(CommandClaimed)) == 1
    await rig.crash()
    rig.device.may_write.set()
    await ground.say(order)  # as if it came again at once
    again = Rig(tmp_path, ground=ground, plant=rig.device, owner="second")
    assert isinstance(await only(again), OutcomeUnknown)
    assert ground.now() < order.permit.not_after
    await ground.clock.advance(60.0)
    assert rig.device.written == []
    await again.stop()
