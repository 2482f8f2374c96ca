"""What must not stand between a stop and the device: clocks, keys, journals, a dead host, an ended audit."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from plantops.adapters.contract import Capabilities
from plantops.adapters.host.execution import aged
from plantops.adapters.host.hands import Hands
from plantops.adapters.host.lanes import Device, Lane
from plantops.adapters.host.process import SAFE_ACK_SECONDS, spec
from plantops.events import Event
from plantops.events.base import TagName
from plantops.events.command_parts import Observation, ObservedInput
from plantops.events.commands import (
    CommandClaimed,
    CommandExecuted,
    CommandFailed,
    CommandPermitted,
    OutcomeUnknown,
    SafePermitted,
)
from plantops.events.operations import PolicyPublished
from plantops.flow.signing import Signer
from plantops.ledger import dsse
from plantops.ledger.keys import SigningKey
from plantops.policy.document import POLICY_TYPE, OperationRule, Principal, policy_digest
from plantops.runtime.errors import Fenced, IntegrityError
from support.fake_device import FakeSettings
from support.host_ground import DEFINITION, RUN, SETPOINT, SITE, Ground
from support.host_rig import Notary, Rig, device, no_secrets

FINALS = (CommandExecuted, CommandFailed, OutcomeUnknown)
STOPPED = [(RUN, False), (SETPOINT, 0.0)]
HOUR = timedelta(hours=1)


def finals(rig: Rig) -> list[Event]:
    return rig.ground.told(*FINALS)


async def ended(rig: Rig, count: int = 1) -> list[Event]:
    await rig.ground.clock.advance_until(lambda: len(finals(rig)) >= count or rig.task.done())
    assert not rig.task.done(), rig.task
    return finals(rig)


def at_broker_time(order: CommandPermitted | SafePermitted) -> CommandPermitted | SafePermitted:
    """As a gate whose clock is an hour behind the host's would give it."""
    permit = msgspec.structs.replace(order.permit, not_after=order.permit.not_after - HOUR)
    return msgspec.structs.replace(order, permit=permit)


def set_broker_back(ground: Ground) -> None:
    ground.broker._clock = lambda: ground.clock.now_ns() - round(HOUR.total_seconds() * 1e9)


async def test_a_host_whose_clock_is_ahead_refuses_commands_and_stops_all_the_same(tmp_path: Path) -> None:
    ground = Ground()
    set_broker_back(ground)
    rig = await Rig(tmp_path, ground=ground).up()
    await ground.say(at_broker_time(ground.order("SetSpeed", {"RPM": 1200.0})))
    (failed,) = await ended(rig)
    assert isinstance(failed, CommandFailed)
    await ground.raise_generation(1)
    await ground.say(at_broker_time(ground.order("Stop", generation=1)))
    assert isinstance((await ended(rig, 2))[-1], CommandExecuted)
    assert rig.device.written == STOPPED
    await rig.stop()


async def test_a_stop_judged_by_the_time_of_the_lease_is_not_told_to_be_written_before_it_was(
    tmp_path: Path,
) -> None:
    ground = Ground()
    rig = await Rig(tmp_path, ground=ground).up()
    rig.bus.disconnect()
    order = ground.order("Stop", generation=1)
    permit = msgspec.structs.replace(order.permit, not_after=ground.now() + timedelta(seconds=0.5))
    await ground.raise_generation(1)
    await ground.say(msgspec.structs.replace(order, permit=permit))
    await ground.clock.advance(1.0)
    begun = ground.now()
    rig.bus.reconnect()
    (done,) = await ended(rig)
    assert isinstance(done, CommandExecuted)
    assert done.decision is not None
    assert done.decision.now < begun
    assert all(step.written_at is not None and step.written_at >= begun for step in done.steps)
    await rig.stop()


async def test_a_stop_that_really_ran_out_is_not_carried_out_by_any_clock(tmp_path: Path) -> None:
    ground = Ground()
    set_broker_back(ground)
    rig = await Rig(tmp_path, ground=ground).up()
    order = at_broker_time(ground.order("Stop", generation=1))
    permit = msgspec.structs.replace(order.permit, not_after=order.permit.not_after - timedelta(minutes=5))
    await ground.raise_generation(1)
    await ground.say(msgspec.structs.replace(order, permit=permit))
    (failed,) = await ended(rig)
    assert isinstance(failed, CommandFailed)
    assert "ran out" in failed.reason
    assert rig.device.written == []
    await rig.stop()


def _publish(ground: Ground, new: SigningKey) -> tuple[PolicyPublished, bytes]:
    verified = ground.in_force.verified
    assert verified is not None
    principals = {**verified.policy.principals}
    principals["gate"] = Principal(kind="process", keys=(new.public.to_base64(),), roles=("gate",))
    changed = msgspec.structs.replace(
        verified.policy, revision=2, previous=verified.digest, principals=principals
    )
    payload = msgspec.json.encode(changed)
    envelope = dsse.encode(dsse.seal(POLICY_TYPE, payload, ground.keys.root))
    event = PolicyPublished(site=SITE, revision=2, digest=policy_digest(payload), envelope=envelope.decode())
    return event, envelope


async def test_a_stop_signed_by_the_gate_s_new_key_is_not_lost_while_the_policy_is_on_its_way(
    tmp_path: Path,
) -> None:
    rig = await Rig(tmp_path).up()
    ground, new = rig.ground, SigningKey.generate()
    event, envelope = _publish(ground, new)
    message = ground.gate.message(f"policy.{SITE}", event, id="policy2", time=0)
    await ground.gate_bus.publish(message, stream="POLICY")
    ground.in_force.offer(envelope, ground.now())
    await ground.say(ground.order("Stop", generation=1), signer=Signer("gate", new))
    assert isinstance((await ended(rig))[0], CommandExecuted)
    assert rig.device.written == STOPPED
    await rig.stop()


@pytest.mark.parametrize("after", [0.0, 1.0])
async def test_a_stop_that_the_gate_s_old_key_signed_in_time_is_carried_out(
    tmp_path: Path, after: float
) -> None:
    rig = await Rig(tmp_path).up()
    ground, new = rig.ground, SigningKey.generate()
    stop = ground.order("Stop", generation=1)
    if after == 0.0:
        rig.bus.disconnect()
        await ground.say(stop)
    await ground.clock.advance(1.0)
    event, _envelope = _publish(ground, new)
    message = ground.gate.message(f"policy.{SITE}", event, id="policy2", time=0)
    await ground.gate_bus.publish(message, stream="POLICY")
    await ground.clock.advance(1.0)
    rig.in_force.offer(event.envelope.encode(), ground.now() - timedelta(seconds=1))
    if after == 0.0:
        rig.bus.reconnect()
        assert isinstance((await ended(rig))[0], CommandExecuted)
        assert rig.device.written == STOPPED
    else:
        await ground.say(stop)
        await ground.clock.advance(5.0)
        assert rig.device.written == []
        assert ground.broker.stream("DEAD").messages
    await rig.stop()


class Ended(Notary):
    """An audit that is over for good, and a disk that takes no journal."""

    def __init__(self, error: type[Fenced | IntegrityError]) -> None:
        super().__init__()
        self.error = error

    def _end(self) -> Fenced | IntegrityError:
        return Fenced("another", stream="AUDIT") if self.error is Fenced else IntegrityError("x", path="x")

    async def append(self, kind: str, body: Event, *, command: str = "") -> None:
        raise self._end()

    async def append_or_journal(self, kind: str, body: Event, *, command: str = "") -> bool:
        raise IntegrityError("the disk is full", path="audit.journal")


@pytest.mark.parametrize("error", [Fenced, IntegrityError])
async def test_without_any_audit_nothing_normal_is_done_and_a_stop_is(
    tmp_path: Path, error: type[Fenced | IntegrityError]
) -> None:
    rig = await Rig(tmp_path, notary=Ended(error)).up()
    await rig.ground.say(rig.ground.order("SetSpeed", {"RPM": 1200.0}))
    (failed,) = await ended(rig)
    assert isinstance(failed, CommandFailed)
    assert "audit" in failed.reason
    await rig.ground.raise_generation(1)
    await rig.ground.say(rig.ground.order("Stop", generation=1))
    assert isinstance((await ended(rig, 2))[-1], CommandExecuted)
    assert rig.device.written == STOPPED
    await rig.stop()


async def test_a_damaged_outcome_journal_holds_up_commands_and_no_stop(tmp_path: Path) -> None:
    (tmp_path / "outcomes.jsonl").write_bytes(b"not json\n")
    rig = await Rig(tmp_path).up()
    await rig.ground.say(rig.ground.order("SetSpeed", {"RPM": 1200.0}))
    await rig.ground.raise_generation(1)
    await rig.ground.say(rig.ground.order("Stop", generation=1))
    (done,) = await ended(rig)
    assert isinstance(done, CommandExecuted)
    assert rig.device.written == STOPPED
    await rig.stop()


async def test_a_torn_outcome_does_not_spoil_the_next_one(tmp_path: Path) -> None:
    (tmp_path / "outcomes.jsonl").write_bytes(b'{"command":"comm')
    rig = await Rig(tmp_path).up()
    rig.device.on_write = lambda _tag, _value: rig.bus.disconnect()
    rig.device.values[SETPOINT] = 1200.0
    await rig.ground.say(rig.ground.order("SetSpeed", {"RPM": 1200.0}))
    await rig.ground.clock.advance_until(lambda: bool(rig.device.written))
    await rig.ground.clock.advance(2.0)
    await rig.crash()
    assert finals(rig) == []
    second = Rig(tmp_path, ground=rig.ground, plant=rig.device, owner="second")
    assert isinstance((await ended(second))[0], CommandExecuted)
    await second.stop()


def test_a_stop_in_the_hand_of_a_dead_host_comes_again_before_it_runs_out() -> None:
    (safe,) = [reads for reads in spec(SITE, "plc1").reads if reads.name == "safe"]
    assert safe.ack_seconds == SAFE_ACK_SECONDS
    assert 2 * safe.ack_seconds < OperationRule().execute_seconds


def test_what_was_observed_is_as_old_as_it_is_now_and_never_younger() -> None:
    seen = ObservedInput(tag=TagName("t"), value=1.0, quality=192, age_seconds=0.5)
    assert aged(seen, 60.0).age_seconds == 60.5
    assert aged(seen, -60.0) == seen
    unknown = msgspec.structs.replace(seen, age_seconds=None)
    assert aged(unknown, 60.0) == unknown


async def test_a_host_whose_clock_lags_takes_nothing_old_for_new() -> None:
    """The observer's clock stands still since an hour; broker and gate know better."""
    ground = Ground()
    told_at = ground.now()

    async def observe(_tags: object) -> Observation:
        seen = ObservedInput(tag=TagName("elsewhere"), value=1.0, quality=192, age_seconds=0.2)
        return Observation(at=told_at, inputs=(seen,))

    plant = device()
    encoder = plant.adapter(subscribe=False, concurrent=False, write=True).build(
        DEFINITION, FakeSettings(), 1.0, no_secrets
    )
    hands = Hands(
        definition=DEFINITION,
        device=Device("plc1", encoder, Capabilities(), timeout_seconds=1.0),
        observe=observe,
        clock=ground.clock,
    )
    (seen,) = await hands.look([TagName("elsewhere")], Lane.COMMAND, lambda: told_at + HOUR)
    assert seen.age_seconds == 3600.2


async def test_a_claim_of_another_source_holds_up_commands_and_no_stop(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).up()
    ground = rig.ground

    async def squat(order: CommandPermitted | SafePermitted) -> None:
        claim = CommandClaimed(
            site=SITE, command=order.command, executor="adapter-opc1", epoch=1, decision=order.permit.decision
        )
        subject = f"cmd.{SITE}.claimed.adapter-opc1.{order.command}"
        message = Signer("adapter-opc1", ground.keys.stranger).message(subject, claim, id=subject, time=0)
        await ground.gate_bus.publish(message, stream="COMMANDS")

    command = ground.order("SetSpeed", {"RPM": 1200.0})
    await squat(command)
    await ground.say(command)
    await ground.clock.advance(5.0)
    assert rig.device.written == []
    stop = ground.order("Stop", generation=1)
    await squat(stop)
    await ground.raise_generation(1)
    await ground.say(stop)
    assert isinstance((await ended(rig))[-1], CommandExecuted)
    assert rig.device.written == STOPPED
    await rig.stop()
