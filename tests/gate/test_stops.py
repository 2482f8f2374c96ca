"""A stop wins: it waits for nobody, and ends and outruns what is open on its asset."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from plantops.events.base import CommandId
from plantops.events.commands import CommandCancelled, CommandPermitted, GenerationRaised, SafePermitted
from plantops.flow.wire import MAX_BATCH
from plantops.gate.sweeping import MAX_CANCELLED
from support.gate_samples import POLICY, PUMP, VALVE, Story


def cancelled(story: Story) -> list[CommandId]:
    return [event.command for event in story.out if isinstance(event, CommandCancelled)]


def test_permits_a_stop_blind_and_under_an_expired_policy() -> None:
    story = Story()
    story.wait(timedelta(days=400).total_seconds())
    story.ask("SetPosition", {"PERCENT": 1.0}, asset=VALVE)
    story.denied("expired")
    stop = story.ask("StopPump", blind=True, signed=False, issued_at=None, expires_at=None, model="")
    raised, permitted = story.out
    assert raised == GenerationRaised(site=story.gate.site, command=stop, asset=PUMP, generation=1)
    assert isinstance(permitted, SafePermitted)
    assert (permitted.permit.safe_direction, permitted.permit.generation) == (True, 1)
    assert permitted.permit.writes[0].value is False


def test_a_stop_is_authorised() -> None:
    story = Story()
    story.ask("StopPump", actor="carol")
    story.denied("role")
    story.ask("StopPump", actor="mallory")
    story.denied("identity")
    story.ask("StopPump", {"NOW": True})
    story.denied("argument:NOW")
    assert story.state.generations == {}


def test_a_stop_that_says_it_confirms_something_is_a_stop() -> None:
    story = Story()
    story.ask("StopPump", actor="agent", on_behalf_of=("alice",), confirms="whatever")
    story.one(SafePermitted)


def test_cancels_what_is_open_on_its_asset_and_nothing_else() -> None:
    story = Story()
    other = story.ask("SetPosition", {"PERCENT": 40.0}, asset=VALVE)
    simulating = story.ask("StartPump")
    ready = story.simulated()
    wanted = story.waiting()
    confirmed = story.simulated(rpm=900.0)
    running = story.ask("SetSpeed", {"RPM": 900.0}, confirms=confirmed)
    story.claim(running)
    denied = story.ask("Explode")
    story.ask("StopPump")
    assert isinstance(story.out[0], GenerationRaised)
    assert isinstance(story.out[1], SafePermitted)
    assert set(cancelled(story)) == {simulating, ready, wanted.command, running}
    assert cancelled(story)[0] == running
    assert {other, denied, confirmed}.isdisjoint(cancelled(story))


def test_stops_twice_in_a_row() -> None:
    story = Story()
    story.simulated()
    story.ask("StopPump")
    assert len(cancelled(story)) == 1
    story.ask("StopPump")
    assert story.one(GenerationRaised).generation == 2
    assert story.one(SafePermitted).permit.generation == 2
    assert cancelled(story) == []


def test_what_was_simulated_or_approved_before_a_stop_is_void_after_it() -> None:
    story = Story()
    ready, wanted, simulating = story.simulated(), story.waiting(), story.ask("StartPump")
    story.ask("StopPump")
    story.ask("SetSpeed", {"RPM": 1200.0}, confirms=ready)
    story.denied("confirmation")
    for person in ("bob", "carol"):
        story.approve(wanted, person)
        assert not any(isinstance(event, CommandPermitted) for event in story.out)
    assert story.dry_run(simulating) == []


def test_a_stop_after_the_confirmation_leaves_the_asset_busy_until_the_executor_has_spoken() -> None:
    story = Story()
    first = story.simulated()
    running = story.ask("SetSpeed", {"RPM": 1200.0}, confirms=first)
    decision = story.only(CommandPermitted).decision
    story.ask("StopPump")
    assert cancelled(story) == [running]
    again = story.simulated(rpm=800.0)
    story.ask("SetSpeed", {"RPM": 800.0}, confirms=again)
    story.denied("in_flight")
    story.claim(running)  # it was claimed before it was cancelled, as we learn now
    story.wait(60)
    story.ask("SetSpeed", {"RPM": 800.0}, confirms=again)
    story.denied("in_flight")
    story.execute(running, decision)
    story.ask("SetSpeed", {"RPM": 800.0}, confirms=again)
    assert story.only(CommandPermitted).permit.generation == 1


def test_a_flood_of_open_commands_neither_blocks_nor_survives_a_stop() -> None:
    """All answers to one input are stored as one batch, and the stop must fit into it."""
    story = Story()
    flood = [story.simulated(actor="agent", on_behalf_of=("alice",)) for _number in range(MAX_CANCELLED + 5)]
    simulating = [story.ask("StartPump") for _number in range(10)]
    story.ask("StopPump")
    story.one(SafePermitted)
    assert len(story.out) == MAX_CANCELLED + 2 <= MAX_BATCH
    told = set(cancelled(story))
    left = [command for command in flood if command not in told]
    story.ask("SetSpeed", {"RPM": 1200.0}, confirms=left[-1])
    story.denied("was stopped since")
    assert simulating[-1] not in told
    story.dry_run(simulating[-1])
    story.denied("was stopped meanwhile")


def test_stopping_does_not_wait_for_what_is_in_flight() -> None:
    story = Story()
    first = story.ask("SetPosition", {"PERCENT": 40.0}, asset=VALVE)
    story.claim(first, by="adapter-opc1")
    story.ask("CloseValve", asset=VALVE, blind=True)
    story.one(SafePermitted)


@pytest.mark.parametrize("signed", [True, False])
def test_the_safe_direction_comes_from_the_policy_only(signed: bool) -> None:
    rules = {key: rule for key, rule in POLICY.operations.items() if "StopPump" not in key}

    story = Story(policy=msgspec.structs.replace(POLICY, operations=rules))
    story.ask("StopPump", signed=signed)
    assert not story.only(CommandPermitted).permit.safe_direction
    assert story.state.generations == {}
