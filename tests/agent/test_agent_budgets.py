"""What one identity may use of turns, tokens and money."""

from __future__ import annotations

import asyncio

import msgspec

from plantops.agent.settings import AgentSettings, BudgetSettings
from plantops.events.base import PrincipalName
from plantops.events.chatting import (
    ChatAsked,
)
from plantops.events.conversation import (
    BudgetCharged,
    Usage,
)
from support.agent_rig import READ, AgentRig, ScriptedModel, says, wants

ALICE = PrincipalName("alice")


async def test_a_budget_of_turns_survives_a_restart(rig: AgentRig) -> None:
    settings = AgentSettings(budget=BudgetSettings(turns=2))
    async with rig.host(ScriptedModel(), settings):
        await rig.chat("one")
    async with rig.host(ScriptedModel(), settings):
        await rig.chat("two")
        for _ in range(2):
            told = await rig.refused("ask", ChatAsked(message="three"))
            assert told.code == "over_budget"
        await rig.chat("hello", by="bob")
    kinds = [type(event).__name__ for event in await rig.stored()]
    assert kinds.count("BudgetExceeded") == 1


async def test_tokens_and_money_are_charged_and_end_the_turn(rig: AgentRig) -> None:
    reply = msgspec.structs.replace(wants(READ), usage=Usage(input_tokens=900, output_tokens=100))
    settings = AgentSettings(budget=BudgetSettings(tokens=1000))
    async with rig.host(ScriptedModel({"look": [reply, says("never said")]}), settings):
        told = await rig.chat("look")
    assert told.status == "over_budget"
    assert "tokens" in told.text
    accounts = [event for event in await rig.stored() if isinstance(event, BudgetCharged)]
    assert (accounts[-1].input_tokens, accounts[-1].output_tokens) == (900, 100)


async def test_no_more_turns_wait_at_once_than_an_identity_may_have(rig: AgentRig) -> None:
    settings = AgentSettings(budget=BudgetSettings(open_turns=2))
    gate = asyncio.Event()
    model = ScriptedModel(before=lambda _request, _on_text: gate.wait())
    async with rig.host(model, settings):
        taken = [await rig.ask("one"), await rig.ask("two")]
        assert (await rig.refused("ask", ChatAsked(message="three"))).code == "busy"
        gate.set()
        for one in taken:
            await rig.answered(one)
        await rig.chat("three")
