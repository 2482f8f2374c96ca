"""A small HTTP server that speaks what providers of models speak, and misbehaves on demand. Loopback only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec


@dataclass(frozen=True)
class Answer:
    """`body` is sent piece by piece. `ends`: the connection closes properly; `cuts`: it breaks after the last
    piece without the end that was announced; `hangs`: nothing follows any more."""

    status: int = 200
    body: Sequence[bytes] = ()
    headers: dict[str, str] = field(default_factory=dict)
    then: str = "ends"


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


class Wire:
    """Answers in the order of `script`; the last one again and again. `asked` are the requests."""

    def __init__(self, script: Sequence[Answer]) -> None:
        self.script = list(script)
        self.asked: list[Asked] = []
        self.url = ""
        self.arrived = asyncio.Event()
        self._open: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}
        self.release = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open[writer] = asyncio.current_task()
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {line.split(":", 1)[0].lower(): line.split(":", 1)[1].strip() for line in head[1:] if line}
        data = await reader.readexactly(int(headers.get("content-length", "0")))
        self.asked.append(Asked(head[0].split(" ")[1], headers, msgspec.json.decode(data) if data else {}))
        answer = self.script[min(len(self.asked), len(self.script)) - 1]
        self.arrived.set()
        lines = [f"HTTP/1.1 {answer.status} Whatever", "transfer-encoding: chunked"]
        lines += [f"{name}: {value}" for name, value in answer.headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        for piece in answer.body:
            writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            await writer.drain()
        if answer.then == "hangs":
            await self.release.wait()
            return False
        if answer.then == "cuts":
            return False
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    async def close(self) -> None:
        """Break every connection, and wait for those who served them."""
        self.release.set()
        for writer in self._open:
            writer.transport.abort()
        tasks = [task for task in self._open.values() if task is not None]
        await asyncio.gather(*tasks)


@asynccontextmanager
async def wire(*script: Answer) -> AsyncIterator[Wire]:
    """A running server."""
    served = Wire(script)
    server = await asyncio.start_server(served.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    served.url = f"http://{host}:{port}"
    try:
        yield served
    finally:
        await served.close()
        server.close()
        await server.wait_closed()


SSE = {"content-type": "text/event-stream"}


def event(kind: str, **data: Any) -> bytes:
    """One event of the Messages API."""
    return b"event: " + kind.encode() + b"\ndata: " + msgspec.json.encode({"type": kind, **data}) + b"\n\n"


def claude(
    *blocks: dict[str, Any],
    stop: str = "end_turn",
    usage: dict[str, int] | None = None,
    without: Sequence[str] = (),
) -> list[bytes]:
    """A streamed message. A block is `{"text": [pieces]}` or `{"id", "name", "json": [pieces]}`."""
    message: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-test-1",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 10, "output_tokens": 1, **(usage or {})},
    }
    pieces = [("message_start", event("message_start", message=message)), ("ping", event("ping"))]
    for index, block in enumerate(blocks):
        if "text" in block:
            begin: dict[str, Any] = {"type": "text", "text": ""}
            deltas = [{"type": "text_delta", "text": text} for text in block["text"]]
        else:
            begin = {"type": "tool_use", "id": block["id"], "name": block["name"], "input": {}}
            deltas = [{"type": "input_json_delta", "partial_json": text} for text in block["json"]]
        start = event("content_block_start", index=index, content_block=begin)
        pieces.append(("content_block_start", start))
        pieces += [("delta", event("content_block_delta", index=index, delta=delta)) for delta in deltas]
        pieces.append(("content_block_stop", event("content_block_stop", index=index)))
    end = {"stop_reason": stop, "stop_sequence": None}
    pieces.append(("message_delta", event("message_delta", delta=end, usage={"output_tokens": 7})))
    pieces.append(("message_stop", event("message_stop")))
    return [piece for name, piece in pieces if name not in without]


def chunk(
    delta: dict[str, Any] | None = None, finish: str | None = None, usage: dict[str, Any] | None = None
) -> bytes:
    """One chunk of chat completions."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    data = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "local-test-1",
        "choices": choices,
        "usage": usage,
    }
    return b"data: " + msgspec.json.encode(data) + b"\n\n"


DONE = b"data: [DONE]\n\n"
