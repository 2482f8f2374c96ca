"""A durable consumer of the in-memory broker, as a connection reads it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from plantops.flow.bus import Stored
from plantops.flow.memory_streams import MemoryConsumer, MemoryStream
from plantops.runtime.errors import StreamMissing

if TYPE_CHECKING:  # they know each other
    from plantops.flow.memory import MemoryBus


class MemoryReader:
    """See `Reader`."""

    def __init__(self, bus: MemoryBus, stream: str, consumer: str) -> None:
        self._bus, self._stream, self._consumer = bus, stream, consumer

    def _consumer_now(self) -> tuple[MemoryStream, MemoryConsumer]:
        stream = self._bus.broker.stream(self._stream)
        consumer = stream.consumers.get(self._consumer)
        if consumer is None:
            raise StreamMissing(
                f"stream {self._stream!r} has no consumer {self._consumer!r}: run the provisioner",
                stream=self._stream,
            )
        return stream, consumer

    def _found(self) -> MemoryConsumer | None:
        """None where it is gone: nobody answers a word on a message, so it is not told there either."""
        stream = self._bus.broker.streams.get(self._stream)
        return None if stream is None else stream.consumers.get(self._consumer)

    async def fetch(self, limit: int, timeout: float) -> list[Stored]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while True:
            await self._bus.ready()
            stream, consumer = self._consumer_now()
            broker = self._bus.broker
            changed = broker.changed
            found = consumer.take(stream, limit, broker.now_ns)
            if found or loop.time() >= deadline:
                return found
            try:
                async with asyncio.timeout_at(min(deadline, loop.time() + consumer.due_in(broker.now_ns))):
                    await changed.wait()
            except TimeoutError:
                continue

    async def reset(self, sequence: int) -> int:
        await self._bus.ready()
        stream, consumer = self._consumer_now()
        consumer.reset(sequence)
        self._bus.broker.wake()
        return consumer.pending(stream)

    async def ack(self, message: Stored) -> None:
        await self._bus.ready()
        if (consumer := self._found()) is not None:
            consumer.ack(message.sequence)

    async def in_progress(self, message: Stored) -> None:
        await self._bus.ready()
        if (consumer := self._found()) is not None:
            consumer.prolong(message.sequence, self._bus.broker.now_ns)
