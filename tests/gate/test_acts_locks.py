"""A lock hangs until its owner, or two others, take it off; the safe direction does not care."""

from __future__ import annotations

import msgspec

from plantops.events.commands import (
    CommandCancelled,
    CommandPermitted,
    GenerationRaised,
    SafePermitted,
)
from plantops.events.governance import ActDone, LockLiftAsked, LockLifted, LockSet
from plantops.flow.wire import MAX_BATCH
from plantops.gate import answers
from plantops.gate.forgetting import REMEMBER
from plantops.gate.sweeping import MAX_CANCELLED
from support.acts_samples import POLICY_OF_ACTS, ActStory
from support.gate_samples import PUMP, VALVE, after


def test_a_lock_voids_what_is_permitted_and_ends_what_is_open() -> None:
    story = ActStory()
    ready, wanted = story.simulated(), story.waiting()
    lock = story.lock()
    raised, hung, *cancelled, done = story.out
    assert raised == GenerationRaised(site=story.gate.site, command=lock, asset=PUMP, generation=1)
    assert isinstance(hung, LockSet)
    assert (hung.lock.owner, hung.lock.person, hung.lock.since) == ("alice", "Alice", story.now)
    assert isinstance(done, ActDone)
    ended = {each.command for each in cancelled if isinstance(each, CommandCancelled)}
    assert ended == {ready, wanted.command}


def test_while_it_hangs_commands_are_denied_and_stops_go_on() -> None:
    story = ActStory()
    story.lock()
    story.ask("SetSpeed", {"RPM": 1200.0})
    assert story.denied("lockout: alice locked pump-001 out").decision is not None
    story.ask("SetPosition", {"PERCENT": 40.0}, asset=VALVE)
    story.only(CommandPermitted)
    story.ask("StopPump", blind=True, actor="bob")
    story.one(SafePermitted)


def test_a_permit_of_before_the_lock_stays_void_after_it() -> None:
    story = ActStory()
    ready = story.simulated()
    lock = story.lock()
    story.act("unlock", {"lock": lock})
    story.ask("SetSpeed", {"RPM": 1200.0}, confirms=ready)
    story.denied("is no simulation that waits")


def test_only_its_owner_lifts_it_alone_by_whatever_name() -> None:
    story = ActStory()
    lock = story.lock()
    story.act("unlock", {"lock": lock}, actor="agent", on_behalf_of=("alice",))
    story.denied("is no person")
    story.act("unlock", {"lock": f"c{story.state.asked[lock].sequence}"}, actor="alice2")
    lifted = story.one(LockLifted)
    assert (lifted.lock, lifted.persons) == (lock, ("Alice",))
    story.act("unlock", {"lock": lock})
    story.denied("no lock")
    story.simulated()


def test_two_others_lift_it_together() -> None:
    story = ActStory()
    lock = story.lock()
    story.act("unlock", {"lock": lock}, actor="bob")
    assert story.one(LockLiftAsked).person == "Bob"
    story.act("unlock", {"lock": lock}, actor="bob")
    story.denied("another person is needed")
    story.ask("SetSpeed", {"RPM": 1200.0})
    story.denied("lockout")
    story.act("unlock", {"lock": lock}, actor="dave")
    assert story.one(LockLifted).persons == ("Bob", "Dave")


def test_who_may_not_ask_any_more_does_not_count_as_the_first() -> None:
    story = ActStory()
    lock = story.lock()
    story.act("unlock", {"lock": lock}, actor="bob")
    principals = {name: each for name, each in POLICY_OF_ACTS.principals.items() if name != "bob"}
    story.publish(after(POLICY_OF_ACTS, principals=principals))
    story.act("unlock", {"lock": lock}, actor="dave")
    story.one(LockLiftAsked)
    story.act("unlock", {"lock": lock}, actor="erin")
    assert story.one(LockLifted).persons == ("Dave", "Erin")


def test_several_locks_hang_beside_each_other() -> None:
    story = ActStory()
    first, second = story.lock(), story.lock(actor="bob")
    story.lock()
    story.denied("has locked pump-001 out already")
    story.act("unlock", {"lock": first})
    story.ask("SetSpeed", {"RPM": 1200.0})
    story.denied("bob locked pump-001 out")
    assert [each.lock for each in answers.holds(story.state, PUMP).lockouts] == [second]
    assert answers.holds(story.state, VALVE).lockouts == ()
    story.act("unlock", {"lock": second}, actor="bob")
    story.simulated()


def test_a_lock_is_lifted_where_it_hangs() -> None:
    story = ActStory()
    lock = story.lock()
    story.act("unlock", {"lock": lock}, asset=VALVE)
    story.denied("hangs on pump-001")


def test_a_lock_hangs_as_long_as_it_hangs() -> None:
    story = ActStory()
    lock = story.lock()
    handle = story.state.asked[lock].sequence
    story.publish(after(POLICY_OF_ACTS, expires=story.now + 30 * REMEMBER))
    story.wait(10 * REMEMBER.total_seconds())
    story.ask("SetSpeed", {"RPM": 1200.0})
    story.denied("lockout")
    again = story.gate.load(story.gate.dump(story.state))
    assert again.locks == story.state.locks
    assert story.gate.dump(again) == story.gate.dump(story.state)
    story.act("unlock", {"lock": f"c{handle}"})
    story.one(LockLifted)


def test_a_lock_before_a_flood_fits_into_one_batch() -> None:
    story = ActStory()
    for _number in range(MAX_CANCELLED + 5):
        story.simulated(actor="agent", on_behalf_of=("alice",))
    story.lock()
    assert len(story.out) == MAX_CANCELLED + 3 <= MAX_BATCH


def test_an_unsigned_lock_counts_as_far_as_the_policy_takes_unsigned_words() -> None:
    story = ActStory(msgspec.structs.replace(POLICY_OF_ACTS, unsigned_risk=""))
    story.act("lock", {"reason": "x"}, signed=False)
    story.denied("unsigned")
