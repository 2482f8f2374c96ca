"""Whose word counts at the chat's door, and whose conversation is whose."""

from __future__ import annotations

import asyncio

import pytest

from plantops.agent.specs import AGENT
from plantops.events.base import PrincipalName
from plantops.events.chatting import (
    ChatAsked,
    ChatTaken,
    ConversationsAsked,
    ConversationTold,
    ResetAsked,
    ResetDone,
    TurnAskedFor,
)
from plantops.events.command_parts import Intent
from plantops.events.queries import ProblemDetail
from support.agent_rig import SPEED, AgentRig, ScriptedModel, says, wants

ALICE = PrincipalName("alice")


def only_intent(rig: AgentRig) -> Intent:
    (intent,) = rig.gate.intents.values()
    return intent


async def test_the_same_key_is_the_same_turn_also_without_a_conversation(rig: AgentRig) -> None:
    async with rig.host(ScriptedModel()):
        first = await rig.ask("hello", key="k1")
        again = await rig.ask("hello", key="k1")
        assert (again.conversation, again.turn, again.repeated) == (first.conversation, 1, True)
        other = await rig.refused("ask", ChatAsked(message="bye", key="k1"))
        assert other.code == "key_conflict"
        await rig.answered(first)
    assert (await rig.kinds()).count("TurnAsked") == 1


async def test_one_turn_at_a_time_and_a_reset_ends_it(rig: AgentRig) -> None:
    model = ScriptedModel(before=lambda _request, _on_text: asyncio.Event().wait())
    async with rig.host(model):
        taken = await rig.ask("hello", conversation="one")
        told = await rig.refused("ask", ChatAsked(message="again", conversation="one"))
        assert told.code == "turn_open"
        assert await rig.request("reset", ResetAsked(conversation="one"), ResetDone)
        assert (await rig.watch(taken)).status == "cancelled"


async def test_a_conversation_belongs_to_its_person(rig: AgentRig) -> None:
    async with rig.host(ScriptedModel({"secret": [says("of alice")]})):
        await rig.chat("secret", conversation="one")
        told = await rig.refused("watch", TurnAskedFor(conversation="one", turn=1), by="bob")
        assert told.code == "unknown_turn"
        listed = await rig.request("list", ConversationsAsked(conversation="one"), ConversationTold, "bob")
        assert isinstance(listed, ConversationTold)
        assert listed.turns == ()
        mine = await rig.request("list", ConversationsAsked(conversation="one"), ConversationTold)
        assert isinstance(mine, ConversationTold)
        assert [(one.question, one.reply) for one in mine.turns] == [("secret", "of alice")]


async def test_a_gateway_asks_for_a_person_whose_conversation_it_is(rig: AgentRig) -> None:
    model = ScriptedModel({"go": [wants(SPEED), says("done")]})
    async with rig.host(model):
        await rig.chat("go", by="gateway", conversation="one", on_behalf_of=(ALICE,))
        mine = await rig.request("list", ConversationsAsked(conversation="one"), ConversationTold)
    assert only_intent(rig).on_behalf_of == ("gateway", "alice")
    assert isinstance(mine, ConversationTold)
    assert len(mine.turns) == 1
    assert model.requests[0].person == "alice"


@pytest.mark.parametrize(
    ("by", "on_behalf_of", "code"),
    [
        ("bob", ("alice",), "wrong_chain"),
        ("gateway", ("mallory",), "unknown_principal"),
        ("gateway", ("gate",), "wrong_chain"),
        ("gateway", ("alice", "bob"), "wrong_chain"),
        ("gateway", (AGENT, "alice"), "wrong_chain"),
        (AGENT, (), "wrong_chain"),
        (AGENT, ("alice",), "wrong_chain"),
    ],
)
async def test_a_chain_is_believed_from_programs_for_persons_only(
    rig: AgentRig, by: str, on_behalf_of: tuple[PrincipalName, ...], code: str
) -> None:
    async with rig.host(ScriptedModel()):
        told = await rig.refused("ask", ChatAsked(message="hi", on_behalf_of=on_behalf_of), by=by)
    assert told.code == code
    assert await rig.stored() == []


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (ChatAsked(message="x" * 4001), "too_large"),
        (ChatAsked(message="  "), "malformed"),
        (ChatAsked(message="hi", conversation="a.b"), "malformed"),
        (ChatAsked(message="hi", key="k" * 129), "too_large"),
    ],
)
async def test_what_does_not_fit_is_refused_at_the_door(rig: AgentRig, asked: ChatAsked, code: str) -> None:
    async with rig.host(ScriptedModel()):
        assert (await rig.refused("ask", asked)).code == code
    assert await rig.stored() == []


async def test_of_questions_at_two_hosts_at_once_one_is_taken(rig: AgentRig) -> None:
    model = ScriptedModel(before=lambda _request, _on_text: asyncio.Event().wait())
    async with rig.host(model), rig.host(model):
        answers = await asyncio.gather(
            *(
                rig.request("ask", ChatAsked(message=f"go {number}", conversation="one"), ChatTaken)
                for number in range(8)
            )
        )
        refused = [one.code for one in answers if isinstance(one, ProblemDetail)]
        assert refused == ["turn_open"] * 7
        assert (await rig.kinds()).count("TurnAsked") == 1
