"""A bypass counts for its time, on its asset, for its permissive, and wherever it counted it is told."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from plantops.events.base import CommandId, Digest, PrincipalName, Scalar, encode_json
from plantops.events.circumstances import Bypass
from plantops.events.command_parts import APPROVAL_TYPE, Approval, Grant
from plantops.events.commands import (
    ApprovalRequested,
    CommandCancelled,
    CommandDenied,
    CommandPermitted,
    CommandSimulated,
    SimulationOrdered,
)
from plantops.events.governance import BypassEnded, BypassGranted
from plantops.gate import answers
from plantops.ledger import dsse
from plantops.policy.document import BypassClass
from support.acts_samples import HOT, POLICY_OF_ACTS, ActStory
from support.gate_samples import PUMP, SITE, VALVE, after
from support.plant_samples import key

WORDS: dict[str, Scalar] = {
    "permissive": "cool",
    "seconds": 600,
    "reason": "probe broken",
    "measure": "a man with a probe",
}


def bypassed(story: ActStory, **changed: Scalar) -> Bypass:
    story.act("bypass", {**WORDS, **changed})
    story.approve(story.one(ApprovalRequested), "carol")
    return story.one(BypassGranted).bypass


def test_a_permissive_does_not_count_while_it_is_bypassed() -> None:
    story = ActStory()
    story.ask("SetSpeed", {"RPM": 1200.0}, observation=story.hot())
    story.denied("permissive:cool")
    bypass = bypassed(story)
    assert (bypass.bypass_class, (bypass.expires_at - bypass.since).total_seconds()) == ("short", 600)
    command = story.ask("SetSpeed", {"RPM": 1200.0}, observation=story.hot())
    ordered = story.only(SimulationOrdered)
    assert ordered.permit.bypasses == (bypass,)
    assert ordered.decision.circumstances.bypasses == (bypass,)
    told = {finding.rule: finding for finding in ordered.decision.findings}["permissive:cool"]
    assert "bypassed by alice" in told.text
    assert "a man with a probe" in told.text
    story.dry_run(command, HOT)
    story.ask("SetSpeed", {"RPM": 1200.0}, confirms=command, observation=story.hot())
    assert story.only(CommandPermitted).permit.bypasses == (bypass,)


def test_it_does_not_count_elsewhere_nor_after_its_time() -> None:
    story = ActStory()
    bypassed(story)
    story.ask("SetPosition", {"PERCENT": 40.0}, asset=VALVE)
    assert story.only(CommandPermitted).permit.bypasses == ()
    story.wait(600)
    story.ask("SetSpeed", {"RPM": 1200.0}, observation=story.hot())
    denied = story.denied("permissive:cool").decision
    assert denied is not None
    assert denied.circumstances.bypasses == ()


@pytest.mark.parametrize(
    ("reason", "changed", "actor"),
    [
        ("reason says nothing", {"reason": "  "}, "alice"),
        ("reason says nothing", {"reason": "\u200b\u2060 -"}, "alice"),
        ("measure says nothing", {"measure": ""}, "alice"),
        ("no permissive 'warm'", {"permissive": "warm"}, "alice"),
        ("too long", {"seconds": 3_601}, "alice"),
        ("argument:seconds", {"seconds": 0}, "alice"),
        ("argument:seconds", {"seconds": "60"}, "alice"),
        ("role", {}, "dave"),
        ("person", {}, "agent"),
    ],
)
def test_what_no_class_allows_is_denied_before_anybody_is_asked(
    reason: str, changed: dict[str, Scalar], actor: str
) -> None:
    story = ActStory()
    story.act("bypass", {**WORDS, **changed}, actor=actor)
    story.denied(reason)


def test_only_the_roles_of_a_class_may_use_it() -> None:
    classes = {"long": POLICY_OF_ACTS.bypass_classes["long"]}
    story = ActStory(msgspec.structs.replace(POLICY_OF_ACTS, bypass_classes=classes))
    story.act("bypass", WORDS)
    story.denied("by chief only")


def test_a_permissive_that_guards_nothing_there_cannot_be_bypassed_there() -> None:
    story = ActStory()
    story.act("bypass", WORDS, asset=VALVE)
    story.denied("applies to no operation of valve-001")


def test_a_second_bypass_of_the_same_permissive_waits_for_the_end_of_the_first() -> None:
    story = ActStory()
    first = bypassed(story)
    story.act("bypass", WORDS)
    story.denied("bypassed already")
    story.wait(601)
    story.act("bypass", WORDS)
    story.approve(story.one(ApprovalRequested), "carol")
    assert story.one(BypassEnded).bypass == first.bypass
    assert list(story.state.bypasses) == [story.one(BypassGranted).command]


def test_the_timers_word_ends_it_and_not_before_its_time() -> None:
    story = ActStory()
    bypass = bypassed(story)
    story.wait(599)
    assert story.fire(bypass.bypass, "bypass") == []
    story.wait(1)
    story.fire(bypass.bypass, "bypass")
    assert story.only(BypassEnded).command == bypass.bypass
    assert story.state.bypasses == {}
    assert story.fire(bypass.bypass, "bypass") == []
    assert story.fire(CommandId("f" * 24), "bypass") == []


def test_a_person_ends_it_before_its_time_and_what_counted_with_it() -> None:
    story = ActStory()
    bypass = bypassed(story)
    first = story.ask("SetSpeed", {"RPM": 1200.0}, observation=story.hot())
    story.dry_run(first, HOT)
    running = story.ask("SetSpeed", {"RPM": 1200.0}, confirms=first, observation=story.hot())
    story.only(CommandPermitted)
    story.act("end-bypass", {"bypass": bypass.bypass}, actor="agent", on_behalf_of=("alice",))
    story.denied("is no person")
    story.act("end-bypass", {"bypass": bypass.bypass}, asset=VALVE)
    story.denied("is on pump-001")
    act = story.act("end-bypass", {"bypass": bypass.bypass}, actor="dave")
    assert story.one(BypassEnded).command == act
    assert story.one(CommandCancelled).command == running
    story.done()
    story.act("end-bypass", {"bypass": bypass.bypass})
    story.denied("no bypass")


@pytest.mark.parametrize(
    "classes",
    [
        {},
        {"short": BypassClass(permissives=("cool",), roles=("supervisor",), max_seconds=599.0)},
    ],
)
def test_a_policy_that_no_longer_allows_it_ends_it(classes: dict[str, BypassClass]) -> None:
    story = ActStory()
    bypass = bypassed(story)
    story.publish(after(POLICY_OF_ACTS, bypass_classes=classes))
    assert story.one(BypassEnded).bypass == bypass.bypass
    story.ask("SetSpeed", {"RPM": 1200.0}, observation=story.hot())
    story.denied("permissive:cool")


def test_a_simulation_says_what_would_be_bypassed() -> None:
    story = ActStory()
    story.act("bypass", WORDS, mode="simulate")
    assert "does not count until" in str(story.only(CommandSimulated).simulated["act"])
    assert story.state.bypasses == {}


def test_bypasses_outlive_a_snapshot_and_are_listed() -> None:
    story = ActStory()
    bypass = bypassed(story)
    again = story.gate.load(story.gate.dump(story.state))
    assert again.bypasses == {bypass.bypass: bypass}
    told = answers.holds(again, PUMP)
    assert told.bypasses == (bypass,)
    assert told.bypass_handles == (f"c{story.state.asked[bypass.bypass].sequence}",)


def test_who_asked_for_a_bypass_does_not_approve_it() -> None:
    story = ActStory()
    story.act("bypass", WORDS)
    story.approve(story.one(ApprovalRequested), "alice2")
    assert not any(isinstance(event, (BypassGranted, CommandDenied)) for event in story.out)


def test_what_persons_signed_for_it_goes_into_each_permit_also_after_a_restart() -> None:
    story = ActStory()
    command = story.act("bypass", WORDS, evidence="the signed act")
    story.approve(story.one(ApprovalRequested), "carol", evidence=approval_of(story, command))
    approved = story.state.courses[command].approvals
    story.state = story.gate.load(story.gate.dump(story.state))
    story.ask("SetSpeed", {"RPM": 1200.0}, observation=story.hot())
    grant = Grant(bypass=command, intent="the signed act", approvals=approved)
    assert story.only(SimulationOrdered).permit.grants == (grant,)
    story.wait(600)
    story.fire(command, "bypass")
    again = story.gate.load(story.gate.dump(story.state))
    assert again.asked[command].evidence == ""


def approval_of(story: ActStory, command: CommandId) -> str:
    word = Approval(
        site=SITE,
        command=command,
        person=PrincipalName("carol"),
        verdict="approve",
        intent=story.state.asked[command].digest,
        decision=Digest("d" * 64),
        issued_at=story.now,
        expires_at=story.now + timedelta(minutes=5),
        nonce="n",
    )
    return dsse.encode(dsse.seal(APPROVAL_TYPE, encode_json(word), key("carol"))).decode()
