"""A command is followed by what is heard of it; the gate is asked where it stands when it may rest."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from plantops.events.base import AssetName, CommandId, OperationName, PrincipalName
from plantops.events.queries import CommandStatus
from plantops.gateway import asking
from plantops.gateway.asking import until_rest
from plantops.gateway.desk import Desk
from plantops.gateway.live import Follower

COMMAND = "5cb24f868d2c1109e794d094"
DONE = "command.executed"


def standing(phase: str, outcome: str = "") -> CommandStatus:
    return CommandStatus(
        command=CommandId(COMMAND),
        handle="c1",
        asset=AssetName("pump-001"),
        operation=OperationName("StartPump"),
        arguments={},
        actor=PrincipalName("gateway"),
        phase=cast("Any", phase),
        reason="",
        outcome=cast("Any", outcome),
        asked_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


@dataclass
class Gate:
    """Tells where the command stands, each time the next of `told`, the last one for ever."""

    told: list[CommandStatus]
    asked: int = 0

    async def command(self, _command: str) -> CommandStatus:
        self.asked += 1
        return self.told[min(self.asked, len(self.told)) - 1]


async def followed(gate: Gate, follower: Follower, **how: Any) -> asyncio.Task[CommandStatus | None]:
    """A wait that has begun to listen."""
    waiting = asyncio.create_task(until_rest(cast("Desk", gate), follower, COMMAND, 10.0, **how))
    for _ in range(5):
        await asyncio.sleep(0)
    return waiting


async def test_nobody_is_asked_while_it_is_on_its_way() -> None:
    gate, follower = Gate([standing("permitted", DONE)]), Follower()
    waiting = await followed(gate, follower, is_new=True)
    for verb in ("permitted", "claimed", "progressed"):
        follower.hear(f"command.{verb}", b"{}")
        for _ in range(5):
            await asyncio.sleep(0)
    assert gate.asked == 0
    follower.hear(DONE, b"{}")
    found = await waiting
    assert found is not None
    assert (found.outcome, gate.asked) == (DONE, 1)


async def test_what_the_gate_folds_a_moment_later_is_asked_again() -> None:
    gate, follower = Gate([standing("permitted"), standing("permitted", DONE)]), Follower()
    waiting = await followed(gate, follower, is_new=True)
    follower.hear(DONE, b"{}")
    found = await waiting
    assert found is not None
    assert (found.outcome, gate.asked) == (DONE, 2)


async def test_what_was_not_heard_is_found_by_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_FIRST_SECONDS", 0.01)
    gate = Gate([standing("permitted"), standing("permitted"), standing("denied")])
    found = await (await followed(gate, Follower()))
    assert found is not None
    assert (found.phase, gate.asked) == ("denied", 3)


async def test_who_waits_for_any_change_hears_all() -> None:
    gate, follower = Gate([standing("permitted"), standing("permitted", "command.claimed")]), Follower()
    waiting = await followed(gate, follower, rests=False)
    follower.hear("command.claimed", b"{}")
    found = await waiting
    assert found is not None
    assert (found.outcome, gate.asked) == ("command.claimed", 2)


async def test_what_rests_already_is_told_at_once() -> None:
    gate = Gate([standing("denied")])
    found = await (await followed(gate, Follower()))
    assert found is not None
    assert (found.phase, gate.asked) == ("denied", 1)
