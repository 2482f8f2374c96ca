"""The timer: deadlines open with the gate's words, close with the next one, and are told until heard."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from conformance.processors import check_processor
from plantops.events.base import AssetName, CommandId, Digest, OperationName, PrincipalName, SiteName
from plantops.events.circumstances import Bypass
from plantops.events.commands import (
    ApprovalRequested,
    CommandCancelled,
    CommandDenied,
    CommandExpired,
    CommandPermitted,
    SimulationOrdered,
)
from plantops.events.governance import ActDone, ApprovalEscalated, BypassEnded, BypassGranted
from plantops.flow.replay import replay
from plantops.timer.core import Due, Timer, TimerState
from plantops.timer.process import AGAIN, is_new
from support.gate_samples import Story

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SITE, COMMAND = SiteName("demo"), CommandId("c1")
TIMER = Timer(SITE)
ASKED = ApprovalRequested(
    site=SITE,
    command=COMMAND,
    intent=Digest("i"),
    decision=Digest("d"),
    needed=1,
    roles=("supervisor",),
    expires_at=NOON,
    asset=AssetName("pump-001"),
    operation=OperationName("ResetFault"),
    arguments={},
    requester=PrincipalName("alice"),
)
DUE = Due(NOON, COMMAND, "approval")
SOON = NOON - timedelta(minutes=5)
ESCALATING = msgspec.structs.replace(ASKED, escalates_at=SOON)
GRANTED = BypassGranted(
    site=SITE,
    command=COMMAND,
    bypass=Bypass(
        bypass=COMMAND,
        asset=AssetName("pump-001"),
        permissive="cool",
        bypass_class="heat",
        owner=PrincipalName("alice"),
        reason="sensor",
        measure="hand",
        since=SOON,
        expires_at=NOON,
    ),
)


def open_now(*facts: object) -> list[tuple[str, str, datetime]]:
    """(command, purpose, due) of what is open after these words."""
    state, outputs = replay(TIMER, list(facts))  # type: ignore[arg-type]  # all are events
    assert outputs == []
    assert TIMER.load(TIMER.dump(state)) == state
    return [(each.command, each.purpose, each.due) for each in sorted(state.open.values())]


def test_a_request_for_approval_opens_a_deadline() -> None:
    state, outputs = replay(TIMER, [ASKED])
    assert (state, outputs) == (TimerState({(COMMAND, "approval"): DUE}), [])


def test_whatever_ends_the_command_closes_all_that_it_waits_for() -> None:
    ends = (
        CommandDenied(site=SITE, command=COMMAND, reason="rejected"),
        CommandCancelled(site=SITE, command=COMMAND, reason="overtaken"),
        CommandExpired(site=SITE, command=COMMAND, waiting_for="approval"),
    )
    assert len(open_now(ESCALATING)) == 2
    for end in ends:
        assert open_now(ESCALATING, end) == [], end


def test_escalation_and_approval_are_told_apart() -> None:
    assert open_now(ESCALATING) == [(COMMAND, "escalation", SOON), (COMMAND, "approval", NOON)]
    escalated = ApprovalEscalated(site=SITE, command=COMMAND, roles=("manager",))
    assert open_now(ESCALATING, escalated) == [(COMMAND, "approval", NOON)]


@pytest.mark.parametrize("late", [NOON, NOON + timedelta(seconds=1)])
def test_who_would_be_asked_too_late_is_not_asked(late: datetime) -> None:
    assert open_now(msgspec.structs.replace(ASKED, escalates_at=late)) == [(COMMAND, "approval", NOON)]


def test_a_bypass_outlives_its_act_and_ends_once() -> None:
    story = Story()
    story.ask("Mark", asset=AssetName("valve-001"))
    done = ActDone(
        site=SITE,
        command=COMMAND,
        act="act-bypass",
        text="",
        decision=story.only(CommandPermitted).decision,
    )
    assert open_now(ASKED, GRANTED, done) == [(COMMAND, "bypass", NOON)]
    ended = BypassEnded(site=SITE, command=CommandId("c2"), bypass=COMMAND, reason="time ran out")
    assert open_now(GRANTED, ended) == []


def test_a_simulation_that_nobody_answers_has_an_end_and_the_later_one_counts() -> None:
    story = Story()
    story.ask("SetSpeed", {"RPM": 1200.0})
    ordered = story.only(SimulationOrdered)
    later = ordered.permit.not_after + timedelta(seconds=30)
    simulator = msgspec.structs.replace(
        ordered, permit=msgspec.structs.replace(ordered.permit, not_after=later)
    )
    for words in ([ordered, simulator], [simulator, ordered]):
        assert open_now(*words) == [(ordered.command, "execution", later)]


def test_a_confirmed_simulation_waits_no_more() -> None:
    story = Story()
    first = story.simulated()
    words = [each.fact for each in story.own]
    assert [purpose for _command, purpose, _due in open_now(*words)] == ["confirmation"]
    story.ask("SetSpeed", {"RPM": 1200.0}, confirms=first)
    words = [each.fact for each in story.own]
    assert [purpose for _command, purpose, _due in open_now(*words)] == ["execution"]


def test_keeps_the_promises_of_a_processor() -> None:
    story = Story()
    first = story.simulated()
    story.ask("SetSpeed", {"RPM": 1200.0}, confirms=first)
    story.waiting()
    check_processor(TIMER, story.own)


def test_a_deadline_is_told_once_and_again_when_nobody_heard() -> None:
    told = {(DUE.command, DUE.purpose): (DUE, NOON)}
    assert is_new({}, DUE, NOON)
    assert not is_new(told, DUE, NOON + AGAIN / 2)
    assert is_new(told, DUE, NOON + AGAIN)
    assert is_new(told, Due(NOON + timedelta(seconds=1), COMMAND, "execution"), NOON)
    assert is_new(told, Due(NOON, COMMAND, "escalation"), NOON)
