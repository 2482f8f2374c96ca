"""What waits for a person is withdrawn as soon as it is no longer what that person saw."""

from __future__ import annotations

import pytest

from plantops.events.base import CommandId
from plantops.events.command_parts import Observation, ObservedInput
from plantops.events.commands import (
    ApprovalAccepted,
    ApprovalRefused,
    CommandCancelled,
    CommandDenied,
    CommandPermitted,
    SimulationOrdered,
)
from plantops.events.governance import ApprovalWithdrawn, PolicyActivated, PolicyRefused
from plantops.gate.withdrawals import MAX_WITHDRAWN
from plantops.policy.document import OperationRule
from support.gate_samples import POLICY, Story, after, seen, well

MAX_BATCH = 1000


def cancelled(story: Story) -> list[CommandId]:
    return [event.command for event in story.out if isinstance(event, CommandCancelled)]


def withdrawn(story: Story) -> list[CommandId]:
    return [event.command for event in story.out if isinstance(event, ApprovalWithdrawn)]


def test_another_policy_ends_all_that_waits_and_nothing_else() -> None:
    story = Story()
    simulating = story.ask("StartPump")
    first, confirmed, wanted = story.simulated(), story.simulated(rpm=900.0), story.waiting()
    story.approve(wanted, "bob")
    told = story.simulated("ResetFault", mode="simulate")
    running = story.ask("SetSpeed", {"RPM": 900.0}, confirms=confirmed)
    story.publish(after(POLICY, moc="another word"))
    assert isinstance(story.out[0], PolicyActivated)
    assert cancelled(story) == [first, wanted.command]
    assert withdrawn(story) == [wanted.command]
    assert {simulating, told, confirmed, running}.isdisjoint(cancelled(story))
    story.ask("SetSpeed", {"RPM": 1200.0}, confirms=first)
    assert "is no simulation that waits for one: cancelled" in story.only(CommandDenied).reason


def test_a_policy_that_is_refused_withdraws_nothing() -> None:
    story = Story()
    first = story.simulated()
    story.publish(after(POLICY), signer="mallory")
    story.only(PolicyRefused)
    story.ask("SetSpeed", {"RPM": 1200.0}, confirms=first)
    story.only(CommandPermitted)


def test_a_flood_of_what_waits_is_withdrawn_in_batches_and_none_of_it_gets_through() -> None:
    story = Story()
    flood = [story.waiting() for _number in range(MAX_WITHDRAWN + 3)]
    story.publish(after(POLICY, moc="another word"))
    assert len(story.out) == 2 * MAX_WITHDRAWN + 1 <= MAX_BATCH
    assert cancelled(story) == [each.command for each in flood[:MAX_WITHDRAWN]]
    left = flood[MAX_WITHDRAWN:]
    story.approve(left[1], "bob")
    assert not any(isinstance(event, ApprovalAccepted) for event in story.out)
    assert cancelled(story) == [left[1].command, left[0].command, left[2].command]
    story.ask("Explode")
    assert len(story.out) == 1


def test_what_is_left_over_is_withdrawn_by_a_restarted_gate_too() -> None:
    story = Story()
    flood = [story.waiting() for _number in range(MAX_WITHDRAWN + 2)]
    story.publish(after(POLICY, moc="another word"))
    story.state = story.gate.load(story.gate.dump(story.state))
    story.ask("Explode")
    assert cancelled(story) == [each.command for each in flood[MAX_WITHDRAWN:]]


@pytest.mark.parametrize("given", [0, 1])
def test_a_stop_withdraws_what_was_approved_on_its_asset_at_once(given: int) -> None:
    story = Story()
    wanted = story.waiting()
    for person in ("bob", "carol")[:given]:
        story.approve(wanted, person)
    story.ask("StopPump", blind=True)
    event = story.one(ApprovalWithdrawn)
    assert (event.command, event.approvers) == (wanted.command, ("bob", "carol")[:given])
    assert cancelled(story) == [wanted.command]
    story.approve(wanted, "carol")
    assert "does not wait" in story.only(ApprovalRefused).reason


@pytest.mark.parametrize("before", [0, 1])
@pytest.mark.parametrize(
    ("now", "text"),
    [
        (seen("plc1.reset", True, age=0.0), "plc1.reset is True now, and was False when it was simulated"),
        (seen("plc1.reset", None), "what stands in plc1.reset is not known now"),
        (seen("plc1.reset", False, quality=0), "what stands in plc1.reset is not known now"),
    ],
)
def test_an_approval_on_a_plant_that_has_moved_ends_it(now: ObservedInput, text: str, before: int) -> None:
    """The first approval too: nobody is asked for more of what will not count."""
    story = Story()
    wanted = story.waiting()
    people = ["bob", "carol"]
    for _number in range(before):
        story.approve(wanted, people.pop(0))
    story.approve(wanted, people.pop(0), observation=well(now, at=story.now))
    event = story.one(ApprovalWithdrawn)
    assert text in event.reason
    assert len(event.approvers) == before
    assert cancelled(story) == [wanted.command]
    story.approve(wanted, "carol")
    assert "does not wait" in story.only(ApprovalRefused).reason


def test_the_first_approval_finds_that_a_permissive_does_not_hold_any_more() -> None:
    story = Story()
    wanted = story.waiting()
    story.approve(wanted, "bob", observation=well(seen("plc1.temperature", 96.0), at=story.now))
    denied = story.one(CommandDenied)
    assert denied.reason.startswith("permissive:cool")
    assert denied.decision is not None
    assert denied.decision.stage == "approval"


def test_an_old_look_at_the_plant_says_nothing() -> None:
    story = Story()
    wanted = story.waiting()
    old = Observation(at=story.now, inputs=well(at=story.now).inputs)
    story.wait(31)
    story.approve(wanted, "bob", observation=old)
    assert not any(isinstance(event, CommandPermitted) for event in story.out)
    assert story.state.courses[wanted.command].phase == "denied"


def test_a_rejection_ends_it_before_anything_else_is_asked() -> None:
    """A person's no counts also on a plant that has moved."""
    story = Story()
    wanted = story.waiting()
    story.approve(
        wanted,
        "bob",
        verdict="reject",
        reason="wrong pump",
        observation=well(seen("plc1.reset", True), at=story.now),
    )
    story.denied("rejected by bob: wrong pump")


def test_a_dry_run_under_the_former_policy_is_judged_by_the_one_in_force() -> None:
    story = Story()
    command = story.ask("SetSpeed", {"RPM": 1200.0})
    story.only(SimulationOrdered)
    rules = {**POLICY.operations, "pump-001.SetSpeed": OperationRule(risk="critical")}
    story.publish(after(POLICY, operations=rules))
    story.dry_run(command)
    assert story.state.courses[command].phase == "waiting"


def test_times_end_what_waits_exactly_after_their_last_moment() -> None:
    story = Story()
    wanted, first = story.waiting(), story.simulated()
    story.wait(300)
    story.fire(first, "confirmation")
    assert story.out == []
    story.wait(0.000001)
    story.fire(first, "confirmation")
    assert len(story.out) == 1
    story.wait(599.999999)
    assert story.now == wanted.expires_at
    story.fire(wanted.command, "approval")
    assert story.out == []
    story.approve(wanted, "bob")
    story.only(ApprovalAccepted)
    story.wait(0.000001)
    story.approve(wanted, "carol")
    assert "ran out" in story.only(ApprovalRefused).reason
    story.fire(wanted.command, "approval")
    assert len(story.out) == 1


def test_a_permit_ends_exactly_after_its_last_moment() -> None:
    story = Story()
    first = story.simulated()
    command = story.ask("SetSpeed", {"RPM": 1200.0}, confirms=first)
    story.wait(15)
    story.fire(command, "execution")
    assert story.out == []
    story.wait(0.000001)
    story.fire(command, "execution")
    assert len(story.out) == 1


def test_an_approval_counts_until_its_own_last_moment() -> None:
    story = Story()
    wanted = story.waiting()
    issued = story.now
    story.wait(60)
    story.approve(wanted, "bob", issued_at=issued, expires_at=story.now)
    story.only(ApprovalAccepted)
    story.approve(wanted, "carol", issued_at=issued, expires_at=issued)
    assert "run out" in story.only(ApprovalRefused).reason
