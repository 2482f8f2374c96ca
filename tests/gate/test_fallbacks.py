"""What ended half-way leads to the safe-direction operation that the policy names: once, and judged."""

from __future__ import annotations

import msgspec
import pytest

from plantops.events.command_parts import command_id
from plantops.events.commands import (
    CommandCancelled,
    CommandDenied,
    CommandPermitted,
    GenerationRaised,
    SafePermitted,
)
from plantops.events.governance import FallbackOrdered, PolicyRefused
from plantops.gate import answers
from plantops.gate.forgetting import REMEMBER
from plantops.policy.document import OperationRule, Role
from support.acts_samples import POLICY_OF_ACTS, ActStory
from support.gate_samples import VALVE, after, person


def moving(story: ActStory, **asked: object) -> CommandPermitted:
    story.ask("SetPosition", {"PERCENT": 40.0}, asset=VALVE, **asked)  # type: ignore[arg-type]
    return story.only(CommandPermitted)


@pytest.mark.parametrize("how", ["failed", "unknown"])
def test_falls_back_in_the_name_of_who_asked(how: str) -> None:
    story = ActStory()
    permitted = moving(story, actor="agent", on_behalf_of=("alice",), signed=True)
    if how == "failed":
        story.fail(permitted)
    else:
        story.lose(permitted)
    ordered, raised, safe = story.out
    command = command_id("gate-fallback", permitted.command)
    assert isinstance(ordered, FallbackOrdered)
    assert (ordered.command, ordered.cause, ordered.operation) == (command, permitted.command, "CloseValve")
    assert (ordered.actor, ordered.on_behalf_of) == ("agent", ("alice",))
    assert raised == GenerationRaised(site=story.gate.site, command=command, asset=VALVE, generation=1)
    assert isinstance(safe, SafePermitted)
    assert (safe.permit.safe_direction, safe.permit.intent) == (True, permitted.permit.intent)
    told = answers.status(story.state, command)
    assert told is not None
    assert (told.handle, told.cause, told.phase) == (command, permitted.command, "permitted")
    assert command in [each.command for each in answers.listed(story.state, 9, open_only=True).commands]


@pytest.mark.parametrize(("written", "compensated"), [(False, False), (True, True)])
def test_does_not_where_nothing_is_left_half_done(written: bool, compensated: bool) -> None:
    story = ActStory()
    assert story.fail(moving(story), written=written, compensated=compensated) == []


def test_falls_back_once_and_never_from_a_fallback() -> None:
    story = ActStory()
    permitted = moving(story)
    story.lose(permitted)
    safe = story.one(SafePermitted)
    assert story.fail(permitted) == []
    event = CommandPermitted(site=safe.site, command=safe.command, permit=safe.permit, decision=safe.decision)
    assert story.fail(event) == []


def test_a_word_of_another_executor_changes_nothing() -> None:
    story = ActStory()
    permitted = moving(story)
    forged = msgspec.structs.replace(
        permitted, permit=msgspec.structs.replace(permitted.permit, source="plc1")
    )
    assert story.fail(forged) == []


def test_a_fallback_that_is_denied_says_so_under_its_own_name() -> None:
    story = ActStory()
    permitted = moving(story)
    roles = {**POLICY_OF_ACTS.roles, "operator": Role(operations=("valve-001.SetPosition",))}
    story.publish(after(POLICY_OF_ACTS, roles=roles))
    story.fail(permitted)
    ordered, denied = story.out
    assert isinstance(ordered, FallbackOrdered)
    assert isinstance(denied, CommandDenied)
    assert denied.command == ordered.command
    assert "role" in denied.reason
    assert story.state.courses[permitted.command].phase == "permitted"


def test_no_principal_has_the_name_under_which_fallbacks_are_kept_apart() -> None:
    story = ActStory()
    named = {**POLICY_OF_ACTS.principals, "gate-fallback": person("gate-fallback", "Mallory")}
    story.publish(after(POLICY_OF_ACTS, principals=named))
    assert "a name that the gate keeps for itself" in story.only(PolicyRefused).reason


def test_ends_what_else_is_open_on_the_asset() -> None:
    story = ActStory()
    rules = {**POLICY_OF_ACTS.operations, "valve-001.Mark": OperationRule(simulate=True)}
    story.publish(after(POLICY_OF_ACTS, operations=rules))
    waiting = story.ask("Mark", asset=VALVE)
    permitted = moving(story)
    story.fail(permitted)
    assert [each.command for each in story.out if isinstance(each, CommandCancelled)] == [waiting]


def test_goes_on_while_the_asset_is_locked_out() -> None:
    story = ActStory()
    permitted = moving(story)
    story.lock(VALVE, actor="bob")
    story.lose(permitted)
    story.one(SafePermitted)


def test_a_fallback_lives_and_is_forgotten_with_its_cause() -> None:
    story = ActStory()
    permitted = moving(story)
    story.fail(permitted)
    safe = story.one(SafePermitted)
    again = story.gate.load(story.gate.dump(story.state))
    assert again.fallbacks == story.state.fallbacks
    assert story.gate.dump(again) == story.gate.dump(story.state)
    story.wait(2 * REMEMBER.total_seconds())
    story.ask("Explode")
    assert safe.command in story.state.fallbacks
    story.claim(safe.command, by="adapter-opc1")
    story.execute(safe.command, safe.decision, by="adapter-opc1")
    story.wait(2 * REMEMBER.total_seconds())
    story.ask("Explode")
    assert story.state.fallbacks == {}
    assert safe.command not in story.state.courses
