"""Who asks from outside is told what to do next, whatever came instead of an answer."""

from __future__ import annotations

import pytest

from plantops.events.base import CommandId, Digest, PrincipalName, SiteName, encode_json
from plantops.events.command_parts import APPROVAL_TYPE, INTENT_TYPE
from plantops.events.envelope import Message
from plantops.events.queries import IntentTaken, ProblemDetail, TagsAsked, TagsTold, problem
from plantops.flow.client import Client
from plantops.flow.memory import MemoryBroker
from plantops.flow.words import new_intent, sealed
from plantops.ledger import dsse
from plantops.ledger.keys import SigningKey
from plantops.runtime.errors import NobodyAnswers, Refused

KEY = SigningKey.from_seed(b"who asks in these tests".ljust(32, b"."))
MODEL = Digest("1" * 64)


def client(broker: MemoryBroker) -> Client:
    return Client(SiteName("demo"), PrincipalName("alice"), broker.bus("alice"), 5.0)


async def served(subject: str, answer: bytes) -> MemoryBroker:
    broker = MemoryBroker()

    async def tell(_message: Message) -> bytes:
        return answer

    await broker.bus("twin").serve(subject, tell)
    return broker


async def test_a_refusal_comes_in_the_service_s_words_unless_its_hearer_has_others() -> None:
    broker = await served("twin.demo.get", problem("unknown_tag", "there is no such tag"))
    with pytest.raises(Refused) as plain:
        await client(broker).ask("twin", "get", TagsAsked(), TagsTold)
    assert (plain.value.message, plain.value.reason) == ("there is no such tag", "unknown_tag")

    def loud(told: ProblemDetail) -> Refused:
        return Refused(told.message.upper(), reason=told.code)

    other = Client(SiteName("demo"), PrincipalName("alice"), broker.bus("alice"), 5.0, refused=loud)
    with pytest.raises(Refused, match="THERE IS NO SUCH TAG"):
        await other.ask("twin", "get", TagsAsked(), TagsTold)


async def test_an_answer_that_cannot_be_read_is_no_answer() -> None:
    broker = await served("twin.demo.get", b'{"tags":7}')
    with pytest.raises(Refused, match=r"the answer of twin\.demo\.get is unreadable") as error:
        await client(broker).ask("twin", "get", TagsAsked(), TagsTold)
    assert error.value.reason == "unavailable"


async def test_when_nobody_answers_it_is_said_who_and_what_to_do() -> None:
    hinting = Client(
        SiteName("demo"),
        PrincipalName("alice"),
        MemoryBroker().bus("alice"),
        5.0,
        hint=", or look at the logs",
    )
    with pytest.raises(NobodyAnswers, match=r"twin\.demo\.get: .* try again, or look at the logs$"):
        await hinting.ask("twin", "get", TagsAsked(), TagsTold)


async def test_a_name_that_is_none_is_refused_before_anybody_is_asked() -> None:
    intent = new_intent("demo", "alice", "valve 1", "CloseValve", {}, model=MODEL)
    with pytest.raises(Refused) as error:
        await client(MemoryBroker()).hand_in(intent, sealed(intent, KEY), is_safe=True)
    assert error.value.reason == "malformed"


async def test_what_is_handed_in_is_the_signed_envelope_itself() -> None:
    heard: list[bytes] = []
    broker = MemoryBroker()

    async def door(message: Message) -> bytes:
        heard.append(message.data)
        return encode_json(IntentTaken(command=CommandId("5" * 24), handle="c1"))

    await broker.bus("gate").serve("intent.demo.alice.valve-001.SetPosition", door)
    intent = new_intent("demo", "alice", "valve-001", "SetPosition", {"PERCENT": 4.0}, model=MODEL)
    envelope = sealed(intent, KEY)
    assert (await client(broker).hand_in(intent, envelope, is_safe=False)).handle == "c1"
    assert heard == [envelope]
    opened = dsse.decode(envelope)
    assert opened.payloadType == INTENT_TYPE != APPROVAL_TYPE
    assert opened.body() == encode_json(intent)
