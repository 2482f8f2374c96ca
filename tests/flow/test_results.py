"""A client hears as results only what the broker has stored and repeated."""

from __future__ import annotations

import pytest

from plantops.events.envelope import Message
from plantops.flow.memory import MemoryBroker
from plantops.flow.results import listen_to_results, place_of
from support.nats import until

SUBJECT = "cmd.demo.simulated.gate.c1"
MARK = {"Nats-Stream": "COMMANDS", "Nats-Sequence": "7"}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Nats-Stream": "COMMANDS"},
        {"Nats-Sequence": "7"},
        {"Nats-Stream": "TAGS", "Nats-Sequence": "7"},
        {"Nats-Stream": "COMMANDS", "Nats-Sequence": "-7"},
        {"Nats-Stream": "COMMANDS", "Nats-Sequence": "9" * 5000},
    ],
)
async def test_what_a_client_steered_there_is_not_heard(headers: dict[str, str]) -> None:
    broker = MemoryBroker()
    heard: list[bytes] = []

    async def hear(message: Message) -> None:
        heard.append(message.data)

    listening = await listen_to_results(broker.bus("alice"), "cmd.demo.>", hear)
    broker.deliver(Message(SUBJECT, b"steered", headers))
    broker.deliver(Message(SUBJECT, b"stored", MARK))
    await until(lambda: bool(heard))
    await listening.stop()
    assert heard == [b"stored"]


def test_a_result_tells_its_place() -> None:
    assert place_of(Message(SUBJECT, b"", MARK)) == 7
    assert place_of(Message(SUBJECT, b"")) == 0
