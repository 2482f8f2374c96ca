"""An act goes the way of every intent, and is done by the gate itself."""

from __future__ import annotations

import msgspec
import pytest

from plantops.events.commands import (
    ApprovalAccepted,
    ApprovalRequested,
    CommandCancelled,
    CommandDenied,
    CommandPermitted,
    CommandSimulated,
)
from plantops.events.governance import ActDone, ApprovalWithdrawn, BypassGranted, LockSet
from plantops.gate import answers
from plantops.policy.document import OperationRule, Role
from support.acts_samples import POLICY_OF_ACTS, ActStory
from support.gate_samples import PUMP, VALVE, after


def with_rule(**rules: OperationRule) -> ActStory:
    named = {f"*.act-{name}": rule for name, rule in rules.items()}
    return ActStory(
        msgspec.structs.replace(POLICY_OF_ACTS, operations={**POLICY_OF_ACTS.operations, **named})
    )


def test_an_act_ends_with_its_own_last_word_and_tells_so() -> None:
    story = ActStory()
    lock = story.lock()
    done = story.done()
    assert (done.command, done.act, done.decision.allowed) == (lock, "act-lock", True)
    told = answers.status(story.state, lock)
    assert told is not None
    assert (told.phase, told.reason) == ("done", "pump-001 is locked out by alice: bearing change")
    assert lock not in [each.command for each in answers.listed(story.state, 50, open_only=True).commands]


def test_an_act_asked_twice_is_done_once() -> None:
    story = ActStory()
    story.lock()
    story.act("lock", {"reason": "again"}, asset=VALVE, key="once")
    assert story.out
    story.act("lock", {"reason": "again"}, asset=VALVE, key="once")
    assert story.out == []


@pytest.mark.parametrize(
    ("reason", "name", "asked"),
    [
        ("role", "lock", {"actor": "carol"}),
        ("identity", "lock", {"actor": "mallory"}),
        ("role", "frobnicate", {}),
        ("argument:reason", "lock", {"arguments": {}}),
        ("argument:volume", "lock", {"arguments": {"reason": "x", "volume": 11}}),
        ("says nothing", "lock", {"arguments": {"reason": " \t"}}),
        ("at most 500", "lock", {"arguments": {"reason": "x" * 501}}),
        ("is no person", "lock", {"actor": "agent", "on_behalf_of": ("alice",)}),
    ],
)
def test_an_act_is_judged_like_every_intent(reason: str, name: str, asked: dict[str, object]) -> None:
    story = ActStory()
    arguments = asked.pop("arguments", {"reason": "bearing change"})
    story.act(name, arguments, **asked)  # type: ignore[arg-type]  # each row names real fields
    story.denied(reason)
    assert story.state.locks == {}


def test_a_wildcard_over_operations_gives_no_right_to_an_act() -> None:
    roles = {**POLICY_OF_ACTS.roles, "operator": Role(operations=("*", "*.*", "pump-001.*"))}
    story = ActStory(msgspec.structs.replace(POLICY_OF_ACTS, roles=roles))
    story.lock()
    story.denied("role")


def test_a_simulated_act_says_what_it_would_do_and_does_nothing() -> None:
    story = ActStory()
    story.act("lock", {"reason": "bearing change"}, mode="simulate")
    told = story.only(CommandSimulated)
    assert (told.next, told.projected) == ("nothing", {})
    assert told.simulated == {"act": "pump-001 is locked out by alice: bearing change"}
    assert story.state.locks == {}
    story.act("unlock", {"lock": "c1"}, mode="simulate")
    story.denied("no lock 'c1' hangs")


def test_an_act_of_risk_high_is_confirmed_once_by_the_same_person() -> None:
    story = with_rule(lock=OperationRule(risk="high"))
    first = story.lock()
    assert story.only(CommandSimulated).next == "confirm"
    story.act("lock", {"reason": "bearing change"}, confirms=first, actor="bob")
    story.denied("confirmation")
    story.act("lock", {"reason": "another reason"}, confirms=first)
    story.denied("differ from what")
    story.act("lock", {"reason": "bearing change"}, confirms=first, simulation="0" * 64)
    story.denied("the intent names")
    story.act("lock", {"reason": "bearing change"}, confirms=first)
    story.one(LockSet)
    story.act("lock", {"reason": "bearing change"}, confirms=first)
    story.denied("out already")


def test_an_act_that_the_policy_wants_simulated_waits_for_its_confirmation() -> None:
    story = with_rule(lock=OperationRule(simulate=True))
    first = story.lock()
    assert story.only(CommandSimulated).next == "confirm"
    story.act("lock", {"reason": "bearing change"}, confirms=first)
    story.done()


def wanted(story: ActStory, actor: str = "alice") -> ApprovalRequested:
    words = {"permissive": "cool", "seconds": 60, "reason": "probe broken", "measure": "a man with a probe"}
    story.act("bypass", words, actor=actor)  # type: ignore[arg-type]  # all are scalars
    return story.one(ApprovalRequested)


def test_a_critical_act_waits_for_another_person_without_a_dry_run() -> None:
    story = ActStory()
    asked = wanted(story)
    assert [type(event) for event in story.out] == [CommandSimulated, ApprovalRequested]
    assert (asked.operation, asked.roles) == ("act-bypass", ("supervisor",))
    story.approve(asked, "alice2")
    assert "asked for it" in story.out[0].reason  # type: ignore[attr-defined]
    story.approve(asked, "bob")
    assert [type(event) for event in story.out] == [ApprovalAccepted, BypassGranted, ActDone]


def test_what_approvers_saw_is_void_after_a_stop_and_under_another_policy() -> None:
    story = ActStory()
    asked = wanted(story)
    story.ask("StopPump")
    story.approve(asked, "bob")
    assert story.state.bypasses == {}
    asked = wanted(story)
    story.publish(after(POLICY_OF_ACTS, moc="second"))
    assert {type(event) for event in story.out} >= {ApprovalWithdrawn, CommandCancelled}
    story.approve(asked, "bob")
    assert story.state.bypasses == {}


def test_the_last_approval_is_judged_anew() -> None:
    story = ActStory()
    first, second = wanted(story), wanted(story, actor="bob")
    story.approve(first, "carol")
    story.one(BypassGranted)
    story.approve(second, "carol")
    assert "bypassed already" in story.one(CommandDenied).reason


def test_cancels_an_own_command_without_a_role_for_it() -> None:
    roles = {**POLICY_OF_ACTS.roles, "operator": Role(operations=("pump-001.*", "valve-001.*"))}
    story = ActStory(msgspec.structs.replace(POLICY_OF_ACTS, roles=roles))
    ready = story.simulated()
    handle = story.state.asked[ready].sequence
    story.act("cancel", {"command": ready}, actor="bob")
    story.denied("role")
    story.act("cancel", {"command": ready}, actor="agent", on_behalf_of=("alice",))
    story.denied("role")
    act = story.act("cancel", {"command": f"c{handle}"}, actor="alice2")
    cancelled, done = story.out
    assert isinstance(cancelled, CommandCancelled)
    assert (cancelled.command, cancelled.by) == (ready, act)
    assert isinstance(done, ActDone)
    story.ask("SetSpeed", {"RPM": 1200.0}, confirms=ready)
    story.denied("is no simulation that waits")


def test_taking_back_an_own_command_waives_the_role_and_nothing_else() -> None:
    roles = {**POLICY_OF_ACTS.roles, "operator": Role(operations=("pump-001.*", "valve-001.*"))}
    story = ActStory(msgspec.structs.replace(POLICY_OF_ACTS, roles=roles, unsigned_risk=""))
    ready = story.simulated()
    story.act("cancel", {"command": ready}, signed=False)
    story.denied("role")
    story.act("cancel", {"command": ready}, model="0" * 64)
    story.denied("role")
    story.act("cancel", {"command": ready})
    story.done()


def test_an_agent_takes_back_what_it_asked_for() -> None:
    roles = {**POLICY_OF_ACTS.roles, "operator": Role(operations=("pump-001.*", "valve-001.*"))}
    story = ActStory(msgspec.structs.replace(POLICY_OF_ACTS, roles=roles))
    ready = story.simulated(actor="agent", on_behalf_of=("alice",))
    story.act("cancel", {"command": ready}, actor="agent", on_behalf_of=("bob",))
    story.denied("role")
    story.act("cancel", {"command": ready}, actor="agent", on_behalf_of=("alice",))
    story.done()


def test_cancels_what_waits_for_approvals_and_withdraws_them() -> None:
    story = ActStory()
    asked = story.waiting()
    story.approve(asked, "bob")
    story.act("cancel", {"command": asked.command}, actor="erin")
    assert story.one(ApprovalWithdrawn).approvers == ("bob",)
    story.done()
    story.approve(asked, "carol")
    assert not any(isinstance(event, CommandPermitted) for event in story.out)


def test_cancels_what_executes_and_says_that_the_executor_has_the_last_word() -> None:
    story = ActStory()
    running = story.ask("SetPosition", {"PERCENT": 40.0}, asset=VALVE)
    permitted = story.only(CommandPermitted)
    story.claim(running, by="adapter-opc1")
    story.act("cancel", {"command": running}, asset=VALVE)
    assert "look at its outcome" in story.done().text
    story.act("cancel", {"command": running}, asset=VALVE)
    story.denied("is cancelled already")
    story.execute(running, permitted.decision, by="adapter-opc1")
    story.act("cancel", {"command": running}, asset=VALVE)
    story.denied("is over already: executed")


def test_what_is_over_or_elsewhere_or_a_stop_is_not_cancelled() -> None:
    story = ActStory()
    story.act("cancel", {"command": "c99"})
    story.denied("no command 'c99'")
    moved = story.positioned()
    story.act("cancel", {"command": moved}, asset=PUMP)
    story.denied("is of valve-001")
    denied = story.ask("Explode")
    story.act("cancel", {"command": denied})
    story.denied("is over already: denied")
    stop = story.ask("StopPump")
    story.act("cancel", {"command": stop})
    story.denied("safe direction")
