"""The recorded histories of what waits: withdrawal, escalation, limits, a simulator, and refused policies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from plantops.events.base import Digest, Scalar
from plantops.events.commands import CommandPermitted
from plantops.model.assets import Delegate, Model
from plantops.model.load import Plant
from plantops.policy.document import Limit, OperationRule, Role
from support.gate_samples import (
    MODEL,
    OPC1,
    PLC1,
    POLICY,
    PUMP,
    VALVE,
    Story,
    after,
    person,
    process,
    seen,
    source,
    tag,
    well,
)


def withdrawn() -> Story:
    """By a policy, by the plant that moved, by a stop, and by a permissive that holds no more."""
    story = Story()
    first, half = story.simulated(), story.waiting()
    story.approve(half, "bob")
    second = story.publish(after(POLICY, moc="second"))
    story.approve(half, "carol")
    story.ask("SetSpeed", {"RPM": 1200.0}, confirms=first)
    moved = story.waiting()
    story.approve(moved, "bob")
    story.wait(2)
    story.approve(moved, "carol", observation=well(seen("plc1.reset", True), at=story.now))
    stopped = story.waiting()
    story.approve(stopped, "bob")
    story.ask("StopPump", blind=True)
    hot = story.waiting()
    story.approve(hot, "bob", observation=well(seen("plc1.temperature", 97.0), at=story.now))
    again = story.simulated()
    story.ask(
        "SetSpeed",
        {"RPM": 1200.0},
        confirms=again,
        observation=well(seen("plc1.setpoint", 800.0, age=0.0), at=story.now),
    )
    story.ask("SetSpeed", {"RPM": 1200.0}, confirms=again, simulation=Digest("0" * 64))
    told_before = well(seen("plc1.setpoint", 800.0, age=0.2), at=story.now)
    story.ask("SetSpeed", {"RPM": 1200.0}, confirms=again, observation=told_before)
    story.publish(msgspec.structs.replace(second, revision=3))
    return story


def escalated() -> Story:
    """Nobody answers, then others do; and nobody at all."""
    rule = OperationRule(
        approvals=2,
        approval_roles=("supervisor",),
        escalate_seconds=300.0,
        escalation_roles=("manager",),
    )
    story = Story(
        policy=msgspec.structs.replace(
            POLICY,
            principals={**POLICY.principals, "erin": person("erin", "Erin", "manager")},
            roles={**POLICY.roles, "manager": Role()},
            operations={**POLICY.operations, "pump-001.ResetFault": rule},
        )
    )
    wanted = story.waiting()
    story.approve(wanted, "erin")
    story.wait(300)
    for _again in range(2):
        story.fire(wanted.command, "escalation")
    story.approve(wanted, "erin")
    story.wait(5)
    story.approve(wanted, "bob")
    story.wait(60)
    late = story.waiting()
    story.wait(901)
    story.fire(late.command, "escalation")
    story.fire(late.command, "approval")
    unanswered = story.ask("StartPump")
    story.wait(16)
    story.fire(unanswered, "execution")
    return story


def limited() -> Story:
    """Calls, drift and what is under way, until the window has passed."""
    few = Limit(id="few", applies=("valve-001.*",), calls=3, window_seconds=60.0, text="spare the valve")
    drift = Limit(
        id="drift", applies=("valve-001.SetPosition",), drift={"PERCENT": 30.0}, window_seconds=60.0
    )
    one = Limit(id="one", applies=("*",), per="site", concurrent=1)
    story = Story(policy=msgspec.structs.replace(POLICY, limits=(few, drift, one)))
    for percent in (40.0, 35.0, 20.0, 30.0):
        command = story.ask("SetPosition", {"PERCENT": percent}, asset=VALVE)
        if isinstance(story.out[0], CommandPermitted):
            decision = story.out[0].decision
            story.claim(command, by="adapter-opc1")
            story.ask("StartPump")
            story.execute(command, decision, by="adapter-opc1")
        story.wait(1)
    story.ask("CloseValve", asset=VALVE, blind=True)
    unclaimed = story.ask("Mark", asset=VALVE)
    story.wait(16)
    story.fire(unclaimed, "execution")
    story.ask("Mark", asset=VALVE)
    story.wait(60)
    story.ask("SetPosition", {"PERCENT": 40.0}, asset=VALVE)
    return story


def refused() -> Story:
    """Policies that do not hold, between two that do."""
    story = Story()
    second = after(POLICY, moc="second")
    story.publish(second, signer="mallory")
    story.publish(msgspec.structs.replace(second, audience="elsewhere"))
    story.publish(msgspec.structs.replace(POLICY, moc="another first"))
    story.publish(second)
    story.publish(POLICY)
    story.publish(second)
    story.ask("Mark", asset=VALVE)
    return story


SIM1 = source("sim1", tag("sim1.ready", "b1"))
SIMULATOR = Delegate(source="sim1", path="/pump/SetSpeed/simulate", timeout_seconds=20.0)


def plant_with_simulator() -> Plant:
    """The demo plant, whose SetSpeed is asked of a simulator too."""
    pump = MODEL.assets[PUMP]
    speed = msgspec.structs.replace(pump.operations["SetSpeed"], simulator=SIMULATOR)
    pump = msgspec.structs.replace(pump, operations={**pump.operations, "SetSpeed": speed})
    return Plant.of(Model(assets={**MODEL.assets, PUMP: pump}), (PLC1, OPC1, SIM1))


def simulated() -> Story:
    """Two answers, one answer, and a simulator that says no."""
    plant = plant_with_simulator()
    principals = {**POLICY.principals, "adapter-sim1": process("adapter-sim1", "executor")}
    policy = msgspec.structs.replace(POLICY, model=plant.digest, principals=principals)
    story = Story(policy=policy, plant=plant)
    speed: dict[str, Scalar] = {"RPM": 1200.0}
    first = story.ask("SetSpeed", speed, model=plant.digest)
    story.dry_run(first)
    story.dry_run(first)
    story.wait(10)
    nothing: dict[str, Any] = {"before": (), "encoded": (), "observation": None}
    story.dry_run(first, by="adapter-sim1", simulated={"flow": 3.5}, **nothing)
    story.ask("SetSpeed", speed, confirms=first, model=plant.digest)
    story.wait(60)
    refused_by_it = story.ask("SetSpeed", speed, model=plant.digest)
    story.dry_run(refused_by_it, by="adapter-sim1", ok=False, problem="no such pump", **nothing)
    alone = story.ask("SetSpeed", speed, model=plant.digest)
    story.dry_run(alone)
    story.wait(36)
    story.fire(alone, "execution")
    story.dry_run(alone, by="adapter-sim1", **nothing)
    return story


STORIES: dict[str, Callable[[], Story]] = {
    "withdrawn": withdrawn,
    "escalated": escalated,
    "limited": limited,
    "refused": refused,
    "simulated": simulated,
}
