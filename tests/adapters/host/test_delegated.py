"""Operations that the device carries out itself: invoked once, in the order of a write."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from plantops.adapters.contract import Invoked
from plantops.events.base import SourceName
from plantops.events.command_parts import Invocation
from plantops.events.commands import (
    CommandClaimed,
    CommandExecuted,
    CommandFailed,
    DryRunDone,
    OutcomeUnknown,
)
from plantops.events.governance import CommandProgressed
from plantops.policy.writes import simulator_of
from plantops.runtime.errors import DeviceUnavailable, WriteRejected
from support.host_governed import GOVERNED, governed
from support.host_ground import PUMP, TEMPERATURE
from support.host_orders import FINALS, Order, changed, only, simulation
from support.host_rig import Rig
from support.manual_clock import calm

FLUSH = Invocation(path="operations/Flush", arguments={"RPM": 600.0}, timeout_seconds=20.0)


async def started(tmp_path: Path) -> Rig:
    return await Rig(tmp_path, ground=governed()).up()


def flush(rig: Rig) -> Order:
    return rig.ground.order("Flush", {"RPM": 600.0})


def raising(error: Exception) -> Callable[[], Invoked]:
    def answer() -> Invoked:
        raise error

    return answer


async def test_it_is_claimed_audited_judged_and_invoked_once_under_the_command_s_own_key(
    tmp_path: Path,
) -> None:
    rig = await started(tmp_path)
    rig.device.on_invoke = lambda: Invoked(state="completed", outputs={"litres": 40.0, "drift": math.nan})
    order = flush(rig)
    await rig.ground.say(order)
    done = await only(rig)
    assert isinstance(done, CommandExecuted)
    assert rig.device.invoked == [(FLUSH, order.command, False)]
    assert (done.outputs, done.steps, done.undo) == ({"litres": 40.0, "drift": "nan"}, (), ())
    assert [one.tag for one in done.decision.inputs] == ["temperature"]
    kinds = [type(one) for one in rig.ground.told(CommandClaimed, CommandProgressed, *FINALS)]
    assert kinds == [CommandClaimed, CommandProgressed, CommandExecuted]
    assert rig.notary.records[0] == f"command.claimed {order.command}"
    await rig.ground.say(order)
    await rig.ground.clock.advance(60.0)
    assert len(rig.device.invoked) == 1
    await rig.stop()


@pytest.mark.parametrize(
    "changes",
    [
        {"invocation": msgspec.structs.replace(FLUSH, path="operations/Drain")},
        {"invocation": msgspec.structs.replace(FLUSH, arguments={"RPM": 601.0})},
        {"invocation": msgspec.structs.replace(FLUSH, arguments={})},
        {"invocation": msgspec.structs.replace(FLUSH, timeout_seconds=21.0)},
        {"invocation": None},
        {"compensates": True},
    ],
)
async def test_another_invocation_than_the_model_s_is_refused(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    rig = await started(tmp_path)
    await rig.ground.say(changed(flush(rig), **changes))
    failed = await only(rig)
    assert isinstance(failed, CommandFailed)
    assert not failed.written
    assert rig.device.invoked == []
    assert rig.ground.told(CommandClaimed) == []
    await rig.stop()


async def test_nothing_is_invoked_on_a_plant_that_became_unsafe_or_without_the_audit(tmp_path: Path) -> None:
    rig = await started(tmp_path)
    rig.device.values[TEMPERATURE] = 95.0
    await rig.ground.say(flush(rig))
    failed = await only(rig)
    assert isinstance(failed, CommandFailed)
    assert "cool" in failed.reason
    rig.device.values[TEMPERATURE] = 40.0
    rig.notary.is_away = True
    await rig.ground.say(flush(rig))
    await rig.ground.clock.advance_until(lambda: len(rig.ground.told(CommandFailed)) == 2)
    assert rig.device.invoked == []
    await rig.stop()


@pytest.mark.parametrize(
    ("answer", "written", "reason"),
    [
        (lambda: Invoked(state="failed", message="tank is empty"), True, "tank is empty"),
        (lambda: Invoked(state="failed"), True, "did not say why"),
        (raising(WriteRejected("no such operation")), False, "no such operation"),
    ],
)
async def test_a_failure_tells_whether_anything_ran(
    tmp_path: Path, answer: Callable[[], Invoked], written: bool, reason: str
) -> None:
    rig = await started(tmp_path)
    rig.device.on_invoke = answer
    await rig.ground.say(flush(rig))
    failed = await only(rig)
    assert isinstance(failed, CommandFailed)
    assert reason in failed.reason
    assert failed.written is written
    await rig.stop()


async def test_an_answer_that_never_came_is_an_unknown_outcome_and_not_repeated(tmp_path: Path) -> None:
    rig = await started(tmp_path)
    rig.device.on_invoke = raising(DeviceUnavailable("the connection broke"))
    await rig.ground.say(flush(rig))
    assert isinstance(await only(rig), OutcomeUnknown)
    await rig.ground.clock.advance(120.0)
    assert len(rig.device.invoked) == 1
    await rig.stop()


async def test_a_stop_does_not_wait_for_an_invocation_that_runs(tmp_path: Path) -> None:
    rig = await started(tmp_path)
    rig.device.may_answer.clear()
    await rig.ground.say(flush(rig))
    await calm()
    assert len(rig.device.invoked) == 1
    await rig.ground.raise_generation(1)
    await rig.ground.say(rig.ground.order("Stop", generation=1))
    await calm()
    assert len(rig.device.written) == 2
    rig.device.may_answer.set()
    await rig.ground.clock.advance_until(lambda: len(rig.ground.told(CommandExecuted)) == 2)
    await rig.stop()


async def test_after_a_crash_in_the_middle_it_is_not_invoked_again(tmp_path: Path) -> None:
    ground = governed()
    rig = await Rig(tmp_path, ground=ground).up()
    rig.device.may_answer.clear()
    await ground.say(flush(rig))
    await calm()
    await rig.crash()
    rig.device.may_answer.set()
    again = Rig(tmp_path, ground=ground, plant=rig.device, owner="second")
    assert isinstance(await only(again), OutcomeUnknown)
    await ground.clock.advance(60.0)
    assert len(rig.device.invoked) == 1
    await again.stop()


async def test_a_dry_run_asks_the_delegate_to_simulate(tmp_path: Path) -> None:
    rig = await started(tmp_path)
    rig.device.on_invoke = lambda: Invoked(state="completed", outputs={"litres": 40.0})
    order = flush(rig)
    await rig.ground.say(simulation(order))
    done = await only(rig, DryRunDone)
    assert isinstance(done, DryRunDone)
    assert (done.ok, done.simulated, done.encoded) == (True, {"litres": 40.0}, ())
    assert done.observation is not None
    assert [one.tag for one in done.observation.inputs] == ["temperature"]
    assert rig.device.invoked == [(FLUSH, order.command, True)]
    await rig.ground.say(order)
    assert isinstance(await only(rig), CommandExecuted)
    await rig.stop()


async def test_the_simulator_of_another_source_s_operation_is_asked_and_never_does_it(tmp_path: Path) -> None:
    rig = await started(tmp_path)
    rig.device.on_invoke = lambda: Invoked(state="completed", outputs={"flow": 3})
    order = rig.ground.order("Open")
    plan = simulator_of(GOVERNED, PUMP, "Open", {})
    assert plan is not None
    asked = changed(order, source=SourceName("plc1"), writes=(), invocation=plan.invocation)
    await rig.ground.say(simulation(asked))
    done = await only(rig, DryRunDone)
    assert isinstance(done, DryRunDone)
    assert (done.ok, done.simulated) == (True, {"flow": 3})
    await rig.ground.say(asked)
    failed = await only(rig)
    assert isinstance(failed, CommandFailed)
    assert [simulate for _what, _key, simulate in rig.device.invoked] == [True]
    await rig.stop()


@pytest.mark.parametrize(
    "answer",
    [
        lambda: Invoked(state="failed", message="it would overflow"),
        raising(DeviceUnavailable("it would overflow")),
        raising(WriteRejected("it would overflow")),
    ],
)
async def test_a_simulation_that_says_no_is_no(tmp_path: Path, answer: Callable[[], Invoked]) -> None:
    rig = await started(tmp_path)
    rig.device.on_invoke = answer
    await rig.ground.say(simulation(flush(rig)))
    done = await only(rig, DryRunDone)
    assert isinstance(done, DryRunDone)
    assert not done.ok
    assert "it would overflow" in done.problem
    await rig.stop()
