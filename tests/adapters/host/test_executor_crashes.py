"""Written at most once: claims, redelivery, crashes, leases, and outcomes that outlive all of them."""

from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from plantops.adapters.host.standing import Generations, Standing
from plantops.events.base import from_nanoseconds
from plantops.events.commands import CommandClaimed, CommandExecuted, CommandFailed, OutcomeUnknown
from support.host_ground import SETPOINT, SITE, SPEED, Ground
from support.host_orders import FINALS, only, standing_of
from support.host_rig import Notary, Rig, device
from support.manual_clock import ManualClock, calm, until


async def test_a_redelivered_permit_is_never_carried_out_again(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).up()
    order = rig.ground.order("SetSpeed", {"RPM": 1200.0})
    await rig.ground.say(order)
    await only(rig)
    await rig.ground.say(order)
    await rig.ground.say(order)
    await rig.ground.clock.advance(60.0)
    assert rig.device.written == [(SETPOINT, 1200.0)]
    assert len(rig.ground.told(CommandClaimed, *FINALS)) == 2
    await rig.stop()


async def test_a_command_that_somebody_else_has_claimed_is_left_to_him(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).up()
    order = rig.ground.order("SetSpeed", {"RPM": 1200.0})
    claim = CommandClaimed(
        site=SITE, command=order.command, executor="adapter-plc9", epoch=1, decision=order.permit.decision
    )
    message = rig.ground.signer.message(
        f"cmd.{SITE}.claimed.adapter-plc9.{order.command}", claim, id="x", time=0
    )
    await rig.ground.gate_bus.publish(message, stream="COMMANDS")
    await rig.ground.say(order)
    await rig.ground.clock.advance(60.0)
    assert rig.device.written == []
    assert rig.ground.told(*FINALS) == []
    await rig.stop()


async def test_after_a_crash_between_claim_and_write_the_outcome_is_unknown_and_nothing_is_written(
    tmp_path: Path,
) -> None:
    ground, plant = Ground(), device()
    rig = await Rig(tmp_path, ground=ground, plant=plant, owner="first").up()
    plant.may_read.clear()
    await ground.say(ground.order("SetSpeed", {"RPM": 1200.0}))
    await ground.clock.advance_until(lambda: bool(ground.told(CommandClaimed)), step=0.01)
    await rig.crash()
    plant.may_read.set()
    again = Rig(tmp_path, ground=ground, plant=plant, owner="second")
    unknown = await only(again)
    assert isinstance(unknown, OutcomeUnknown)
    await ground.clock.advance(120.0)
    assert plant.written == []
    assert len(ground.told(*FINALS)) == 1
    await again.stop()


async def test_after_a_crash_between_write_and_word_the_outcome_is_unknown_and_written_once(
    tmp_path: Path,
) -> None:
    ground, plant = Ground(), device()
    rig = await Rig(tmp_path, ground=ground, plant=plant, owner="first").up()
    await ground.say(ground.order("Ramp", {"RPM": 1200.0}))
    await ground.clock.advance(1.0)
    assert plant.written == [(SETPOINT, 1200.0)]
    await rig.crash()
    again = Rig(tmp_path, ground=ground, plant=plant, owner="second")
    unknown = await only(again)
    assert isinstance(unknown, OutcomeUnknown)
    await ground.clock.advance(120.0)
    assert plant.written == [(SETPOINT, 1200.0)]
    await again.stop()


async def test_an_outcome_is_kept_while_the_broker_is_away(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).up()
    await rig.ground.say(rig.ground.order("Ramp", {"RPM": 1200.0}))
    await rig.ground.clock.advance(1.0)
    rig.bus.disconnect()
    rig.device.values[SPEED] = 1200.0
    await rig.ground.clock.advance(30.0)
    assert rig.ground.told(*FINALS) == []
    rig.bus.reconnect()
    done = await only(rig)
    assert isinstance(done, CommandExecuted)
    await rig.ground.clock.advance(60.0)
    assert len(rig.ground.told(*FINALS)) == 1
    await rig.stop()


async def test_an_outcome_on_the_disk_survives_a_crash_and_is_told_instead_of_unknown(tmp_path: Path) -> None:
    ground, plant = Ground(), device()
    rig = await Rig(tmp_path, ground=ground, plant=plant, owner="first").up()
    await ground.say(ground.order("Ramp", {"RPM": 1200.0}))
    await ground.clock.advance(1.0)
    rig.bus.disconnect()
    plant.values[SPEED] = 1200.0
    await ground.clock.advance(3.0)
    await rig.crash()
    assert ground.told(*FINALS) == []
    again = Rig(tmp_path, ground=ground, plant=plant, owner="second")
    assert isinstance(await only(again), CommandExecuted)
    await ground.clock.advance(60.0)
    assert len(ground.told(*FINALS)) == 1
    assert not list(tmp_path.glob("*.jsonl"))  # noqa: ASYNC240 - a test may block
    await again.stop()


async def test_without_the_lease_nothing_is_written(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).up()
    rig.device.may_read.clear()
    await rig.ground.say(rig.ground.order("SetSpeed", {"RPM": 1200.0}))
    await calm()
    rig.bus.disconnect()
    await rig.ground.clock.advance(7.0)
    rig.device.may_read.set()
    await rig.ground.clock.advance(0.5)
    rig.bus.reconnect()
    failed = await only(rig)
    assert isinstance(failed, CommandFailed)
    assert not failed.written
    assert rig.device.written == []
    await rig.stop()


async def test_one_normal_command_at_a_time_for_an_asset(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).up()
    await rig.ground.say(rig.ground.order("Ramp", {"RPM": 1200.0}))
    await rig.ground.say(rig.ground.order("SetSpeed", {"RPM": 300.0}))
    await rig.ground.clock.advance(2.0)
    assert rig.device.written == [(SETPOINT, 1200.0)]
    rig.device.values[SPEED] = 1200.0
    await rig.ground.clock.advance_until(lambda: len(rig.ground.told(*FINALS)) == 2)
    assert rig.device.written == [(SETPOINT, 1200.0), (SETPOINT, 300.0)]
    await rig.stop()


async def test_a_claim_whose_answer_got_lost_is_still_ours(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).up()
    order = rig.ground.order("SetSpeed", {"RPM": 1200.0})
    await rig.ground.say(order)
    rig.ground.broker.lose_acks(3)
    await rig.ground.clock.advance_until(lambda: bool(rig.ground.told(*FINALS)), step=0.05)
    assert rig.device.written == [(SETPOINT, 1200.0)]
    await rig.stop()


async def test_a_half_open_device_makes_a_write_unknown_and_is_dropped(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).up()
    rig.device.may_write.clear()
    await rig.ground.say(rig.ground.order("SetSpeed", {"RPM": 1200.0}))
    await rig.ground.clock.advance(0.1)
    await until(lambda: rig.device.open == 0)
    unknown = await only(rig)
    assert isinstance(unknown, OutcomeUnknown)
    rig.device.may_write.set()
    await rig.ground.clock.advance(30.0)
    assert rig.device.written == []
    await rig.stop()


async def test_the_records_of_a_late_audit_do_not_hold_up_the_outcome(tmp_path: Path) -> None:
    notary = Notary()
    rig = await Rig(tmp_path, notary=notary).up()
    await rig.ground.say(rig.ground.order("Ramp", {"RPM": 1200.0}))
    await rig.ground.clock.advance(1.0)
    notary.is_away = True
    rig.device.values[SPEED] = 1200.0
    assert isinstance(await only(rig), CommandExecuted)
    await rig.stop()


@pytest.mark.parametrize(
    ("is_ours", "seconds", "heard", "reason"),
    [(True, 1, 0, ""), (False, 1, 0, "lease"), (True, 16, 0, "ran out"), (True, 1, 1, "overtaken")],
)
async def test_at_the_moment_of_the_write_lease_time_and_generation_count(
    is_ours: bool, seconds: float, heard: int, reason: str
) -> None:
    ground = Ground()
    order = ground.order("SetSpeed", {"RPM": 1200.0})
    await ground.say(order)
    standing = await standing_of(ground, order, is_ours=is_ours, heard=heard)
    await ground.clock.advance(seconds)
    assert reason in standing.void()
    assert bool(standing.void()) == bool(reason)


async def test_a_clock_that_lags_prolongs_no_permit() -> None:
    ground = Ground()
    order = ground.order("SetSpeed", {"RPM": 1200.0})
    await ground.say(order)
    stored = await ground.gate_bus.last("COMMANDS", f"cmd.{SITE}.permitted.gate.*")
    assert stored is not None
    late = msgspec.structs.replace(
        order.permit, not_after=from_nanoseconds(stored.time_ns) - timedelta(seconds=1)
    )
    lagging = ManualClock()
    lagging.now_ns = lambda: 0  # type: ignore[method-assign]  # 1970
    standing = Standing(
        late,
        stored,
        bus=ground.bus(),
        trust=ground.in_force,
        clock=lagging,
        generations=Generations(),
        is_ours=lambda: True,
    )
    assert "ran out" in standing.void()
