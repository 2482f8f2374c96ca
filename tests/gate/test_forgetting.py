"""The gate's memory follows the last days: what is over is dropped, what is open is kept for ever."""

from __future__ import annotations

from datetime import timedelta

from plantops.gate.forgetting import REMEMBER
from support.gate_samples import Story

TWO_AND_A_BIT = (REMEMBER + timedelta(hours=1)).total_seconds()


def test_drops_what_was_over_long_ago() -> None:
    story = Story()
    denied = story.ask("SetSpeed", {"RPM": 1.0}, actor="nobody")
    assert denied in story.state.asked
    story.wait(TWO_AND_A_BIT)
    latest = story.ask("SetSpeed", {"RPM": 2.0}, actor="nobody")
    assert list(story.state.asked) == [latest]
    assert denied not in story.state.courses


def test_keeps_what_is_open_however_old() -> None:
    story = Story()
    waiting = story.waiting().command
    story.wait(TWO_AND_A_BIT)
    story.ask("SetSpeed", {"RPM": 2.0}, actor="nobody")
    assert waiting in story.state.asked


def test_drops_a_permit_that_nobody_took_long_ago() -> None:
    story = Story()
    first = story.simulated()
    command = story.ask("SetSpeed", {"RPM": 1200.0}, confirms=first)
    story.wait(20)
    story.fire(command, "execution")
    story.wait(REMEMBER.total_seconds() - 60)
    story.ask("SetSpeed", {"RPM": 2.0}, actor="nobody")
    assert command in story.state.asked
    story.wait(3600)
    story.ask("SetSpeed", {"RPM": 2.0}, actor="nobody")
    assert command not in story.state.asked
    assert story.gate.dump(story.gate.load(story.gate.dump(story.state))) == story.gate.dump(story.state)


def test_a_snapshot_leaves_out_what_is_over_behind_something_open() -> None:
    story = Story()
    waiting = story.waiting().command
    denied = story.ask("SetSpeed", {"RPM": 1.0}, actor="nobody")
    story.wait(TWO_AND_A_BIT)
    story.ask("SetSpeed", {"RPM": 2.0}, actor="nobody")
    again = story.gate.load(story.gate.dump(story.state))
    assert waiting in again.asked
    assert denied not in again.asked
    assert story.gate.dump(again) == story.gate.dump(story.state)
