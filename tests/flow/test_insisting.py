"""Words that must not wait are said again before the first answer is given up, and no answer is missed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from plantops.cli.session import Session
from plantops.deployment.initialise import initialise
from plantops.deployment.place import load_place
from plantops.events import subjects
from plantops.events.base import encode_json
from plantops.events.command_parts import Intent, command_id
from plantops.events.envelope import Message
from plantops.events.queries import IntentTaken
from plantops.flow.insisting import first_answer
from plantops.flow.memory import MemoryBroker
from plantops.ledger.keys import SigningKey
from plantops.runtime.errors import BrokerUnavailable, NobodyAnswers, Refused

Answer = Callable[[float], Awaitable[str]]


class Door:
    """Answers the attempts in turn; the last of `answers` answers all that come later."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = answers
        self.asked: list[float] = []

    async def __call__(self, seconds: float) -> str:
        self.asked.append(seconds)
        return await self.answers[min(len(self.asked), len(self.answers)) - 1](seconds)


async def silent(seconds: float) -> str:
    """Says nothing for as long as it is waited for."""
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.get_running_loop().create_future(), seconds)
    raise BrokerUnavailable("no answer")


async def nobody(_seconds: float) -> str:
    raise NobodyAnswers("nobody is there")


async def not_stored(_seconds: float) -> str:
    raise Refused("not stored", reason="unavailable")


async def denied(_seconds: float) -> str:
    raise Refused("not for you", reason="not_allowed")


async def taken(_seconds: float) -> str:
    return "taken"


@pytest.mark.parametrize("first", [silent, nobody, not_stored], ids=lambda answer: answer.__name__)
async def test_who_gets_no_answer_asks_again(first: Answer) -> None:
    door = Door(first, taken)
    assert await first_answer(door, patience=10.0, again=0.25) == "taken"
    assert len(door.asked) >= 2


async def test_a_slow_answer_to_the_first_attempt_counts() -> None:
    released = asyncio.Event()

    async def slow(_seconds: float) -> str:
        await released.wait()
        return "taken late"

    async def deaf(seconds: float) -> str:
        released.set()
        return await silent(seconds)

    door = Door(slow, deaf)
    assert await first_answer(door, patience=10.0, again=0.25) == "taken late"


async def test_where_nobody_was_it_does_not_wait_for_the_next_round() -> None:
    door = Door(nobody, nobody, taken)
    assert await first_answer(door, patience=3600.0, again=1800.0) == "taken"
    assert len(door.asked) == 3


async def test_it_asks_till_the_end_where_nobody_comes() -> None:
    with pytest.raises(NobodyAnswers):
        await first_answer(Door(nobody), patience=0.12, again=3600.0)


async def test_a_refusal_is_an_answer() -> None:
    door = Door(denied)
    with pytest.raises(Refused, match="not for you"):
        await first_answer(door, patience=10.0, again=0.25)
    assert len(door.asked) == 1


async def test_all_attempts_end_with_the_patience() -> None:
    door = Door(silent)
    with pytest.raises(BrokerUnavailable):
        await first_answer(door, patience=0.05, again=0.02)
    assert door.asked == pytest.approx([0.05, 0.03, 0.01])


async def test_a_stop_is_handed_in_again_in_the_same_words_and_nothing_else_is(tmp_path: Path) -> None:
    initialise(tmp_path / "demo")
    place = load_place(tmp_path / "demo")
    broker = MemoryBroker()
    key = SigningKey.load(place.folder.identity("alice", person=True).signing)
    alice = Session(place, "alice", broker.bus("alice"), key)
    stop = alice.intent("valve-001", "CloseValve", {})
    heard: list[bytes] = []

    async def die_with_the_first(message: Message) -> bytes:
        heard.append(message.data)
        if len(heard) == 1:
            await asyncio.Event().wait()
        return encode_json(IntentTaken(command=command_id(stop.actor, stop.key), handle="c1"))

    def door(intent: Intent) -> str:
        return subjects.intent(intent.site, intent.actor, intent.asset, intent.operation)

    await broker.bus("gate").serve(door(stop), die_with_the_first)
    assert (await alice.send(stop)).handle == "c1"
    assert len(heard) >= 2
    assert len(set(heard)) == 1
    with pytest.raises(NobodyAnswers):
        await alice.send(alice.intent("valve-001", "SetPosition", {"PERCENT": 40.0}))
    assert not alice.is_safe(stop.asset, alice.intent("valve-001", "SetPosition", {}).operation)
