"""What people are told about commands."""

from __future__ import annotations

import pytest

from plantops.events.base import CommandId, Scalar
from plantops.events.commands import CommandPermitted, SafePermitted
from plantops.gate import answers
from plantops.gate.returned import MAX_RETURNED
from plantops.gate.state import GateState
from support.gate_samples import VALVE, Story


def listed(state: GateState, *, open_only: bool) -> list[CommandId]:
    return [each.command for each in answers.listed(state, 100, open_only=open_only).commands]


def test_finds_by_identity_and_by_handle() -> None:
    story = Story()
    story.ask("Explode")
    second = story.ask("StartPump")
    assert answers.find(story.state, second) == second
    assert answers.find(story.state, "c2") == second
    restored = story.gate.load(story.gate.dump(story.state))
    assert answers.find(restored, "c2") == second


@pytest.mark.parametrize(
    "text", ["", "c", "c0", "c3", "c-1", "c\u00b2", "c\u0662", "c" + "9" * 5000, "x" * 10**6]
)
def test_finds_nothing_for_what_is_no_command(text: str) -> None:
    story = Story()
    story.ask("Explode")
    story.ask("StartPump")
    assert answers.find(story.state, text) is None


def test_tells_how_far_a_command_is() -> None:
    story = Story()
    command = story.ask("SetPosition", {"PERCENT": 40.0}, asset=VALVE)
    decision = story.only(CommandPermitted).decision
    told = answers.status(story.state, command)
    assert told is not None
    assert (told.handle, told.phase, told.outcome, told.arguments) == (
        "c1",
        "permitted",
        "",
        {"PERCENT": 40.0},
    )
    story.claim(command, by="adapter-plc1")
    assert answers.status(story.state, command) == told
    story.claim(command, by="adapter-opc1")
    told = answers.status(story.state, command)
    assert told is not None
    assert told.outcome == "command.claimed"
    story.execute(command, decision, by="adapter-opc1")
    told = answers.status(story.state, command)
    assert told is not None
    assert told.outcome == "command.executed"
    assert answers.status(story.state, CommandId("nobody")) is None


@pytest.mark.parametrize("restored", [False, True])
@pytest.mark.parametrize(
    ("returned", "told"),
    [
        ({}, {}),
        ({"seconds": 2.5, "jobs": 10**30}, {"seconds": 2.5, "jobs": 10**30}),
        ({"trace": "x" * MAX_RETURNED, "ok": True}, None),
    ],
)
def test_tells_what_was_returned_whole_or_not_at_all(
    returned: dict[str, Scalar], told: dict[str, Scalar] | None, restored: bool
) -> None:
    story = Story()
    command = story.ask("SetPosition", {"PERCENT": 40.0}, asset=VALVE)
    decision = story.only(CommandPermitted).decision
    before = answers.status(story.state, command)
    assert before is not None
    assert before.outputs is None
    story.execute(command, decision, by="adapter-opc1", outputs=returned)
    state = story.gate.load(story.gate.dump(story.state)) if restored else story.state
    status = answers.status(state, command)
    assert status is not None
    assert (status.outputs, status.intent) == (told, story.state.asked[command].digest)


@pytest.mark.parametrize("restored", [False, True])
def test_tells_what_an_external_simulator_said_and_for_whom_it_was_asked(restored: bool) -> None:
    story = Story()
    command = story.ask("SetSpeed", {"RPM": 1200.0}, actor="agent", on_behalf_of=("alice",), mode="simulate")
    story.dry_run(command, simulated={"flow": 3.5})
    state = story.gate.load(story.gate.dump(story.state)) if restored else story.state
    status = answers.status(state, command)
    assert status is not None
    assert (status.phase, status.outputs, status.on_behalf_of) == ("simulated", {"flow": 3.5}, ("alice",))


@pytest.mark.parametrize("restored", [False, True])
def test_lists_the_newest_first_and_only_open_ones_where_asked(restored: bool) -> None:
    story = Story()
    denied = story.ask("Explode")
    ready = story.simulated()
    stop = story.ask("CloseValve", asset=VALVE)
    safe = story.one(SafePermitted).decision
    done = story.ask("Mark", asset=VALVE)
    decision = story.only(CommandPermitted).decision
    story.execute(done, decision, by="adapter-opc1")
    wanted = story.waiting()
    state = story.gate.load(story.gate.dump(story.state)) if restored else story.state
    assert listed(state, open_only=False) == [wanted.command, done, stop, ready, denied]
    assert listed(state, open_only=True) == [wanted.command, stop, ready]
    assert listed(state, open_only=True) == [wanted.command, stop, ready]
    story.execute(stop, safe, by="adapter-opc1")
    assert stop not in listed(story.state, open_only=True)
    few = answers.listed(state, -5, open_only=False)
    assert (len(few.commands), few.total) == (1, 5)


@pytest.mark.parametrize("restored", [False, True])
def test_lists_what_waits_for_an_approval(restored: bool) -> None:
    story = Story()
    first, second = story.waiting(), story.waiting()
    story.approve(first, "bob")
    state = story.gate.load(story.gate.dump(story.state)) if restored else story.state
    told = answers.approvals(state)
    assert (told.waiting, told.handles) == ((first, second), ("c1", "c2"))
    assert told.approved_by == (("bob",), ())
    story.approve(first, "carol")
    assert answers.approvals(story.state).waiting == (second,)
