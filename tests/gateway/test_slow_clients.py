"""Who sends slowly, or reads slowly, holds a connection for a bounded time and nobody else up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from plantops.gateway.settings import DemoSettings, GatewaySettings, LimitSettings
from support.gateway_frame import WAIT_SECONDS, Frame, frame_of

HEAD = b"POST /v1/echo HTTP/1.1\r\nHost: localhost\r\nX-Roles: operator\r\n"


@pytest.fixture
async def quick(tmp_path: Path) -> AsyncIterator[Frame]:
    limits = LimitSettings(header_seconds=0.3, body_seconds=0.3, keep_alive_seconds=1.0, connections=8)
    async with frame_of(
        tmp_path, GatewaySettings(port=0, demo=DemoSettings(enabled=True), limits=limits)
    ) as it:
        yield it


async def answer_to(frame: Frame, *parts: bytes) -> bytes:
    """What comes until the connection ends, when these bytes are sent and then nothing more."""
    reader, writer = await frame.connect()
    for part in parts:
        writer.write(part)
        await writer.drain()
    try:
        return await asyncio.wait_for(reader.read(), WAIT_SECONDS)
    finally:
        writer.close()


@pytest.mark.parametrize("sent", [b"", b"POST /v1/ec", HEAD, HEAD + b"Content-Length: 100\r\n"])
async def test_a_head_that_does_not_end_ends_the_connection(quick: Frame, sent: bytes) -> None:
    answer = await answer_to(quick, sent)
    assert answer == b"" if not sent else answer.startswith(b"HTTP/1.1 408 ")


async def test_a_head_that_drips_ends_the_connection_too(quick: Frame) -> None:
    reader, writer = await quick.connect()
    writer.write(HEAD)

    async def drip() -> None:
        while True:
            writer.write(b"X-A: b\r\n")
            await asyncio.sleep(0.05)

    dripping = asyncio.create_task(drip())
    answer = await asyncio.wait_for(reader.read(), WAIT_SECONDS)
    dripping.cancel()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'{"error":{"code":"bad_request"' in answer


async def test_a_body_that_does_not_come_is_answered_408(quick: Frame) -> None:
    answer = await answer_to(quick, HEAD + b"Content-Length: 100\r\n\r\n", b'{"message": ')
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'{"error":{"code":"bad_request"' in answer


async def test_a_connection_that_is_not_used_any_more_is_closed(quick: Frame) -> None:
    request = b"GET /v1/me HTTP/1.1\r\nHost: localhost\r\nX-Roles: operator\r\n\r\n"
    answer = await answer_to(quick, request, request)
    assert answer.count(b"HTTP/1.1 200 ") == 2


async def test_a_head_without_end_is_refused_by_its_size(quick: Frame) -> None:
    answer = await answer_to(quick, HEAD + b"X-Long: " + b"a" * 40_000)
    assert answer.startswith(b"HTTP/1.1 431 ")


async def test_a_long_head_and_many_headers_are_refused(quick: Frame) -> None:
    long = await answer_to(quick, HEAD + b"X-Long: " + b"a" * 17_000 + b"\r\n\r\n")
    many = await answer_to(quick, HEAD + b"A: b\r\n" * 200 + b"\r\n")
    assert long.startswith(b"HTTP/1.1 431 ")
    assert many.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01",
        b"GET \xff HTTP/1.1\r\n\r\n",
        b"GET /v1/me HTTP/1.1\r\nX-Roles: operator\r\nConnection: close\r\n\r\n",
        b"GET /v1/me HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n",
        HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        HEAD + b"Content-Length: 2\r\nContent-Length: 20\r\n\r\n{}",
        HEAD + b"Content-Length: -2\r\n\r\n{}",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
        HEAD + b"X-A : b\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_told_so_in_the_envelope(quick: Frame, sent: bytes) -> None:
    answer = await answer_to(quick, sent)
    assert answer.startswith(b"HTTP/1.1 400 "), answer
    assert b'{"error":{"code":"bad_request"' in answer
    assert b"Traceback" not in answer


async def test_who_reads_nothing_is_cut_off_and_the_task_ends(quick: Frame) -> None:
    _reader, writer = await quick.connect()
    writer.write(b"GET /v1/large HTTP/1.1\r\nHost: localhost\r\nX-Roles: operator\r\n\r\n")
    await writer.drain()
    async with quick.client(X_Roles="operator") as client, asyncio.timeout(WAIT_SECONDS):
        while (await client.get("/ready")).json()["active_requests"] > 1:  # noqa: ASYNC110 - the server tells
            await asyncio.sleep(0.05)
    writer.close()


async def test_more_connections_than_are_taken_are_told_so(quick: Frame) -> None:
    opened = [await quick.connect() for _number in range(8)]
    answer = await answer_to(quick)
    for _reader, writer in opened:
        writer.close()
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"Retry-After: 1" in answer


async def test_others_are_served_while_many_are_slow(tmp_path: Path) -> None:
    limits = msgspec.structs.replace(LimitSettings(), header_seconds=60.0)
    settings = GatewaySettings(port=0, demo=DemoSettings(enabled=True), limits=limits)
    async with frame_of(tmp_path, settings) as frame:
        slow = [await frame.connect() for _number in range(200)]
        for _reader, writer in slow:
            writer.write(HEAD)
        async with frame.client(X_Roles="operator") as client:
            answer = await client.get("/v1/me")
        for _reader, writer in slow:
            writer.close()
    assert answer.status_code == 200
