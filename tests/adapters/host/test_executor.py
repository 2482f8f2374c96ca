"""From permits to deeds: what is written, when, and how often."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TypeAlias

import msgspec
import pytest

from plantops.adapters.host.standing import Generations, Standing
from plantops.events import Event
from plantops.events.base import Digest, PrincipalName, SourceName, from_nanoseconds
from plantops.events.commands import (
    CommandClaimed,
    CommandExecuted,
    CommandFailed,
    CommandPermitted,
    DryRunDone,
    OutcomeUnknown,
    Permit,
    SafePermitted,
    SimulationOrdered,
)
from plantops.events.operations import MessageBuried, PolicyPublished
from plantops.flow.signing import Signer
from support.host_ground import ME, RUN, SETPOINT, SITE, SPEED, TEMPERATURE, Ground, policy
from support.host_rig import Notary, Rig, device
from support.manual_clock import ManualClock, calm, until

Order: TypeAlias = CommandPermitted | SafePermitted

FINALS = (CommandExecuted, CommandFailed, OutcomeUnknown)


async def only(rig: Rig, *kinds: type[Event]) -> Event:
    """The one event of these kinds, once it is there."""
    kinds = kinds or FINALS
    await rig.ground.clock.advance_until(lambda: bool(rig.ground.told(*kinds)))
    told = rig.ground.told(*kinds)
    assert len(told) == 1, told
    return told[0]


def changed(order: Order, **changes: object) -> Order:
    permit = msgspec.structs.replace(order.permit, **changes)
    return msgspec.structs.replace(order, permit=permit)


def simulation(order: Order) -> SimulationOrdered:
    return SimulationOrdered(site=SITE, command=order.command, permit=order.permit, decision=order.decision)


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


BAD: list[tuple[str, Callable[[Order], Order]]] = [
    ("policy", lambda order: changed(order, policy=Digest("f" * 64))),
    ("model", lambda order: changed(order, model=Digest("f" * 64))),
    ("ran out", lambda order: changed(order, not_after=order.permit.not_after - timedelta(seconds=60))),
    ("writes", lambda order: changed(order, writes=(_other_value(order.permit),))),
    ("writes", lambda order: changed(order, writes=order.permit.writes * 2)),
    ("does not allow it", lambda order: changed(order, arguments={"RPM": 1300.0})),
    ("does not allow it", lambda order: changed(order, actor=PrincipalName("mallory"))),
    ("another decision", lambda order: changed(order, decision=Digest("f" * 64))),
    ("site", lambda order: changed(order, site="elsewhere")),
    ("safe direction", lambda order: changed(order, safe_direction=True)),
    ("generation", lambda order: changed(order, generation=3)),
]


def _other_value(permit: Permit) -> object:
    return msgspec.structs.replace(permit.writes[0], value=2900.0)


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
    stored = await ground.gate_bus.last("COMMANDS", f"cmd.{SITE}.permitted.gate.*")
    assert stored is not None
    generations = Generations()
    standing = Standing(
        order.permit,
        stored,
        bus=ground.bus(),
        trust=ground.in_force,
        clock=ground.clock,
        generations=generations,
        is_ours=lambda: is_ours,
    )
    generations.raise_to(order.permit.asset, heard)
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


async def test_a_protocol_that_cannot_write_refuses_and_goes_on(tmp_path: Path) -> None:
    rig = await Rig(tmp_path, write=False).up()
    await rig.ground.say(rig.ground.order("SetSpeed", {"RPM": 1200.0}))
    failed = await only(rig)
    assert isinstance(failed, CommandFailed)
    assert "cannot write" in failed.reason
    assert not failed.written
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
