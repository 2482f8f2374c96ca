"""The way to safety: a stop waits for nobody, and what it overtakes is not written."""

from datetime import timedelta
from pathlib import Path

import msgspec

from plantops.events.commands import CommandExecuted, CommandFailed, SafePermitted
from support.host_ground import RUN, SETPOINT, SITE
from support.host_orders import FINALS, changed, only
from support.host_rig import Rig
from support.manual_clock import calm


async def test_a_stop_is_written_without_the_audit_and_a_journal_stands_in(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).up()
    rig.notary.is_away = True
    stop = rig.ground.order("Stop", generation=1)
    await rig.ground.raise_generation(1)
    command = await rig.ground.say(stop)
    done = await only(rig)
    assert isinstance(done, CommandExecuted)
    assert rig.device.written == [(RUN, False), (SETPOINT, 0.0)]
    assert rig.notary.journal == [f"command.claimed {command}"]
    assert done.steps[1].before == 100.0
    await rig.stop()


async def test_a_stop_overtakes_a_command_that_waits_for_its_feedback(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).up()
    ramp = await rig.ground.say(rig.ground.order("Ramp", {"RPM": 1200.0}))
    await rig.ground.clock.advance(1.0)
    stop = rig.ground.order("Stop", generation=1)
    await rig.ground.raise_generation(1)
    await rig.ground.say(stop)
    await rig.ground.clock.advance(0.2)
    ended = {one.command: one for one in rig.ground.told(CommandExecuted, CommandFailed)}  # type: ignore[attr-defined]
    assert rig.device.written == [(SETPOINT, 1200.0), (RUN, False), (SETPOINT, 0.0)]
    assert isinstance(ended[stop.command], CommandExecuted)
    overtaken = ended[ramp]
    assert isinstance(overtaken, CommandFailed)
    assert overtaken.written
    assert "overtaken" in overtaken.reason
    await rig.stop()


async def test_a_stop_goes_before_writes_and_polls_that_wait_for_the_device(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).up()
    rig.device.may_write.clear()
    first = rig.ground.order("SetSpeed", {"RPM": 1200.0})
    await rig.ground.say(first)
    await rig.ground.clock.advance(0.0)
    assert rig.device.concurrent_requests == 1
    await rig.ground.clock.advance(1.0)  # a poll waits now, too
    stop = rig.ground.order("Stop", generation=1)
    await rig.ground.raise_generation(1)
    await rig.ground.say(stop)
    await calm()
    rig.device.may_write.set()
    reads = rig.device.reads
    order: list[tuple[str, object]] = []
    rig.device.on_read = lambda: order.append(("read", rig.device.reads - reads))
    rig.device.on_write = lambda tag, _value: order.append(("write", tag))
    await rig.ground.clock.advance(0.5)
    assert order[:3] == [("write", SETPOINT), ("write", RUN), ("write", SETPOINT)]
    assert rig.device.most_requests == 1
    await rig.stop()


async def test_a_generation_raised_before_execution_voids_a_permit(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).up()
    order = rig.ground.order("SetSpeed", {"RPM": 1200.0})
    await rig.ground.raise_generation(1)
    await rig.ground.say(order)
    failed = await only(rig)
    assert isinstance(failed, CommandFailed)
    assert "generation" in failed.reason
    assert rig.device.written == []
    await rig.stop()


async def test_a_stop_whose_permit_arrives_while_a_write_waits_for_its_turn_voids_that_write(
    tmp_path: Path,
) -> None:
    rig = await Rig(tmp_path).up()
    rig.device.may_read.clear()  # the inputs of the command hang
    await rig.ground.say(rig.ground.order("SetSpeed", {"RPM": 1200.0}))
    await calm()
    stop = rig.ground.order("Stop", generation=1)
    await rig.ground.say(stop)  # its generation is not even on the stream yet
    await calm()
    rig.device.may_read.set()
    await rig.ground.clock.advance(2.0)
    assert rig.device.written == [(RUN, False), (SETPOINT, 0.0)]
    await rig.stop()


async def test_a_stop_waits_for_a_device_that_is_away_and_is_not_held_up_by_backoff(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).up()
    rig.device.is_away = True
    await rig.ground.clock.advance(120.0)
    stop = changed(rig.ground.order("Stop", generation=1), not_after=rig.ground.now() + timedelta(seconds=20))
    await rig.ground.raise_generation(1)
    await rig.ground.say(stop)
    await rig.ground.clock.advance(5.0)
    assert rig.ground.told(*FINALS) == []
    rig.device.is_away = False
    await rig.ground.clock.advance(1.0)
    done = await only(rig)
    assert isinstance(done, CommandExecuted)
    await rig.stop()


async def test_a_stop_is_not_taken_from_a_policy_that_does_not_call_it_safe(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).up()
    order = rig.ground.order("SetSpeed", {"RPM": 1200.0})
    permit = msgspec.structs.replace(order.permit, safe_direction=True)
    forged = SafePermitted(site=SITE, command=order.command, permit=permit, decision=order.decision)
    await rig.ground.say(forged)
    failed = await only(rig)
    assert isinstance(failed, CommandFailed)
    assert rig.device.written == []
    await rig.stop()


async def test_a_stop_does_not_wait_for_a_read_where_the_protocol_allows_it(tmp_path: Path) -> None:
    rig = await Rig(tmp_path, concurrent=True).up()
    rig.device.may_read.clear()
    await rig.ground.clock.advance(1.0)  # a poll hangs
    assert rig.device.concurrent_requests == 1
    await rig.ground.raise_generation(1)
    await rig.ground.say(rig.ground.order("Stop", generation=1))
    await calm()
    assert rig.device.written == [(RUN, False), (SETPOINT, 0.0)]
    rig.device.may_read.set()
    await rig.stop()
