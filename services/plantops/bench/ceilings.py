"""What the bare NATS client reaches on this machine with the same bytes, one thing at a time."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path

import nats
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, StreamConfig

from plantops.bench.figures import Figure, Load, Tell, figure
from plantops.bench.ground import plain_broker, temporary_folder

STREAM, SUBJECT = "BARE", "bare.frames"
IN_FLIGHT = 256
FETCH = 500


async def nats_ceilings(
    load: Load, tell: Tell, *, size: int, samples: int = 1, name: str = "nats", unit: str = "samples/s"
) -> list[Figure]:
    """Publish and fetch of messages of `size` bytes, each of them `samples` in `unit`."""
    count = load.count(10_000, least=50)
    awaited: list[float] = []
    pipelined: list[float] = []
    fetched: list[float] = []
    async with temporary_folder() as folder, _client(folder / "plain") as client:
        stream = client.jetstream(publish_async_max_pending=IN_FLIGHT)
        data = os.urandom(size)
        for run in range(load.runs):
            tell(f"bare nats-py, run {run + 1} of {load.runs}")
            await stream.add_stream(StreamConfig(name=STREAM, subjects=[SUBJECT]))
            few = max(1, count // 10)
            awaited.append(samples * few / await _timed(_awaited(stream, data, few)))
            pipelined.append(samples * count / await _timed(_pipelined(stream, data, count)))
            fetched.append(samples * (few + count) / await _timed(_fetch(stream, few + count)))
            await stream.delete_stream(STREAM)
    note = f"messages of {size} bytes, sync_interval always"
    rows = (
        ("publish_awaited", "bare nats-py: publish, one by one", awaited),
        ("publish", "bare nats-py: publish_async", pipelined),
        ("fetch", "bare nats-py: fetch and acknowledge", fetched),
    )
    return [
        figure(f"ceiling.{name}.{verb}", title, runs, unit, better="higher", note=note)
        for verb, title, runs in rows
    ]


@asynccontextmanager
async def _client(folder: Path) -> AsyncIterator[Client]:
    """A plain broker and one client on it."""
    async with plain_broker(folder) as url:
        client = await nats.connect(url)
        try:
            yield client
        finally:
            await client.close()


async def _timed(work: Awaitable[None]) -> float:
    begun = time.perf_counter()
    await work
    return time.perf_counter() - begun


async def _awaited(stream: JetStreamContext, data: bytes, count: int) -> None:
    for _ in range(count):
        await stream.publish(SUBJECT, data)


async def _pipelined(stream: JetStreamContext, data: bytes, count: int) -> None:
    acks = [await stream.publish_async(SUBJECT, data) for _ in range(count)]
    await asyncio.wait_for(asyncio.gather(*acks), 120)


async def _fetch(stream: JetStreamContext, count: int) -> None:
    config = ConsumerConfig(durable_name="bare", ack_policy=AckPolicy.ALL, max_ack_pending=-1)
    await stream.add_consumer(STREAM, config)
    pull = await stream.pull_subscribe_bind("bare", STREAM)
    left = count
    while left:
        messages = await pull.fetch(min(FETCH, left), timeout=10)
        left -= len(messages)
        await messages[-1].ack()
    await pull.unsubscribe()
