"""What differs from nats-py's client: headers are read quicker, and read alike; a ping waits for its turn."""

from __future__ import annotations

import asyncio

from hypothesis import example, given
from hypothesis import strategies as st
from nats.aio.client import Client
from nats.aio.msg import Msg

from plantops.flow.headers import QuickClient

PIECES = st.sampled_from(
    [
        b":",
        b" ",
        b"\r\n",
        b"\n",
        b"\t",
        b"\x0b",
        b"\x1c",
        b"\x85",
        b"\x00",
        b"\xff",
        b"\xc3\xa9",
        b"ce-id",
        b"a",
    ]
)


@given(st.lists(PIECES, max_size=16).map(b"".join))
@example(b"ce-id: plc1.1.1\r\ncontent-type:application/json\r\nX:\tY \r\n\r\n")
def test_agrees_with_the_client(raw: bytes) -> None:
    assert QuickClient._parse_header_lines(raw) == Client._parse_header_lines(raw)


def test_is_what_the_client_calls() -> None:
    # Should a release rename it, this fails, and the override can go or follow.
    assert "_parse_header_lines" in vars(Client)


async def test_a_flush_is_answered_behind_the_subscriptions_that_were_made_before_it() -> None:
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"max_payload": 1048576}\r\n')
        while line := await reader.readline():
            heard.append(line.split()[0])
            if heard[-1] == b"PING":
                writer.write(b"PONG\r\n")
        writer.close()

    async def hear(message: Msg) -> None:
        raise AssertionError(message.subject)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = QuickClient()
    await client.connect(f"nats://127.0.0.1:{port}", allow_reconnect=False)
    del heard[:]
    await client.subscribe("a", cb=hear)
    await client.flush()
    await client.close()
    server.close()
    await server.wait_closed()
    assert heard[:2] == [b"SUB", b"PING"]
