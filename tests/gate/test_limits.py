"""Limits are counted from what the gate permitted, and what cannot be counted denies."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plantops.events.base import CommandId, Scalar
from plantops.events.circumstances import LimitUse
from plantops.events.commands import CommandDenied, CommandPermitted, SafePermitted
from plantops.gate import limits
from plantops.gate.limits import uses_of
from plantops.policy.document import LIMIT_WINDOW, Limit, Policy
from support.gate_samples import POLICY, VALVE, Story, after, seen, well


def policy_with(*wanted: Limit) -> Policy:
    return msgspec.structs.replace(POLICY, limits=wanted)


def story_with(**changed: object) -> Story:
    fields: dict[str, object] = {"id": "few", "applies": ("valve-001.*",), "window_seconds": 60.0}
    return Story(policy=policy_with(Limit(**{**fields, **changed})))  # type: ignore[arg-type]


def mark(story: Story, **asked: object) -> CommandId:
    """A low command on the valve, done at once, so that it is not in the way of the next."""
    command = story.ask("Mark", asset=VALVE, **asked)  # type: ignore[arg-type]  # each test names real fields
    if isinstance(story.out[0], CommandPermitted):
        decision = story.out[0].decision
        story.claim(command, by="adapter-opc1")
        story.execute(command, decision, by="adapter-opc1")
    return command


def permitted(story: Story, command: CommandId) -> bool:
    return story.state.courses[command].permitted


def used(story: Story, command: CommandId) -> LimitUse:
    """The use of the only limit, as the decision on a command recorded it."""
    judged = [each.fact for each in story.own if getattr(each.fact, "command", "") == command]
    assert isinstance(judged[0], CommandPermitted | CommandDenied)
    assert judged[0].decision is not None
    (use,) = judged[0].decision.circumstances.uses
    return use


def test_calls_in_the_window_are_counted_and_one_more_is_denied() -> None:
    story = story_with(calls=2)
    commands = [mark(story) for _number in range(3)]
    assert [permitted(story, each) for each in commands] == [True, True, False]
    assert [used(story, each).calls for each in commands] == [0, 1, 2]
    assert story.state.courses[commands[2]].reason.startswith("limit:few")


def test_the_window_slides_on_the_brokers_time() -> None:
    story = story_with(calls=1)
    mark(story)
    story.wait(59.999999)
    assert not permitted(story, mark(story))
    story.wait(0.000001)
    assert permitted(story, mark(story))


@pytest.mark.parametrize("per", ["asset", "person", "site"])
def test_counts_for_each_asset_each_natural_person_or_the_site(per: str) -> None:
    story = story_with(calls=1, per=per, applies=("*",))
    mark(story, actor="alice")
    assert not permitted(story, mark(story, actor="alice"))
    assert permitted(story, mark(story, actor="bob")) == (per == "person")
    assert not permitted(story, mark(story, actor="agent", on_behalf_of=("alice2",)))
    pump = story.ask("SetSpeed", {"RPM": 1200.0}, actor="alice")
    assert (story.state.courses[pump].phase == "simulating") == (per == "asset")


def test_what_a_limit_does_not_cover_does_not_count_for_it() -> None:
    story = story_with(calls=1, applies=("valve-001.SetPosition",))
    for _number in range(3):
        assert permitted(story, mark(story))


def test_the_safe_direction_neither_counts_nor_is_counted() -> None:
    story = story_with(calls=1, applies=("*",))
    for _number in range(3):
        story.ask("CloseValve", asset=VALVE, blind=True)
        story.one(SafePermitted)
    assert permitted(story, mark(story))
    story.ask("CloseValve", asset=VALVE, blind=True)
    story.one(SafePermitted)


def test_a_simulation_does_not_count_and_its_confirmation_does() -> None:
    story = Story(policy=policy_with(Limit(id="few", applies=("*",), calls=1)))
    first, second = story.simulated(), story.simulated(rpm=900.0)
    story.ask("SetSpeed", {"RPM": 1200.0}, confirms=first)
    assert used(story, story.only(CommandPermitted).command).calls == 0
    story.ask("SetSpeed", {"RPM": 900.0}, confirms=second)
    assert story.only(CommandDenied).reason.startswith("limit:few")


def test_denied_and_never_taken_commands_do_not_count() -> None:
    story = story_with(calls=1)
    story.ask("Mark", asset=VALVE, actor="carol")
    story.one(CommandDenied)
    unclaimed = story.ask("Mark", asset=VALVE)
    story.only(CommandPermitted)
    story.wait(15.000001)
    story.fire(unclaimed, "execution")
    assert permitted(story, mark(story))


def test_one_that_was_taken_after_all_counts_again() -> None:
    story = story_with(calls=1)
    command = story.ask("Mark", asset=VALVE)
    decision = story.only(CommandPermitted).decision
    story.wait(15.000001)
    story.fire(command, "execution")
    story.claim(command, by="adapter-opc1")
    story.execute(command, decision, by="adapter-opc1")
    assert not permitted(story, mark(story))


def test_one_that_a_stop_cancelled_counts() -> None:
    story = story_with(calls=1)
    story.ask("Mark", asset=VALVE)
    story.ask("CloseValve", asset=VALVE, blind=True)
    story.wait(20)
    assert not permitted(story, mark(story))


def test_those_under_way_are_counted_until_they_end() -> None:
    story = Story(policy=policy_with(Limit(id="one", applies=("*",), per="site", concurrent=1)))
    first = story.ask("Mark", asset=VALVE)
    decision = story.only(CommandPermitted).decision
    story.claim(first, by="adapter-opc1")
    story.wait(60)
    story.ask("SetSpeed", {"RPM": 1200.0})
    assert story.only(CommandDenied).reason.startswith("limit:one: 1 of 1 under way")
    story.execute(first, decision, by="adapter-opc1")
    story.simulated()


def test_one_that_nobody_took_is_under_way_until_its_permit_ends() -> None:
    story = Story(policy=policy_with(Limit(id="one", applies=("*",), per="person", concurrent=1)))
    story.ask("Mark", asset=VALVE)
    story.wait(15)
    story.ask("SetSpeed", {"RPM": 1200.0})
    assert story.only(CommandDenied).reason.startswith("limit:one")
    story.wait(0.000001)
    story.simulated()


def drifting(most: float = 50.0, **changed: object) -> Story:
    return story_with(applies=("valve-001.SetPosition",), drift={"PERCENT": most}, **changed)


def move(story: Story, percent: float, stands: Scalar | None, quality: int = 192) -> CommandId:
    command = story.ask(
        "SetPosition",
        {"PERCENT": percent},
        asset=VALVE,
        observation=well(seen("opc1.command", stands, quality=quality), at=story.now),
    )
    if isinstance(story.out[0], CommandPermitted):
        decision = story.out[0].decision
        story.claim(command, by="adapter-opc1")
        story.execute(command, decision, by="adapter-opc1")
    return command


def test_small_steps_add_up_in_both_directions() -> None:
    story = drifting()
    first, second = move(story, 40.0, 20.0), move(story, 20.0, 40.0)
    third = move(story, 31.0, 20.0)
    assert [permitted(story, each) for each in (first, second, third)] == [True, True, False]
    assert used(story, third).drift == {"PERCENT": 40.0}
    assert permitted(story, move(story, 30.0, 20.0))
    story.wait(60)
    assert permitted(story, move(story, 70.0, 20.0))


def test_a_step_that_is_not_known_denies_while_it_is_in_the_window() -> None:
    """Permitted before anybody asked how far it went."""
    story = Story()
    move(story, 40.0, 20.0)
    few = Limit(id="few", applies=("valve-001.*",), drift={"PERCENT": 50.0}, window_seconds=60.0)
    story.publish(after(POLICY, limits=(few,)))
    command = move(story, 41.0, 40.0)
    assert story.state.courses[command].reason.startswith("limit:few: how far it is used is not known")
    story.wait(60)
    assert permitted(story, move(story, 41.0, 40.0))


@pytest.mark.parametrize(("stands", "quality"), [(None, 192), (20.0, 24), ("open", 192)])
def test_a_step_that_cannot_be_seen_denies(stands: Scalar | None, quality: int) -> None:
    story = drifting()
    assert not permitted(story, move(story, 40.0, stands, quality))


def test_at_the_cap_what_is_forgotten_denies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_USES", 3)
    story = story_with(calls=100)
    for _number in range(4):
        assert permitted(story, mark(story))
    assert len(story.state.uses) == 3
    assert not permitted(story, mark(story))
    story.wait(60)
    assert permitted(story, mark(story))


def test_memory_is_bounded_by_the_longest_window() -> None:
    story = Story()
    mark(story)
    first = story.own[-1].fact
    assert isinstance(first, CommandPermitted)
    late = msgspec.structs.replace(first.decision, now=story.now + LIMIT_WINDOW + timedelta(seconds=1))
    second = msgspec.structs.replace(first, command=CommandId("other"), decision=late)
    limits.record_permit(story.state, story.gate.plant, second)
    assert list(story.state.uses) == ["other"]
    assert story.state.uses_from == story.now


def test_a_restarted_gate_counts_the_same() -> None:
    story = drifting()
    move(story, 40.0, 20.0)
    unclaimed = story.ask("Mark", asset=VALVE)
    story.wait(15.000001)
    story.fire(unclaimed, "execution")
    policy = story.state.verified
    assert policy is not None
    asked = story.state.asked[unclaimed]
    before = uses_of(story.state, policy.policy, asked, story.now)
    story.state = story.gate.load(story.gate.dump(story.state))
    assert uses_of(story.state, policy.policy, asked, story.now) == before
    assert not permitted(story, move(story, 60.0, 20.0))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([0.0, 7.0, 20.0, 60.0]), st.booleans(), st.booleans()), max_size=12)
)
def test_whatever_happens_no_window_holds_more_than_allowed(
    steps: list[tuple[float, bool, bool]],
) -> None:
    """Against a count over all permits that were taken, or may still be: at most two within any minute."""
    story = story_with(calls=2)
    taken: list[datetime] = []
    for pause, is_taken, is_restarted in steps:
        story.wait(pause)
        if is_restarted:
            story.state = story.gate.load(story.gate.dump(story.state))
        command = story.ask("Mark", asset=VALVE)
        if not isinstance(story.out[0], CommandPermitted):
            recent = [at for at in taken if at > story.now - timedelta(seconds=60)]
            assert len(recent) >= 2
            continue
        decision = story.out[0].decision
        if is_taken:
            taken.append(story.now)
            story.claim(command, by="adapter-opc1")
            story.execute(command, decision, by="adapter-opc1")
        else:
            story.wait(15.000001)
            story.fire(command, "execution")
        assert all(
            len([at for at in taken if start - timedelta(seconds=60) < at <= start]) <= 2 for start in taken
        )


def test_an_agent_that_names_another_person_each_time_gets_no_more_turns() -> None:
    agent = msgspec.structs.replace(POLICY.principals["agent"], person="Erin")
    policy = policy_with(Limit(id="one", applies=("*",), per="person", calls=1))
    story = Story(policy=msgspec.structs.replace(policy, principals={**policy.principals, "agent": agent}))
    assert permitted(story, mark(story, actor="agent", on_behalf_of=("alice",)))
    assert not permitted(story, mark(story, actor="agent", on_behalf_of=("bob",)))
    assert not permitted(story, mark(story, actor="alice"))
    assert permitted(story, mark(story, actor="bob"))
