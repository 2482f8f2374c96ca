"""Many at once, and the same words by different people: nobody's answer gets lost or lent."""

from __future__ import annotations

import asyncio

import pytest

from plantops.cli.approvals import give
from plantops.events.queries import ApprovalsListed
from support.site import RunningSite, ask, follow


@pytest.fixture(autouse=True)
async def mended(demo: RunningSite) -> None:
    """Each test begins with a healthy plant at rest."""
    await demo.plant({"clear": "all"})
    await demo.healthy()


async def test_ten_critical_commands_asked_at_once_all_wait_for_their_approval(demo: RunningSite) -> None:
    async with demo.people("alice", "bob") as (alice, bob):
        await ask(bob, "pump-001.StopPump")
        await demo.standing(alice)
        before = await demo.plant({"state": True})
        asked = await asyncio.gather(*(ask(alice, "pump-001.ResetFault") for _ in range(10)))
        assert [each.phase for each in asked] == ["waiting"] * 10, asked
        listed = await bob.ask("command", "approvals", None, ApprovalsListed)
        assert {each.command for each in asked} <= {each.command for each in listed.waiting}
        for each in asked:
            await give(bob, each.handle, "reject", "only a test")
    assert (await demo.plant({"state": True}))["writes_reset"] == before["writes_reset"]


async def test_the_same_key_of_another_person_is_another_command_and_judged_anew(demo: RunningSite) -> None:
    async with demo.people("alice", "carol") as (alice, carol):
        words = alice.intent("valve-001", "SetPosition", {"PERCENT": 33.0}, key="shared-key")
        done = await follow(alice, words)
        assert done.outcome == "command.executed", done
        hers = carol.intent("valve-001", "SetPosition", {"PERCENT": 33.0}, key="shared-key")
        denied = await follow(carol, hers)
    assert denied.command != done.command
    assert (denied.phase, denied.outcome) == ("denied", "")
    assert denied.reason.startswith("role")
