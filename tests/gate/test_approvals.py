"""A critical command runs when enough other persons have approved just this decision, once."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
import pytest

from plantops.events.base import CommandId, Digest, PrincipalName, encode_json
from plantops.events.command_parts import APPROVAL_TYPE, Approval, Observation
from plantops.events.commands import (
    ApprovalAccepted,
    ApprovalRefused,
    ApprovalRequested,
    CommandCancelled,
    CommandDenied,
    CommandExpired,
    CommandPermitted,
    CommandSimulated,
)
from plantops.events.governance import ApprovalWithdrawn, PolicyActivated
from plantops.ledger import dsse
from plantops.policy.document import OperationRule
from plantops.policy.judge import decision_digest
from support.gate_samples import POLICY, SITE, Story, after, seen, well
from support.plant_samples import NOW, key


def refused(story: Story, text: str) -> None:
    event = story.only(ApprovalRefused)
    assert text in event.reason, event.reason


def test_asks_for_approval_of_the_simulated_decision() -> None:
    story = Story()
    wanted = story.waiting(actor="agent", on_behalf_of=("alice",))
    simulated = story.one(CommandSimulated)
    assert simulated.next == "approve"
    assert (wanted.needed, wanted.roles, wanted.requester) == (2, ("supervisor",), "agent")
    assert wanted.decision == decision_digest(simulated.decision)
    assert wanted.intent == story.state.asked[wanted.command].digest


def test_permits_after_k_other_persons_have_approved_and_only_once() -> None:
    story = Story()
    wanted = story.waiting()
    story.approve(wanted, "bob")
    assert (story.only(ApprovalAccepted).given, story.only(ApprovalAccepted).needed) == (1, 2)
    story.approve(wanted, "carol")
    accepted, permitted = story.out
    assert isinstance(accepted, ApprovalAccepted)
    assert isinstance(permitted, CommandPermitted)
    story.approve(wanted, "carol")
    refused(story, "does not wait")


@pytest.mark.parametrize(
    ("requester", "approver"),
    [
        ({}, "alice"),
        ({}, "alice2"),
        ({"actor": "alice2"}, "alice"),
        ({"actor": "agent", "on_behalf_of": ("alice",)}, "alice"),
        ({"actor": "agent", "on_behalf_of": ("alice",)}, "alice2"),
        ({"actor": "agent", "on_behalf_of": ("alice2", "dave")}, "alice"),
    ],
)
def test_nobody_approves_what_he_asked_for_himself(requester: dict[str, object], approver: str) -> None:
    story = Story()
    wanted = story.waiting(**requester)
    story.approve(wanted, approver)
    refused(story, "asked for it")


@pytest.mark.parametrize(
    ("text", "person", "changed"),
    [
        ("none of the roles", "dave", {}),
        ("is no person", "agent", {}),
        ("is no person", "mallory", {}),
        ("another decision", "bob", {"decision": Digest("0" * 64)}),
        ("another decision", "bob", {"intent": Digest("0" * 64)}),
        ("another command", "bob", {"command": CommandId("f" * 24)}),
        ("another command", "bob", {"site": "elsewhere"}),
        ("another person", "bob", {"signer": "carol"}),
        ("run out", "bob", {"age": 301}),
        ("run out", "bob", {"span": -1}),
        ("in the future", "bob", {"age": -31}),
    ],
)
def test_an_approval_that_does_not_fit_does_not_count(
    text: str, person: str, changed: dict[str, object]
) -> None:
    story = Story()
    wanted = story.waiting()
    fields = dict(changed)
    if "age" in fields or "span" in fields:
        issued = story.now - timedelta(seconds=int(str(fields.pop("age", 0))))
        span = timedelta(seconds=int(str(fields.pop("span", 300))))
        fields |= {"issued_at": issued, "expires_at": issued + span}
    story.approve(wanted, person, **fields)  # type: ignore[arg-type]  # each row names real fields
    refused(story, text)
    assert story.state.courses[wanted.command].approvers == ()


def test_an_approval_with_times_without_a_zone_does_not_count() -> None:
    story = Story()
    wanted = story.waiting()
    story.approve(wanted, "bob", issued_at=story.now.replace(tzinfo=None))
    refused(story, "without a zone")


def test_one_person_counts_once_by_whatever_name() -> None:
    story = Story(
        policy=msgspec.structs.replace(
            POLICY,
            principals={
                **POLICY.principals,
                "bob2": msgspec.structs.replace(POLICY.principals["bob"], keys=(), logins=()),
            },
        )
    )
    wanted = story.waiting()
    story.approve(wanted, "bob")
    for name in ("bob", "bob2"):
        story.approve(wanted, name)
        refused(story, "has approved already")


def test_an_approval_before_the_simulation_does_not_count() -> None:
    story = Story()
    command = story.ask("ResetFault")
    early = ApprovalRequested(
        site=story.gate.site,
        command=command,
        intent=story.state.asked[command].digest,
        decision=Digest("0" * 64),
        needed=1,
        roles=("supervisor",),
        expires_at=story.now,
        asset=story.state.asked[command].intent.asset,
        operation=story.state.asked[command].intent.operation,
        arguments={},
        requester=story.state.asked[command].intent.actor,
    )
    story.approve(early, "bob")
    refused(story, "does not wait")
    story.dry_run(command)
    assert story.state.courses[command].approvers == ()


def test_an_approval_for_another_command_does_not_serve_this_one() -> None:
    story = Story()
    first, second = story.waiting(), story.waiting()
    forged = msgspec.structs.replace(second, decision=first.decision, intent=first.intent)
    story.approve(forged, "bob")
    refused(story, "another decision")


def test_the_request_runs_out() -> None:
    story = Story()
    wanted = story.waiting()
    story.wait(900.001)
    story.approve(wanted, "bob")
    refused(story, "the request ran out")
    story.fire(wanted.command, "approval")
    assert story.only(CommandExpired).waiting_for == "approval"
    story.approve(wanted, "bob")
    refused(story, "does not wait")


def test_a_rejection_ends_it_also_by_who_has_approved() -> None:
    story = Story()
    wanted = story.waiting()
    story.approve(wanted, "bob")
    story.approve(wanted, "bob", verdict="reject", reason="wrong pump")
    story.denied("rejected by bob: wrong pump")
    story.approve(wanted, "carol")
    refused(story, "does not wait")


def test_who_may_not_approve_may_not_reject_either() -> None:
    story = Story()
    wanted = story.waiting()
    story.approve(wanted, "dave", verdict="reject")
    refused(story, "none of the roles")


def test_permissives_are_judged_again_with_the_last_approval() -> None:
    story = Story()
    wanted = story.waiting()
    story.approve(wanted, "bob")
    story.approve(wanted, "carol", observation=well(seen("plc1.temperature", 96.0), at=story.now))
    assert "temperature is 96.0" in story.one(CommandDenied).reason
    story.approve(wanted, "carol")
    refused(story, "does not wait")
    wanted = story.waiting()
    story.approve(wanted, "bob")
    story.approve(wanted, "carol", observation=Observation(at=story.now))
    assert "was not observed" in story.one(CommandDenied).reason


@pytest.mark.parametrize("changed", ["moc", "principals", "operations"])
def test_an_approval_under_another_policy_ends_it(changed: str) -> None:
    """A policy that asks for more, or drops who approved first, is not satisfied by what was given before."""
    story = Story()
    wanted = story.waiting()
    story.approve(wanted, "bob")
    changes: dict[str, object] = {
        "moc": "another word",
        "principals": {name: each for name, each in POLICY.principals.items() if name != "bob"},
        "operations": {
            **POLICY.operations,
            "pump-001.ResetFault": OperationRule(approvals=3, approval_roles=("supervisor",)),
        },
    }
    story.publish(after(POLICY, **{changed: changes[changed]}))
    activated, withdrawn, cancelled = story.out
    assert isinstance(activated, PolicyActivated)
    assert isinstance(withdrawn, ApprovalWithdrawn)
    assert (withdrawn.command, withdrawn.approvers) == (wanted.command, ("bob",))
    assert isinstance(cancelled, CommandCancelled)
    story.approve(wanted, "carol")
    refused(story, "does not wait")


def test_an_approval_does_not_overtake_what_is_in_flight() -> None:
    story = Story()
    wanted = story.waiting()
    first = story.simulated()
    story.ask("SetSpeed", {"RPM": 1200.0}, confirms=first)
    story.approve(wanted, "bob")
    story.approve(wanted, "carol")
    assert "in_flight" in story.one(CommandDenied).reason


def test_nobody_approves_where_the_policy_names_no_role() -> None:
    rules = {**POLICY.operations, "pump-001.ResetFault": OperationRule(approvals=0)}
    story = Story(policy=msgspec.structs.replace(POLICY, operations=rules))
    wanted = story.waiting()
    assert wanted.needed == 1
    story.approve(wanted, "bob")
    refused(story, "none named by the policy")


def words_of(wanted: ApprovalRequested, person: str, until: datetime) -> str:
    word = Approval(
        site=SITE,
        command=wanted.command,
        person=PrincipalName(person),
        verdict="approve",
        intent=wanted.intent,
        decision=wanted.decision,
        issued_at=NOW,
        expires_at=until,
        nonce="n",
    )
    return dsse.encode(dsse.seal(APPROVAL_TYPE, encode_json(word), key(person))).decode()


def test_an_approval_that_ran_out_meanwhile_does_not_count_and_may_be_given_again() -> None:
    story = Story()
    wanted = story.waiting(actor="dave")
    short = words_of(wanted, "alice", story.now + timedelta(seconds=10))
    story.approve(wanted, "alice", expires_at=story.now + timedelta(seconds=10), evidence=short)
    story.wait(60)
    bobs = words_of(wanted, "bob", story.now + timedelta(minutes=5))
    story.approve(wanted, "bob", evidence=bobs)
    assert story.only(ApprovalAccepted).given == 1
    again = words_of(wanted, "alice", story.now + timedelta(minutes=5))
    story.approve(wanted, "alice2", evidence=again)
    assert story.one(ApprovalAccepted).given == 2
    assert story.one(CommandPermitted).permit.approvals == (bobs, again)
