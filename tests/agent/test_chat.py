"""A conversation as whoever asks meets it, on a real broker."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from plantops.agent.conversation import stored_name
from plantops.agent.port import ModelRequest, ModelSaid, ModelUnavailable, OnText, PersonSaid, ToolGave
from plantops.agent.settings import AgentSettings, TurnSettings
from plantops.agent.specs import AGENT
from plantops.events.base import PrincipalName
from plantops.events.chatting import (
    ResetAsked,
    ResetDone,
)
from plantops.events.command_parts import Intent
from plantops.events.conversation import (
    BudgetCharged,
    ModelReplied,
    ToolAnswered,
    TurnAsked,
    TurnEnded,
)
from support.agent_rig import READ, SPEED, STOP, AgentRig, ScriptedModel, says, tag_told, wants
from support.gate_samples import PLANT, SITE
from support.nats import until

ALICE = PrincipalName("alice")


def only_intent(rig: AgentRig) -> Intent:
    (intent,) = rig.gate.intents.values()
    return intent


async def test_answers_a_question_and_stores_three_events(rig: AgentRig) -> None:
    async with rig.host(ScriptedModel({"hello": [says("good morning")]})):
        told = await rig.chat("hello")
    assert (told.status, told.text, told.outcomes) == ("answered", "good morning", ())
    assert await rig.kinds() == ["TurnAsked", "ModelReplied", "TurnEnded"]


async def test_a_command_is_asked_of_the_gate_in_the_persons_name_and_told(rig: AgentRig) -> None:
    model = ScriptedModel({"speed up": [wants(SPEED), says("it runs at 1200")]})
    async with rig.host(model):
        told = await rig.chat("speed up")
    intent = only_intent(rig)
    assert (intent.actor, intent.on_behalf_of) == (AGENT, ("alice",))
    assert (intent.asset, intent.operation) == ("pump-001", "SetSpeed")
    assert (intent.arguments, intent.mode, intent.model) == ({"RPM": 1200.0}, "execute", PLANT.digest)
    assert intent.derived_from == ()
    (outcome,) = told.outcomes
    assert (outcome.status, outcome.success, outcome.handle) == ("completed", True, "c1")
    assert told.text == "it runs at 1200"


async def test_a_chat_with_one_command_stores_five_events_and_one_account(rig: AgentRig) -> None:
    async with rig.host(ScriptedModel({"speed up": [wants(SPEED), says("done")]})):
        await rig.chat("speed up")
    kinds = ["TurnAsked", "ModelReplied", "ToolAnswered", "ModelReplied", "TurnEnded"]
    assert await rig.kinds() == kinds
    accounts = [event for event in await rig.stored() if isinstance(event, BudgetCharged)]
    assert [(one.identity, one.turns, one.calls) for one in accounts] == [("alice", 1, 2)]


async def test_what_tools_gave_goes_back_to_the_model_as_data_with_provenance(rig: AgentRig) -> None:
    model = ScriptedModel({"how fast?": [wants(READ), says("900 rpm")]})
    async with rig.host(model):
        told = await rig.chat("how fast?")
    assert told.outcomes[0].result == {"value": 900.0}
    shown = model.requests[1].parts
    assert [type(part) for part in shown] == [PersonSaid, ModelSaid, ToolGave]
    assert isinstance(shown[2], ToolGave)
    assert shown[2].content == '{"result":{"value":900.0}}'
    assert [(one.channel, one.sequence) for one in shown[2].provenance] == [("tag", 7)]


async def test_an_intent_names_everything_that_the_model_had_read(rig: AgentRig) -> None:
    model = ScriptedModel({"half of it": [wants(READ), wants(SPEED), says("done")]})
    async with rig.host(model):
        await rig.chat("half of it")
    assert only_intent(rig).derived_from == ("tag:plc1.setpoint@TAGS:7",)


async def test_what_was_read_in_a_turn_before_is_named_too_until_the_reset(rig: AgentRig) -> None:
    model = ScriptedModel({"look": [wants(READ), says("900")], "go": [wants(SPEED), says("done")]})
    async with rig.host(model):
        await rig.chat("look", conversation="one")
        await rig.chat("go", conversation="one")
        assert only_intent(rig).derived_from == ("tag:plc1.setpoint@TAGS:7",)
        assert await rig.request("reset", ResetAsked(conversation="one"), ResetDone)
        await rig.chat("go", conversation="one")
    assert list(rig.gate.intents.values())[1].derived_from == ()
    last = [part for part in model.requests[-1].parts if isinstance(part, PersonSaid)]
    assert [part.text for part in last] == ["go"]


async def test_a_read_that_fails_leaves_its_words_untrusted(rig: AgentRig) -> None:
    rig.tools.results.clear()
    model = ScriptedModel({"half of it": [wants(READ), wants(SPEED), says("done")]})
    async with rig.host(model):
        await rig.chat("half of it")
    assert only_intent(rig).derived_from == ("device:tool-twin-get",)


async def test_reads_of_one_reply_run_at_the_same_time(rig: AgentRig) -> None:
    rig.tools.meeting = asyncio.Barrier(3)
    model = ScriptedModel({"look": [wants(READ, READ, READ), says("seen")]})
    async with rig.host(model):
        told = await rig.chat("look")
    assert [one.status for one in told.outcomes] == ["read"] * 3


async def test_simulate_is_a_mode_and_no_argument(rig: AgentRig) -> None:
    call = (SPEED[0], {"RPM": 1200.0, "simulate": True, "reason": "only to see"})
    async with rig.host(ScriptedModel({"what if": [wants(call), says("it would")]})):
        told = await rig.chat("what if")
    intent = only_intent(rig)
    assert (intent.mode, intent.arguments, intent.reason) == ("simulate", {"RPM": 1200.0}, "only to see")
    assert (told.outcomes[0].status, told.outcomes[0].simulated) == ("simulated_only", True)


@pytest.mark.parametrize(
    ("course", "status", "pending"),
    [
        ({"phase": "denied", "outcome": "", "reason": "too hot"}, "denied", False),
        ({"phase": "waiting", "outcome": ""}, "pending_approval", True),
        ({"phase": "simulated", "outcome": "", "next": "confirm"}, "pending_approval", True),
        ({"outcome": "command.failed", "reason": "no answer"}, "failed", False),
        ({"outcome": "command.outcome_unknown"}, "unknown", False),
        ({"phase": "expired", "outcome": ""}, "failed", False),
    ],
)
async def test_what_the_gate_says_becomes_the_outcome(
    rig: AgentRig, course: dict[str, str], status: str, pending: bool
) -> None:
    rig.gate.course["SetSpeed"] = course
    async with rig.host(ScriptedModel({"speed up": [wants(SPEED), says("well")]})):
        told = await rig.chat("speed up")
    (outcome,) = told.outcomes
    assert (outcome.status, told.pending_approval) == (status, pending)
    assert told.handle == ("c1" if pending else "")
    assert course.get("reason", "") in outcome.error


async def test_a_command_that_takes_longer_is_told_as_unknown(rig: AgentRig) -> None:
    rig.gate.course["SetSpeed"] = {"phase": "permitted", "outcome": ""}
    settings = AgentSettings(turn=TurnSettings(follow_seconds=0.3))
    async with rig.host(ScriptedModel({"go": [wants(SPEED), says("well")]}), settings):
        told = await rig.chat("go")
    assert (told.outcomes[0].status, told.outcomes[0].error) == ("unknown", "still under way: permitted")


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (("pump-001__SetSpeed", {"RPM": 4000.0}), "outside"),
        (("pump-001__SetSpeed", {"RPM": "fast"}), "finite number"),
        (("pump-001__SetSpeed", {}), "missing"),
        (("pump-001__SetSpeed", {"RPM": 1.0, "confirms": "c1"}), "no argument"),
        (("pump-001__SetSpeed", {"RPM": [1]}), "single value"),
        (("pump-001__SetSpeed", {"RPM": 1.0, "simulate": "no"}), "true or false"),
        (("approve", {"command": "c1"}), "no tool"),
    ],
)
async def test_a_call_that_does_not_fit_never_leaves(
    rig: AgentRig, call: tuple[str, dict[str, object]], reason: str
) -> None:
    async with rig.host(ScriptedModel({"go": [wants(call), says("no")]})):
        told = await rig.chat("go")
    assert rig.gate.intents == {}
    assert (told.outcomes[0].status, told.outcomes[0].success) == ("failed", False)
    assert reason in told.outcomes[0].error


async def test_a_tool_that_was_not_offered_is_not_called(rig: AgentRig) -> None:
    model = ScriptedModel({"go": [wants(("valve-001__SetPosition", {"PERCENT": 1.0})), says("no")]})
    model.most_tools = 2
    async with rig.host(model):
        told = await rig.chat("go")
    assert "no tool" in told.outcomes[0].error
    assert rig.gate.intents == {}


async def test_a_reply_may_not_want_more_than_its_calls(rig: AgentRig) -> None:
    settings = AgentSettings(turn=TurnSettings(calls=2))
    async with rig.host(ScriptedModel({"look": [wants(READ, READ, READ), says("seen")]}), settings):
        told = await rig.chat("look")
    assert [one.status for one in told.outcomes] == ["read", "read", "failed"]
    assert "at most 2 calls" in told.outcomes[2].error


async def test_a_model_that_never_ends_is_ended(rig: AgentRig) -> None:
    settings = AgentSettings(turn=TurnSettings(steps=3))
    model = ScriptedModel({"loop": [wants(READ), wants(READ), wants(READ, text="still looking")]})
    async with rig.host(model, settings):
        told = await rig.chat("loop")
    assert (told.status, told.text, len(told.outcomes)) == ("answered", "still looking", 2)
    assert [(request.is_last, len(request.tools)) for request in model.requests] == [
        (False, 4),
        (False, 4),
        (True, 0),
    ]


async def test_a_gate_that_refuses_at_the_door_is_told(rig: AgentRig) -> None:
    rig.gate.refuses = "not_trusted"
    async with rig.host(ScriptedModel({"stop": [wants(STOP), says("no")]})):
        told = await rig.chat("stop")
    assert (told.outcomes[0].status, told.outcomes[0].command) == ("denied", "")


async def test_without_a_model_the_turn_fails_and_says_so(rig: AgentRig) -> None:
    def away(_request: ModelRequest, _on_text: OnText) -> None:
        raise ModelUnavailable("no provider answers")

    async with rig.host(ScriptedModel(before=away)):
        told = await rig.chat("hello")
    assert told.status == "failed"
    assert "no provider answers" in told.text


async def test_a_model_that_hangs_is_given_up(rig: AgentRig) -> None:
    model = ScriptedModel(before=lambda _request, _on_text: asyncio.Event().wait())
    settings = AgentSettings(turn=TurnSettings(model_seconds=0.2))
    async with rig.host(model, settings):
        told = await rig.chat("hello")
    assert told.status == "failed"


async def test_who_stands_in_for_a_model_that_took_all_its_time_is_still_heard(rig: AgentRig) -> None:
    async def all_of_it(request: ModelRequest, _on_text: OnText) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(request.limits.seconds):
                await asyncio.Event().wait()

    model = ScriptedModel({"hello": [says("I stand in")]}, before=all_of_it)
    async with rig.host(model, AgentSettings(turn=TurnSettings(model_seconds=0.3))):
        told = await rig.chat("hello")
    assert (told.status, told.text) == ("answered", "I stand in")


async def test_the_words_are_told_while_they_come(rig: AgentRig) -> None:
    more = asyncio.Event()

    async def slowly(_request: ModelRequest, on_text: OnText) -> None:
        on_text("one ")
        await more.wait()

    async with rig.host(ScriptedModel({"count": [says("two")]}, before=slowly)):
        taken = await rig.ask("count")
        told = await rig.watch(taken)
        while not told.text:
            told = await rig.watch(taken, after=told.revision)
        assert (told.status, told.text) == ("open", "one ")
        more.set()
        told = await rig.answered(taken)
        assert (told.status, told.text) == ("answered", "two")


async def test_a_host_that_does_not_work_on_a_turn_tells_what_is_stored(rig: AgentRig) -> None:
    more = asyncio.Event()

    async def slowly(request: ModelRequest, _on_text: OnText) -> None:
        if request.step > 1:
            await more.wait()

    model = ScriptedModel({"go": [wants(SPEED, text="I ask"), says("done")]}, before=slowly)
    async with rig.host(model):
        taken = await rig.ask("go")
        async with rig.host(ScriptedModel()):

            async def commanded() -> bool:
                return bool((await rig.watch(taken, wait=0.0)).outcomes)

            for _ in range(8):  # either host is asked
                await until(commanded)
            more.set()
            assert (await rig.answered(taken)).text == "done"
    assert len(rig.gate.intents) == 1


async def test_a_turn_that_nobody_answered_in_time_is_ended_and_nothing_commanded(rig: AgentRig) -> None:
    clock = [datetime.now(UTC)]
    model = ScriptedModel({"stop": [wants(STOP), says("done")]})
    hangs = ScriptedModel(before=lambda _request, _on_text: asyncio.Event().wait())
    async with rig.host(hangs):
        taken = await rig.ask("stop")
        await until(lambda: bool(hangs.requests))
    clock[0] += timedelta(hours=1)
    async with rig.host(model, now=lambda: clock[0]):
        told = await rig.answered(taken)
    assert (told.status, rig.gate.intents) == ("failed", {})


async def test_two_hosts_answer_many_turns_each_once(rig: AgentRig) -> None:
    model = ScriptedModel({"go": [wants(SPEED), says("done")]})
    async with rig.host(model), rig.host(model):
        taken = await asyncio.gather(*(rig.ask("go") for _ in range(12)))
        told = await asyncio.gather(*(rig.answered(one) for one in taken))
    assert {one.status for one in told} == {"answered"}
    assert len(rig.gate.intents) == 12
    assert (await rig.kinds()).count("TurnEnded") == 12


async def test_what_is_stored_names_who_asked_and_what_was_offered(rig: AgentRig) -> None:
    async with rig.host(ScriptedModel({"stop": [wants(STOP), says("done")]})):
        await rig.chat("stop", conversation="one", key="k")
    name = stored_name(ALICE, "one")
    asked, replied, answered, *_rest, ended = await rig.stored(f"agent.{SITE}.{name}.>")
    assert isinstance(asked, TurnAsked)
    assert (asked.asker, asked.question, asked.key) == ("alice", "stop", "k")
    assert isinstance(replied, ModelReplied)
    assert replied.offered == tuple(tool.name for tool in rig.tools.tools)
    assert [call.id for call in replied.calls] == ["t1s1c1"]
    assert isinstance(answered, ToolAnswered)
    assert answered.outcome.command in rig.gate.intents
    assert isinstance(ended, TurnEnded)
    assert ended.outcomes == (answered.outcome,)


async def test_a_catalogue_of_many_pages_is_known_whole(rig: AgentRig) -> None:
    rig.tools.page = 1
    async with rig.host(ScriptedModel({"stop": [wants(STOP), says("done")]})):
        await rig.chat("stop", conversation="one")
    stored = await rig.stored(f"agent.{SITE}.{stored_name(ALICE, 'one')}.>")
    replied = next(event for event in stored if isinstance(event, ModelReplied))
    assert replied.offered == tuple(tool.name for tool in rig.tools.tools)
    assert len(rig.tools.tools) > 1


async def test_another_page_is_asked_for_by_its_cursor(rig: AgentRig) -> None:
    rig.tools.results["twin-get"] = msgspec.structs.replace(tag_told(1.0), next="p2")
    call = (READ[0], {**READ[1], "cursor": "p1"})
    model = ScriptedModel({"look": [wants(call), says("seen")]})
    async with rig.host(model):
        await rig.chat("look")
    called = [asked for verb, asked in rig.tools.asked if verb == "call"]
    assert [(one.cursor, one.arguments) for one in called] == [("p1", READ[1])]  # type: ignore[attr-defined]
    shown = model.requests[1].parts[-1]
    assert isinstance(shown, ToolGave)
    assert '"next":"p2"' in shown.content
