"""A Modbus TCP device whose every answer a test decides; it keeps the requests that it got."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

Answer = Callable[[bytes], bytes | None]
"""From a whole request to all bytes to send, None for silence."""


def adu(request: bytes, pdu: bytes, **other: int) -> bytes:
    """A reply in the frame that fits `request`, or with another `transaction`, `protocol` or `unit`."""
    transaction = other.get("transaction", int.from_bytes(request[:2], "big"))
    length = other.get("length", len(pdu) + 1)
    head = struct.pack(">HHHB", transaction, other.get("protocol", 0), length, other.get("unit", request[6]))
    return head + pdu


def well(request: bytes) -> bytes:
    """Reads: every register holds its own address, every bit is the parity of its own. Writes: the echo."""
    function, start, count = struct.unpack(">BHH", request[7:12])
    if function in (5, 6, 16):
        return adu(request, request[7:12])
    if function in (1, 2):
        number = sum(1 << place for place in range(count) if (start + place) % 2)
        data = number.to_bytes((count + 7) // 8, "little")
    else:
        data = struct.pack(f">{count}H", *range(start, start + count))
    return adu(request, bytes((function, len(data))) + data)


def exception(request: bytes, code: int) -> bytes:
    return adu(request, bytes((request[7] | 0x80, code)))


def refusing(code: int, cells: Iterable[int]) -> Answer:
    """Refuses every request that touches one of `cells`, whatever the table."""
    holes = set(cells)

    def answer(request: bytes) -> bytes:
        start, count = struct.unpack(">HH", request[8:12])
        return exception(request, code) if holes & set(range(start, start + count)) else well(request)

    return answer


@dataclass
class Script:
    """`answer` may be changed at any time; `requests` are (function, start, count or value)."""

    port: int
    answer: Answer = well
    requests: list[tuple[int, int, int]] = field(default_factory=list)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    connections: int = 0
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        with suppress(asyncio.IncompleteReadError, OSError):
            while True:
                head = await reader.readexactly(6)
                request = head + await reader.readexactly(int.from_bytes(head[4:6], "big"))
                self.requests.append(struct.unpack(">BHH", request[7:12]))
                self.asked.set()
                await self.go_on.wait()
                reply = self.answer(request)
                if reply is not None:
                    writer.write(reply)
        writer.close()


@asynccontextmanager
async def modbus_script() -> AsyncIterator[Script]:
    script = Script(0)
    script.go_on.set()
    server = await asyncio.start_server(script.serve, "127.0.0.1", 0)
    script.port = server.sockets[0].getsockname()[1]
    try:
        yield script
    finally:
        server.close()
        script.go_on.set()
        for writer in script.writers:
            writer.transport.abort()
        await server.wait_closed()
        await asyncio.sleep(0)
