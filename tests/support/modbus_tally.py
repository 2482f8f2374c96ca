"""A wire to a Modbus TCP device that counts every write request that reaches the device."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

_WRITES = (5, 6, 15, 16)
_WRITE_MULTIPLE = 16


async def _nothing() -> None:
    """Nobody asked to hear."""


@dataclass
class Tally:
    """`written` holds the value of each float32 that a client asked to write, in the order of arrival.

    `on_write` is awaited with each write request in hand, before the device has it.
    """

    port: int
    target: int
    written: list[float] = field(default_factory=list)
    others: int = 0
    on_write: Callable[[], Awaitable[None]] = _nothing
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        upstream, downstream = await asyncio.open_connection("127.0.0.1", self.target)
        back = asyncio.create_task(_relay(upstream, writer))
        try:
            with suppress(asyncio.IncompleteReadError, OSError):
                while True:
                    head = await reader.readexactly(6)
                    request = head + await reader.readexactly(int.from_bytes(head[4:6], "big"))
                    if request[7] in _WRITES:
                        self._count(request)
                        await self.on_write()
                    downstream.write(request)
                    await downstream.drain()
        finally:
            self._tasks.discard(task)
            back.cancel()
            downstream.transport.abort()
            writer.transport.abort()

    def _count(self, request: bytes) -> None:
        if request[7] == _WRITE_MULTIPLE and request[12] == struct.calcsize(">f"):
            self.written.append(struct.unpack(">f", request[13:17])[0])
        else:
            self.others += 1

    async def end(self) -> None:
        """Hang up on every client."""
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks))


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)


@asynccontextmanager
async def tallied(target: int) -> AsyncIterator[Tally]:
    """A port of its own in front of `target`."""
    tally = Tally(0, target)
    server = await asyncio.start_server(tally._serve, "127.0.0.1", 0)
    tally.port = server.sockets[0].getsockname()[1]
    try:
        yield tally
    finally:
        server.close()
        await tally.end()
