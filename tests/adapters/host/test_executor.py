"""From permits to deeds: what is written, when, and how often."""

from collections.abc import Callable
from pathlib import Path

import pytest

from plantops.events.base import SourceName
from plantops.events.commands import (
    CommandClaimed,
    CommandExecuted,
    CommandFailed,
    DryRunDone,
    OutcomeUnknown,
    SimulationOrdered,
)
from plantops.events.operations import MessageBuried, PolicyPublished
from plantops.flow.signing import Signer
from support.host_ground import ME, SETPOINT, SITE, SPEED, TEMPERATURE, policy
from support.host_orders import BAD, FINALS, Order, changed, only
from support.host_rig import Rig


async def test_a_permit_is_claimed_audited_written_and_proved(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).up()
    command = await rig.ground.say(rig.ground.order("SetSpeed", {"RPM": 1200.0}))
    done = await only(rig)
    assert isinstance(done, CommandExecuted)
    assert rig.device.written == [(SETPOINT, 1200.0)]
    assert done.steps[0].before == 100.0
    assert done.steps[0].read_back == 1200.0
    assert done.steps[0].verified
    assert [(write.tag, write.value) for write in done.undo] == [("setpoint", 100.0)]
    assert done.window_ms >= 0
    assert done.decision.allowed
    assert done.decision.stage == "execution"
    assert done.decision.inputs[0].sequence == 0
    assert rig.notary.records == [f"command.claimed {command}", f"command.executed {command}"]
    assert [type(one) for one in rig.ground.told(CommandClaimed, *FINALS)] == [
        CommandClaimed,
        CommandExecuted,
    ]
    await rig.stop()


@pytest.mark.parametrize(
    ("reason", "spoil"), [pytest.param(*case, id=f"{n}-{case[0]}") for n, case in enumerate(BAD)]
)
async def test_a_permit_that_does_not_fit_is_refused_and_nothing_is_written(
    tmp_path: Path, reason: str, spoil: Callable[[Order], Order]
) -> None:
    rig = await Rig(tmp_path).up()
    await rig.ground.say(spoil(rig.ground.order("SetSpeed", {"RPM": 1200.0})))
    if reason == "site":
        await rig.ground.clock.advance(5.0)
        assert rig.ground.told(CommandClaimed, *FINALS) == []
    else:
        failed = await only(rig)
        assert isinstance(failed, CommandFailed)
        assert reason in failed.reason
        assert not failed.written
    assert rig.device.written == []
    await rig.stop()


async def test_a_permit_for_another_source_is_left_to_that_one(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).up()
    await rig.ground.say(changed(rig.ground.order("SetSpeed", {"RPM": 1200.0}), source=SourceName("plc2")))
    await rig.ground.clock.advance(5.0)
    assert rig.ground.told(CommandClaimed, *FINALS) == []
    await rig.stop()


@pytest.mark.parametrize("who", ["stranger", "adapter", "nobody"])
async def test_a_permit_that_no_gate_signed_is_buried(tmp_path: Path, who: str) -> None:
    rig = await Rig(tmp_path).up()
    order = rig.ground.order("SetSpeed", {"RPM": 1200.0})
    if who == "nobody":
        message = rig.ground.gate.message(f"cmd.{SITE}.permitted.gate.{order.command}", order, id="x", time=0)
        bare = type(message)(message.subject, message.data)
        await rig.ground.gate_bus.publish(bare, stream="COMMANDS")
    else:
        key = rig.ground.keys.stranger if who == "stranger" else rig.ground.keys.adapter
        await rig.ground.say(order, signer=Signer("gate" if who == "stranger" else ME, key))
    await rig.ground.clock.advance_until(lambda: bool(rig.ground.told(MessageBuried, stream="DEAD")))
    assert rig.ground.told(CommandClaimed, *FINALS) == []
    assert rig.device.written == []
    await rig.stop()


async def test_what_became_unsafe_since_the_gate_looked_is_not_written(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).up()
    rig.device.values[TEMPERATURE] = 95.0
    await rig.ground.say(rig.ground.order("SetSpeed", {"RPM": 1200.0}))
    failed = await only(rig)
    assert isinstance(failed, CommandFailed)
    assert "cool" in failed.reason
    assert failed.decision is not None
    assert failed.decision.inputs[0].value == 95.0
    assert (failed.written, rig.device.written) == (False, [])
    await rig.stop()


@pytest.mark.parametrize("value", [float("nan"), None])
async def test_an_input_without_a_value_denies(tmp_path: Path, value: float | None) -> None:
    rig = await Rig(tmp_path).up()
    rig.device.values[TEMPERATURE] = value
    if value is None:
        rig.device.bad[TEMPERATURE] = 16
    await rig.ground.say(rig.ground.order("SetSpeed", {"RPM": 1200.0}))
    failed = await only(rig)
    assert isinstance(failed, CommandFailed)
    assert rig.device.written == []
    await rig.stop()


async def test_every_step_is_judged_anew(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).up()

    def heat(tag: int, value: object) -> None:
        rig.device.values[TEMPERATURE] = 99.0
        rig.device.values[tag] = value  # type: ignore[assignment]  # the test writes what was written

    rig.device.on_write = heat
    await rig.ground.say(rig.ground.order("Start", {"RPM": 900.0}))
    failed = await only(rig)
    assert isinstance(failed, CommandFailed)
    assert failed.written
    assert rig.device.written == [(SETPOINT, 900.0)]
    assert [(write.tag, write.value) for write in failed.undo] == [("run", False), ("setpoint", 0.0)]
    await rig.stop()


async def test_a_refused_write_is_a_failure_of_which_nothing_was_written(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).up()
    rig.device.refused.add(SETPOINT)
    await rig.ground.say(rig.ground.order("SetSpeed", {"RPM": 1200.0}))
    failed = await only(rig)
    assert isinstance(failed, CommandFailed)
    assert not failed.written
    await rig.stop()


async def test_a_value_that_does_not_stay_is_a_failure_of_which_something_was_written(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).up()
    rig.device.on_write = lambda _tag, _value: None
    await rig.ground.say(rig.ground.order("SetSpeed", {"RPM": 1200.0}))
    failed = await only(rig)
    assert isinstance(failed, CommandFailed)
    assert failed.written
    assert "setpoint reads 100.0" in failed.reason
    await rig.stop()


async def test_feedback_is_waited_for_as_long_as_it_may_take(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).up()
    await rig.ground.say(rig.ground.order("Ramp", {"RPM": 1200.0}))
    await rig.ground.clock.advance(3.0)
    assert rig.ground.told(*FINALS) == []
    rig.device.values[SPEED] = 1197.0
    done = await only(rig)
    assert isinstance(done, CommandExecuted)
    assert done.steps[0].read_back == 1197.0
    await rig.stop()


async def test_feedback_that_does_not_come_in_time_is_a_failure(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).up()
    await rig.ground.say(rig.ground.order("Ramp", {"RPM": 1200.0}))
    await rig.ground.clock.advance(6.0)
    failed = await only(rig)
    assert isinstance(failed, CommandFailed)
    assert failed.written
    await rig.stop()


async def test_a_write_whose_answer_never_came_is_an_unknown_outcome_and_not_repeated(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).up()
    rig.device.lost_after_write.add(SETPOINT)
    await rig.ground.say(rig.ground.order("SetSpeed", {"RPM": 1200.0}))
    unknown = await only(rig)
    assert isinstance(unknown, OutcomeUnknown)
    await rig.ground.clock.advance(120.0)
    assert rig.device.written == [(SETPOINT, 1200.0)]
    await rig.stop()


async def test_a_device_that_is_away_before_the_write_gets_nothing(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).up()
    rig.device.is_away = True
    await rig.ground.clock.advance(3.0)
    await rig.ground.say(rig.ground.order("SetSpeed", {"RPM": 1200.0}))
    failed = await only(rig)
    assert isinstance(failed, CommandFailed)
    assert not failed.written
    await rig.stop()


async def test_without_the_audit_nothing_normal_is_written(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).up()
    rig.notary.is_away = True
    await rig.ground.say(rig.ground.order("SetSpeed", {"RPM": 1200.0}))
    failed = await only(rig)
    assert isinstance(failed, CommandFailed)
    assert "audit" in failed.reason
    assert rig.device.written == []
    await rig.stop()


async def test_a_permit_of_a_newer_policy_is_taken_once_that_policy_is_read(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).up()
    assert rig.ground.in_force.verified is not None
    envelope = policy(rig.ground.keys, revision=2, previous=rig.ground.in_force.verified.digest)
    rig.ground.in_force.offer(envelope, rig.ground.now())
    assert rig.ground.in_force.verified is not None
    published = PolicyPublished(
        site=SITE, revision=2, digest=rig.ground.in_force.verified.digest, envelope=envelope.decode()
    )
    message = rig.ground.gate.message(f"policy.{SITE}", published, id="policy2", time=0)
    await rig.ground.gate_bus.publish(message, stream="POLICY")
    await rig.ground.say(rig.ground.order("SetSpeed", {"RPM": 1200.0}))
    assert isinstance(await only(rig), CommandExecuted)
    await rig.stop()


async def test_a_dry_run_reads_and_encodes_and_writes_nothing(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).up()
    order = rig.ground.order("SetSpeed", {"RPM": 1200.0})
    ordered = SimulationOrdered(
        site=SITE, command=order.command, permit=order.permit, decision=order.decision
    )
    await rig.ground.say(ordered)
    done = await only(rig, DryRunDone)
    assert isinstance(done, DryRunDone)
    assert done.ok
    assert done.encoded == ("1:=1200.0",)
    assert [(one.tag, one.value) for one in done.before] == [("setpoint", 100.0)]
    assert done.observation is not None
    assert {one.tag for one in done.observation.inputs} == {"temperature", "setpoint"}
    assert rig.device.written == []
    assert rig.ground.told(CommandClaimed) == []
    await rig.ground.say(order)  # an approved command keeps its identity
    assert isinstance(await only(rig), CommandExecuted)
    await rig.stop()


async def test_a_dry_run_tells_what_the_device_would_refuse(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).up()
    rig.device.refused.add(SETPOINT)
    order = rig.ground.order("SetSpeed", {"RPM": 1200.0})
    ordered = SimulationOrdered(
        site=SITE, command=order.command, permit=order.permit, decision=order.decision
    )
    await rig.ground.say(ordered)
    done = await only(rig, DryRunDone)
    assert isinstance(done, DryRunDone)
    assert not done.ok
    assert "refuse" in done.problem
    await rig.stop()


async def test_a_protocol_that_cannot_write_refuses_and_goes_on(tmp_path: Path) -> None:
    rig = await Rig(tmp_path, write=False).up()
    await rig.ground.say(rig.ground.order("SetSpeed", {"RPM": 1200.0}))
    failed = await only(rig)
    assert isinstance(failed, CommandFailed)
    assert "cannot write" in failed.reason
    assert not failed.written
    await rig.stop()
