"""The wire between a device and the world: a loopback relay that can be cut, can hang, and can rave."""

import asyncio
import socket
from contextlib import suppress
from enum import StrEnum
from types import TracebackType
from typing import Self

from plantops.simulation.links import Links

LOOPBACK = "127.0.0.1"
_CHUNK_BYTES = 65536


class LineState(StrEnum):
    """What the wire does to a client."""

    CONNECTED = "connected"
    SILENT = "silent"  # connections are reset, new ones refused
    HANGING = "hanging"  # connections stay and are accepted, nothing comes back; later it comes late
    GARBAGE = "garbage"  # every request is answered with meaningless bytes


def _garbage(request: bytes, turn: int) -> bytes:
    """As many bytes as were sent, deterministic and unlike them."""
    return bytes((byte * 7 + 13 * index + 101 * turn + 55) & 0xFF for index, byte in enumerate(request))


class Line:
    """A TCP relay on `port` of `host` to a port of this machine; while silent, the port stays reserved.

    Bytes held while hanging are not lost: as on a real wire they arrive after the resume.
    """

    def __init__(self, port: int = 0, *, host: str = LOOPBACK) -> None:
        self._host = host
        self._reservation = _bound(host, port)
        self.port: int = self._reservation.getsockname()[1]
        self.state = LineState.CONNECTED
        self._target = 0
        self._server: asyncio.Server | None = None
        self._links = Links(self._link, lambda: f"line {self.port}")
        self._flowing = asyncio.Event()
        self._turn = 0

    async def open(self, target: int) -> None:
        """Relay to `target` from now on."""
        self._target = target
        await self.set_state(LineState.CONNECTED)

    async def set_state(self, state: LineState) -> None:
        """Let the line behave as `state` says, at once and for connections that exist already."""
        self.state = state
        if state is LineState.HANGING:
            self._flowing.clear()
        if state is LineState.SILENT:
            await self._cut()
        elif self._server is None:
            self._server = await asyncio.start_server(self._links.accept, sock=_bound(self._host, self.port))
        if state is not LineState.HANGING:
            # Only now: bytes held while hanging must not slip out of a line that is being cut.
            self._flowing.set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._cut()
        self._reservation.close()

    async def _cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._links.cut()

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far = await asyncio.open_connection(LOOPBACK, self._target)
        except OSError:
            return  # the device behind is gone; the client sees its connection end
        pumps = [
            asyncio.create_task(self._pump(reader, far, writer)),
            asyncio.create_task(self._pump(far_reader, writer, None)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            far.transport.abort()
            for pump in pumps:
                pump.cancel()

    async def _pump(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        back: asyncio.StreamWriter | None,
    ) -> None:
        """Carry bytes one way until a side ends; `back` is where garbage goes, if this is the request way."""
        with suppress(OSError):
            while data := await source.read(_CHUNK_BYTES):
                await self._flowing.wait()
                if self.state is LineState.GARBAGE:
                    if back is not None:
                        self._turn += 1
                        back.write(_garbage(data, self._turn))
                    continue
                sink.write(data)
                await sink.drain()


def _bound(host: str, port: int) -> socket.socket:
    """A bound socket that does not listen yet: connections are refused and nobody else gets the port."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound
