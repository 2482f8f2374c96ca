"""What a reader was given it hands on at once, and it is given no more than it asked for."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import msgspec
import pytest

from plantops.events.envelope import Message
from plantops.flow.jetstream import JetStreamBus
from plantops.flow.jetstream_reader import JetStreamReader
from plantops.runtime.errors import BrokerUnavailable, StreamMissing
from support.nats import until
from support.stages import ServerStage, server_stage

__all__ = ["server_stage"]

NEXT = "$JS.API.CONSUMER.MSG.NEXT.WORK.worker"
# What is held back comes again only after this.
ACK_SECONDS = 60.0
BOUND_SECONDS = 30.0


async def started(stage: ServerStage) -> tuple[JetStreamBus, JetStreamReader]:
    await stage.add_stream("WORK", "work.>")
    await stage.add_consumer("WORK", "worker", kind="effect", ack_wait=ACK_SECONDS)
    bus = await stage.bus("worker")
    reader = await bus.reader("WORK", "worker")
    assert isinstance(reader, JetStreamReader)
    return bus, reader


async def delivered(stage: ServerStage) -> int:
    """How many messages the consumer gave away, and nobody has acknowledged."""
    told = await stage.api("CONSUMER.INFO.WORK.worker")
    return int(told["num_ack_pending"])


async def ask_for(bus: JetStreamBus, reader: JetStreamReader, count: int) -> None:
    """As a fetch leaves it on the server whose end the reader heard too late."""
    request = msgspec.json.encode({"batch": count, "expires": round(ACK_SECONDS * 1e9)})
    await bus._connection.client.publish(NEXT, request, f"{reader._inbox}.given-up")


@pytest.mark.parametrize("limit", [1, 16])
async def test_a_message_is_handed_on_when_it_comes_whatever_was_asked_for_before(
    server_stage: ServerStage, limit: int
) -> None:
    bus, reader = await started(server_stage)
    await ask_for(bus, reader, 16)
    fetching = asyncio.create_task(reader.fetch(limit, ACK_SECONDS))
    await until(lambda: reader._requests == 1)
    await bus.publish(Message("work.a", b"stop"), stream="WORK")
    async with asyncio.timeout(BOUND_SECONDS):
        assert [stored.data for stored in await fetching] == [b"stop"]


async def test_a_message_that_came_between_two_fetches_is_handed_on_alone(server_stage: ServerStage) -> None:
    bus, reader = await started(server_stage)
    await ask_for(bus, reader, 2)
    assert await reader.fetch(16, 0.1) == []
    await bus.publish(Message("work.a", b"late"), stream="WORK")
    await until(lambda: len(reader._arrived) == 1)
    async with asyncio.timeout(BOUND_SECONDS):
        assert [stored.data for stored in await reader.fetch(16, ACK_SECONDS)] == [b"late"]


async def test_what_is_there_comes_together(server_stage: ServerStage) -> None:
    bus, reader = await started(server_stage)
    await bus.publish_batch([Message("work.a", b"%d" % n) for n in range(300)], stream="WORK")
    async with asyncio.timeout(BOUND_SECONDS):
        first, second = await reader.fetch(256, ACK_SECONDS), await reader.fetch(256, ACK_SECONDS)
    assert [int(stored.data) for stored in first] == list(range(256))
    assert [int(stored.data) for stored in second] == list(range(256, 300))


async def test_a_reader_is_given_no_more_than_it_has_places_for(server_stage: ServerStage) -> None:
    bus, reader = await started(server_stage)
    await bus.publish(Message("work.a", b"0"), stream="WORK")
    assert len(await reader.fetch(3, ACK_SECONDS)) == 1
    await bus.publish_batch([Message("work.a", b"%d" % n) for n in range(1, 9)], stream="WORK")
    await until(lambda: len(reader._arrived) == 2)
    assert await delivered(server_stage) == 3
    assert [stored.data for stored in await reader.fetch(2, ACK_SECONDS)] == [b"1", b"2"]
    assert await delivered(server_stage) == 3
    assert reader._requests == 1


async def test_a_request_whose_end_was_never_told_is_made_again(
    server_stage: ServerStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plantops.flow.jetstream_reader._LOST_SECONDS", 0.0)
    bus, reader = await started(server_stage)
    monkeypatch.setattr(reader, "_end", lambda _status: None)
    assert await reader.fetch(2, 0.1) == []
    fetching = asyncio.create_task(reader.fetch(2, ACK_SECONDS))
    await until(lambda: reader._requests == 2)
    await bus.publish(Message("work.a", b"after"), stream="WORK")
    async with asyncio.timeout(BOUND_SECONDS):
        assert [stored.data for stored in await fetching] == [b"after"]


async def test_a_reader_of_a_consumer_that_is_deleted_says_so(server_stage: ServerStage) -> None:
    _bus, reader = await started(server_stage)
    assert await reader.fetch(4, 0.1) == []
    await server_stage.api("CONSUMER.DELETE.WORK.worker")
    with pytest.raises(StreamMissing, match="run the provisioner"):
        await _fetch_past_outages(reader)


async def _fetch_past_outages(reader: JetStreamReader) -> None:
    async with asyncio.timeout(BOUND_SECONDS):
        while True:
            with suppress(BrokerUnavailable):  # for some seconds it could be a change of leader
                await reader.fetch(4, 0.5)
