"""The recorded histories of acts: locks, bypasses, undo, and outcomes that nobody knows."""

from __future__ import annotations

from collections.abc import Callable

from plantops.events.commands import ApprovalRequested, CommandPermitted, SafePermitted
from plantops.events.governance import ReconcileOrdered
from plantops.policy.document import OperationRule, Policy
from support.acts_samples import HOT, POLICY_OF_ACTS, ActStory
from support.gate_samples import VALVE, after


def locked() -> ActStory:
    """Two locks on one asset; one is lifted by its owner, one by two others."""
    story = ActStory()
    story.simulated()
    first = story.lock()
    second = story.lock(actor="bob")
    story.ask("SetSpeed", {"RPM": 1200.0})
    story.ask("StopPump", blind=True)
    story.act("unlock", {"lock": first}, actor="dave")
    story.act("unlock", {"lock": first}, actor="dave")
    story.act("unlock", {"lock": first}, actor="erin")
    story.act("unlock", {"lock": second}, actor="bob")
    story.simulated()
    return story


def bypassed() -> ActStory:
    """Granted by another person, counted, ended by its time and by the policy."""
    story = ActStory()
    words = {"permissive": "cool", "seconds": 60, "reason": "probe broken", "measure": "a man with a probe"}
    story.act("bypass", words, mode="simulate")  # type: ignore[arg-type]  # all are scalars
    for _again in range(2):
        bypass = story.act("bypass", words)  # type: ignore[arg-type]
        wanted = story.one(ApprovalRequested)
        story.approve(wanted, "alice2")
        story.approve(wanted, "bob")
        first = story.ask("SetSpeed", {"RPM": 1200.0}, observation=story.hot())
        story.dry_run(first, HOT)
        story.wait(61)
        story.ask("SetSpeed", {"RPM": 1200.0}, confirms=first, observation=story.hot())
        story.fire(bypass, "bypass")
    story.act("bypass", words)  # type: ignore[arg-type]
    story.approve(story.one(ApprovalRequested), "carol")
    story.publish(after(POLICY_OF_ACTS, bypass_classes={}))
    return story


def undone() -> ActStory:
    """Permitted at once, confirmed after a simulation, refused where something was written since."""
    story = ActStory()
    moved = story.positioned(40.0, before=10.0)
    back = story.act("undo", {"command": moved}, asset=VALVE)
    story.executed(back, story.only(CommandPermitted), 40.0)
    story.act("undo", {"command": moved}, asset=VALVE)
    speeded = story.speeded()
    first = story.act("undo", {"command": speeded})
    story.dry_run(first)
    story.act("undo", {"command": speeded}, confirms=first)
    story.act("cancel", {"command": story.only(CommandPermitted).command})
    return story


def reconciled() -> ActStory:
    """An unknown outcome with a fallback, then read from the device; and one without a fallback."""
    story = ActStory()
    story.ask("SetPosition", {"PERCENT": 40.0}, asset=VALVE)
    lost = story.only(CommandPermitted)
    story.lose(lost)
    safe = story.one(SafePermitted)
    story.ask("Mark", asset=VALVE)
    story.claim(safe.command, by="adapter-opc1")
    story.execute(safe.command, safe.decision, by="adapter-opc1")
    story.act("reconcile", {"command": lost.command}, asset=VALVE)
    order = story.only(ReconcileOrdered)
    story.reconcile(order, by="adapter-plc1")
    story.reconcile(order, "other")
    story.publish(_without_fallback())
    story.ask("SetPosition", {"PERCENT": 50.0}, asset=VALVE)
    story.fail(story.only(CommandPermitted))
    return story


def _without_fallback() -> Policy:
    rules = {**POLICY_OF_ACTS.operations, "valve-001.SetPosition": OperationRule()}
    return after(POLICY_OF_ACTS, operations=rules)


STORIES: dict[str, Callable[[], ActStory]] = {
    "locked": locked,
    "bypassed": bypassed,
    "undone": undone,
    "reconciled": reconciled,
}
