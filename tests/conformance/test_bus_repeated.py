"""A batch that is said again, since its answer was lost: in memory and on a real server."""

from __future__ import annotations

import pytest

from plantops.events.envelope import Message
from plantops.flow.bus import Bus
from plantops.flow.wire import MESSAGE_ID
from plantops.runtime.errors import BrokerUnavailable
from support.stages import Stage, stage

__all__ = ["stage"]


@pytest.fixture
async def bus(stage: Stage) -> Bus:
    await stage.add_stream("WORK", "work.>")
    return await stage.bus("tester")


def marked(*identities: str) -> list[Message]:
    return [Message(f"work.{number}", b"x", {MESSAGE_ID: each}) for number, each in enumerate(identities)]


async def test_one_message_gives_its_sequence_again(bus: Bus) -> None:
    """Upon the same condition, which the message itself does not move."""
    said = {"stream": "WORK", "expected_last": 0, "expected_subject": "work.reign"}
    await bus.publish_batch(marked("other"), **said)  # type: ignore[arg-type]  # three named arguments
    assert [await bus.publish_batch(marked("same"), **said) for _time in range(3)] == [2, 2, 2]  # type: ignore[arg-type]
    assert (await bus.state("WORK")).last == 2


async def test_several_are_refused_and_not_stored_twice(bus: Bus) -> None:
    await bus.publish_batch(marked("a", "b"), stream="WORK")
    for again in (marked("a", "b"), marked("c", "b")):
        with pytest.raises(BrokerUnavailable):
            await bus.publish_batch(again, stream="WORK")
    assert (await bus.state("WORK")).last == 2


async def test_without_identities_each_is_stored(bus: Bus) -> None:
    for _time in range(2):
        await bus.publish_batch([Message("work.a", b"x"), Message("work.a", b"x")], stream="WORK")
    assert (await bus.state("WORK")).last == 4
