"""When nobody answers, others are asked too, once; who may never approve still may not."""

from __future__ import annotations

import msgspec
import pytest

from plantops.events.commands import (
    ApprovalAccepted,
    ApprovalRefused,
    ApprovalRequested,
    CommandExpired,
    CommandPermitted,
)
from plantops.events.governance import ApprovalEscalated
from plantops.gate import answers
from plantops.policy.document import OperationRule, Role
from support.gate_samples import POLICY, Story, person

RULE = OperationRule(
    approvals=2,
    approval_roles=("supervisor",),
    approval_seconds=900.0,
    escalate_seconds=300.0,
    escalation_roles=("manager",),
)
ESCALATING = msgspec.structs.replace(
    POLICY,
    principals={
        **POLICY.principals,
        "erin": person("erin", "Erin", "manager"),
        "frank": person("frank", "Frank", "manager"),
        "alice3": person("alice3", "Alice", "manager"),
    },
    roles={**POLICY.roles, "manager": Role()},
    operations={**POLICY.operations, "pump-001.ResetFault": RULE},
)


def waiting() -> tuple[Story, ApprovalRequested]:
    story = Story(policy=ESCALATING)
    return story, story.waiting()


def test_says_when_others_will_be_asked() -> None:
    story, wanted = waiting()
    assert wanted.escalates_at is not None
    assert (wanted.escalates_at - story.now).total_seconds() == 300
    assert Story().waiting().escalates_at is None


def test_asks_others_once_when_its_time_has_come() -> None:
    story, wanted = waiting()
    story.wait(299.999999)
    story.fire(wanted.command, "escalation")
    assert story.out == []
    story.wait(0.000001)
    story.fire(wanted.command, "escalation")
    assert story.only(ApprovalEscalated).roles == ("manager",)
    story.fire(wanted.command, "escalation")
    assert story.out == []
    told = answers.approvals(story.state)
    assert told.escalated_to == (("manager",),)


def test_before_that_a_manager_has_no_say() -> None:
    story, wanted = waiting()
    story.approve(wanted, "erin")
    assert "none of the roles supervisor" in story.only(ApprovalRefused).reason


def test_from_then_on_they_may_approve_beside_the_first_and_still_two_are_needed() -> None:
    story, wanted = waiting()
    story.wait(300)
    story.fire(wanted.command, "escalation")
    story.approve(wanted, "erin")
    assert story.only(ApprovalAccepted).given == 1
    story.approve(wanted, "erin")
    assert "has approved already" in story.only(ApprovalRefused).reason
    story.approve(wanted, "carol")
    assert isinstance(story.out[-1], CommandPermitted)


def test_they_may_reject_too() -> None:
    story, wanted = waiting()
    story.wait(300)
    story.fire(wanted.command, "escalation")
    story.approve(wanted, "frank", verdict="reject", reason="not today")
    story.denied("rejected by frank: not today")


def test_the_requester_still_may_not_by_whatever_name() -> None:
    story, wanted = waiting()
    story.wait(300)
    story.fire(wanted.command, "escalation")
    for name in ("alice", "alice2", "alice3"):
        story.approve(wanted, name)
        assert "asked for it" in story.only(ApprovalRefused).reason


def test_an_escalation_prolongs_nothing() -> None:
    story, wanted = waiting()
    story.wait(300)
    story.fire(wanted.command, "escalation")
    story.wait(600.000001)
    story.approve(wanted, "erin")
    assert "ran out" in story.only(ApprovalRefused).reason
    story.fire(wanted.command, "approval")
    assert story.only(CommandExpired).waiting_for == "approval"


@pytest.mark.parametrize("seconds", [900.000001, 5000])
def test_what_ran_out_is_not_passed_on(seconds: float) -> None:
    story, wanted = waiting()
    story.wait(seconds)
    story.fire(wanted.command, "escalation")
    assert story.out == []


def test_a_restarted_gate_knows_who_was_asked() -> None:
    story, wanted = waiting()
    story.wait(300)
    story.fire(wanted.command, "escalation")
    story.state = story.gate.load(story.gate.dump(story.state))
    story.fire(wanted.command, "escalation")
    assert story.out == []
    story.approve(wanted, "erin")
    story.only(ApprovalAccepted)


def test_an_escalation_of_what_does_not_wait_changes_nothing() -> None:
    story, wanted = waiting()
    other = story.simulated()
    story.approve(wanted, "bob", verdict="reject")
    story.wait(300)
    for command in (wanted.command, other):
        story.fire(command, "escalation")
        assert story.out == []
