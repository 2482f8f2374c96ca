"""The agent's core: the same events give the same requests, intents and ends, byte for byte."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from plantops.agent.conversation import Conversation, evolve, fold, stored_name
from plantops.agent.core import (
    MAX_DERIVED,
    AskModel,
    Bounds,
    EndTurn,
    MakeCalls,
    accept,
    answer,
    build_request,
    derived_from,
    end,
    intent_of,
    next_step,
    refusal,
)
from plantops.agent.port import ModelReply, ModelSaid, PersonSaid, ToolGave, request_digest
from plantops.agent.telling import turn_told
from plantops.events import Event, decode, encode
from plantops.events.base import CommandId, Digest, PrincipalName, SiteName, encode_json
from plantops.events.conversation import (
    ConversationReset,
    ModelReplied,
    ToolAnswered,
    ToolOutcome,
    TurnAsked,
    TurnEnded,
    Usage,
)
from plantops.events.provenance import Provenance
from support.agent_rig import READ, SPEED, STOP, TOOLS, says, wants

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
BOUNDS = Bounds()
SITE = SiteName("demo")
SEEN = Provenance(channel="tag", name="plc1.speed", stream="TAGS", sequence=7)


def asked(turn: int = 1, question: str = "hello", **changed: Any) -> TurnAsked:
    fields: dict[str, Any] = {
        "site": SITE,
        "conversation": "talk",
        "turn": turn,
        "question": question,
        "asker": "gateway",
        "on_behalf_of": ("alice",),
        "key": f"k{turn}",
        "asked_at": AT,
    }
    return TurnAsked(**{**fields, **changed})


def replied(state: Conversation, reply: ModelReply, bounds: Bounds = BOUNDS) -> ModelReplied:
    """`reply` to what the core asks for now."""
    step = next_step(state, bounds)
    assert isinstance(step, AskModel), step
    request = build_request(state, step, bounds, offered=TOOLS, known=TOOLS)
    return accept(request, reply, request_digest(request))


def read(state: Conversation, number: int = 1, seen: Provenance = SEEN) -> ToolAnswered:
    reply = state.turns[-1].replies[-1]
    outcome = ToolOutcome(tool="twin-get", status="read", success=True)
    return answer(reply, reply.calls[number - 1], outcome, '{"result":900}', (seen,))


def commanded(state: Conversation, number: int = 1, status: Any = "completed") -> ToolAnswered:
    reply = state.turns[-1].replies[-1]
    call = reply.calls[number - 1]
    outcome = ToolOutcome(
        tool=call.tool, status=status, success=True, command=CommandId(f"id-{call.id}"), handle="c5"
    )
    return answer(reply, call, outcome, "{}", ())


def tell(*tellers: Any) -> tuple[Conversation, list[Event]]:
    """A history: events, replies of a model, and functions of the state that give an event."""
    state, events = Conversation(), []
    for teller in tellers:
        if isinstance(teller, ModelReply):
            event: Event = replied(state, teller)
        else:
            event = teller if isinstance(teller, Event) else teller(state)
        events.append(event)
        state = evolve(state, event)
    return state, events


def ended(state: Conversation) -> TurnEnded:
    step = next_step(state, BOUNDS)
    assert isinstance(step, EndTurn)
    return step.ended


def story() -> tuple[Conversation, list[Event]]:
    return tell(
        asked(),
        wants(READ, READ),
        read,
        lambda state: read(state, 2, Provenance(channel="alarm", name="a1")),
        wants(SPEED, text="I set it"),
        commanded,
        says("done"),
        ended,
        asked(2, "and stop"),
        wants(STOP),
    )


def intent_bytes(state: Conversation) -> bytes:
    step = next_step(state, BOUNDS)
    assert isinstance(step, MakeCalls)
    intent = intent_of(
        state,
        step.reply,
        step.calls[0],
        TOOLS[1],
        actor=PrincipalName("agent"),
        model=Digest("m"),
        arguments={},
        mode="execute",
    )
    return encode_json(intent)


def test_the_same_events_give_the_same_requests_and_intents_byte_for_byte() -> None:
    (one, events), (two, again) = story(), story()
    assert list(map(encode, events)) == list(map(encode, again))
    stored = fold(decode(encode(event)) for event in events)
    assert intent_bytes(one) == intent_bytes(two) == intent_bytes(stored)
    for cut in range(1, len(events)):
        here, there = fold(events[:cut]), fold(decode(encode(event)) for event in events[:cut])
        step = next_step(here, BOUNDS)
        assert step == next_step(there, BOUNDS)
        if isinstance(step, AskModel):
            first, second = (
                build_request(state, step, BOUNDS, offered=TOOLS, known=TOOLS) for state in (here, there)
            )
            assert encode_json(first) == encode_json(second)
            assert request_digest(first) == request_digest(second)


def test_an_intent_is_bound_to_its_place_in_the_conversation_and_to_the_question() -> None:
    state, _events = story()
    told = msgspec.json.decode(intent_bytes(state))
    assert told["key"] == "talk/t2s1c1"
    assert told["on_behalf_of"] == ["gateway", "alice"]
    assert told["issued_at"] == "2026-03-01T12:00:00Z"
    assert told["derived_from"] == ["tag:plc1.speed@TAGS:7", "alarm:a1"]


def test_a_proposal_does_not_rest_on_what_its_own_reply_led_to() -> None:
    state, _events = tell(asked(), wants(READ, STOP), read)
    step = next_step(state, BOUNDS)
    assert isinstance(step, MakeCalls)
    assert msgspec.json.decode(intent_bytes(state))["derived_from"] == []


def test_the_model_is_shown_words_calls_and_data_apart_and_in_order() -> None:
    state, _events = tell(
        asked(), wants(READ), read, says("900"), ended, asked(2, "stop"), wants(STOP), commanded
    )
    request = build_request(state, AskModel(2, is_last=False), BOUNDS, offered=TOOLS, known=())
    kinds = [PersonSaid, ModelSaid, ToolGave, ModelSaid, PersonSaid, ModelSaid, ToolGave]
    assert [type(part) for part in request.parts] == kinds
    assert request.chain == ("gateway", "alice")
    assert request.person == "alice"
    assert (request.facts.last_command, request.facts.last_handle) == ("id-t2s1c1", "c5")


def test_a_command_that_waits_is_a_fact_and_stands_in_the_end() -> None:
    state, _events = tell(
        asked(), wants(SPEED), lambda state: commanded(state, 1, "pending_approval"), says("it waits")
    )
    end_of_it = ended(state)
    assert (end_of_it.pending_approval, end_of_it.waiting_for, end_of_it.handle) == (True, "id-t1s1c1", "c5")
    request = build_request(state, AskModel(2, is_last=False), BOUNDS, offered=(), known=())
    assert (request.facts.waiting_for, request.facts.waiting_handle) == ("id-t1s1c1", "c5")


def test_old_turns_are_left_out_whole_and_what_they_saw_is_not_forgotten() -> None:
    turns: list[Any] = []
    for number in range(1, 6):
        turns += [asked(number, f"q{number}"), wants(READ), read, says("x" * 100), ended]
    state, _events = tell(*turns, asked(6, "stop"), wants(STOP))
    small = Bounds(shown_characters=300)
    request = build_request(state, AskModel(1, is_last=False), small, offered=(), known=())
    assert [part.text for part in request.parts if isinstance(part, PersonSaid)] == ["q4", "q5", "stop"]
    none = build_request(state, AskModel(1, is_last=False), Bounds(shown_turns=0), offered=(), known=())
    assert [part.text for part in none.parts if isinstance(part, PersonSaid)] == ["stop"]
    assert msgspec.json.decode(intent_bytes(state))["derived_from"] == ["tag:plc1.speed@TAGS:7"]


def test_after_a_reset_nothing_of_before_is_shown_or_named() -> None:
    reset = ConversationReset(site=SITE, conversation="talk", turn=1, by=PrincipalName("alice"))
    state, _events = tell(
        asked(), wants(READ), read, says("900"), ended, reset, asked(2, "stop"), wants(STOP)
    )
    request = build_request(state, AskModel(1, is_last=False), BOUNDS, offered=(), known=())
    assert [part.text for part in request.parts if isinstance(part, PersonSaid)] == ["stop"]
    assert msgspec.json.decode(intent_bytes(state))["derived_from"] == []


def test_calls_that_were_never_answered_are_not_shown_as_made() -> None:
    state, _events = tell(
        asked(),
        wants(READ, STOP),
        read,
        lambda state: end(state.turns[-1], "cancelled", "Cancelled."),
        asked(2, "go on"),
    )
    request = build_request(state, AskModel(1, is_last=False), BOUNDS, offered=(), known=())
    said = [part for part in request.parts if isinstance(part, ModelSaid)]
    assert [len(part.calls) for part in said] == [1, 0]
    assert said[1].text == "Cancelled."


def test_a_late_turn_ends_and_tells_what_may_have_been_commanded() -> None:
    state, _events = tell(asked(), wants(SPEED, STOP), commanded)
    step = next_step(state, BOUNDS, is_late=True)
    assert isinstance(step, EndTurn)
    assert step.ended.status == "failed"
    assert "pump-001__SetSpeed (c5): completed" in step.ended.reply
    assert "pump-001__StopPump: perhaps" in step.ended.reply


def test_a_turn_that_took_its_tokens_ends() -> None:
    reply = msgspec.structs.replace(wants(READ), usage=Usage(input_tokens=90, output_tokens=10))
    state, _events = tell(asked(), reply, read)
    step = next_step(state, Bounds(tokens=100))
    assert isinstance(step, EndTurn)
    assert step.ended.status == "over_budget"


def test_the_last_step_makes_no_calls() -> None:
    bounds = Bounds(steps=1)
    state = evolve(Conversation(), asked())
    state = evolve(state, replied(state, wants(STOP, text="I would stop"), bounds))
    step = next_step(state, bounds)
    assert isinstance(step, EndTurn)
    assert (step.ended.reply, step.ended.outcomes) == ("I would stop", ())


def test_calls_beyond_the_bound_are_refused_not_forgotten() -> None:
    state, _events = tell(asked(), wants(READ, READ, READ))
    step = next_step(state, Bounds(calls=2))
    assert isinstance(step, MakeCalls)
    assert [call.id for call in step.calls] == ["t1s1c1", "t1s1c2"]
    assert [call.id for call in step.excess] == ["t1s1c3"]
    refused = refusal(step.reply, step.excess[0], "too many")
    assert (refused.outcome.status, refused.content) == ("failed", '{"error":"too many"}')


@pytest.mark.parametrize(
    "stray",
    [
        lambda _state: asked(3),
        lambda _state: asked(1),
        lambda state: msgspec.structs.replace(state.turns[0].replies[0], step=3),
        lambda state: msgspec.structs.replace(read(state), call="t9s9c9"),
        lambda state: msgspec.structs.replace(read(state), turn=2),
        lambda _state: ConversationReset(site=SITE, conversation="talk", turn=9, by=PrincipalName("x")),
    ],
)
def test_an_event_that_does_not_follow_changes_nothing(stray: Any) -> None:
    state, _events = tell(asked(), wants(READ))
    assert evolve(state, stray(state)) == state


def test_two_persons_with_one_name_for_a_conversation_have_two() -> None:
    alice, bob = (stored_name(PrincipalName(name), "default") for name in ("alice", "bob"))
    assert alice != bob
    assert alice.endswith("-default")
    assert len(stored_name(PrincipalName("alice"), "x" * 64)) == 64
    with pytest.raises(ValueError, match="cannot name a conversation"):
        stored_name(PrincipalName("alice"), "a.b")


def test_more_names_than_the_door_takes_are_counted_and_bound_by_a_digest() -> None:
    seen = [Provenance(channel="tag", name=f"t{number}") for number in range(100)]
    names = derived_from(seen)
    assert len(names) == MAX_DERIVED
    assert names[-1].startswith("more:37@")
    assert names[-1] != derived_from([*seen[:-1], Provenance(channel="tag", name="other")])[-1]


def test_what_was_read_twice_is_named_once_as_read_last() -> None:
    again = msgspec.structs.replace(SEEN, sequence=9)
    assert derived_from((SEEN, again)) == ("tag:plc1.speed@TAGS:9",)


def test_a_turn_that_read_more_than_an_answer_holds_is_told_without_the_rest() -> None:
    large = encode_json({"result": "x" * 60_000}).decode()

    def much(number: int) -> Any:
        return lambda state: msgspec.structs.replace(read(state, number), content=large)

    state, _events = tell(asked(), wants(*[READ] * 5), *map(much, range(1, 6)), says("seen"), ended)
    told = turn_told("one", state, state.turns[0], None)
    assert [one.result is None for one in told.outcomes] == [False, False, False, True, True]
    assert len(encode_json(told)) < 1024 * 1024
