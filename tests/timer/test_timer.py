"""The timer: deadlines open with the gate's words, close with the next one, and are told until heard."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from plantops.events.base import AssetName, CommandId, Digest, OperationName, PrincipalName, SiteName
from plantops.events.commands import ApprovalRequested, CommandCancelled, CommandDenied, CommandExpired
from plantops.flow.replay import replay
from plantops.timer.core import Due, Timer, TimerState
from plantops.timer.process import AGAIN, is_new

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


def test_a_request_for_approval_opens_a_deadline() -> None:
    state, outputs = replay(TIMER, [ASKED])
    assert (state, outputs) == (TimerState({COMMAND: DUE}), [])


def test_whatever_ends_the_command_closes_it() -> None:
    ends = (
        CommandDenied(site=SITE, command=COMMAND, reason="rejected"),
        CommandCancelled(site=SITE, command=COMMAND, reason="overtaken"),
        CommandExpired(site=SITE, command=COMMAND, waiting_for="approval"),
    )
    for end in ends:
        state, _outputs = replay(TIMER, [ASKED, end])
        assert state.open == {}, end


def test_a_deadline_is_told_once_and_again_when_nobody_heard() -> None:
    told = {COMMAND: (DUE, NOON)}
    assert is_new({}, DUE, NOON)
    assert not is_new(told, DUE, NOON + AGAIN / 2)
    assert is_new(told, DUE, NOON + AGAIN)
    assert is_new(told, Due(NOON + timedelta(seconds=1), COMMAND, "execution"), NOON)
