"""The end: nothing new is taken, what is under way finishes or is told 503, and nothing hangs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from plantops.gateway.settings import DemoSettings, GatewaySettings
from support.gateway_frame import WAIT_SECONDS, Frame, frame_of


@pytest.fixture
async def stopping(tmp_path: Path) -> AsyncIterator[Frame]:
    settings = GatewaySettings(port=0, demo=DemoSettings(enabled=True), stop_seconds=1.0)
    async with frame_of(tmp_path, settings) as it:
        yield it


async def test_a_request_under_way_is_finished(stopping: Frame) -> None:
    async with stopping.client(X_Roles="operator") as client:
        asked = asyncio.create_task(client.get("/v1/slow"))
        await asyncio.wait_for(stopping.began.wait(), WAIT_SECONDS)
        stopping.desk.stopping.set()
        stopping.hold.set()
        answer = await asked
    await stopping.stop()
    assert answer.json() == {"done": "yes"}


async def test_a_request_that_does_not_end_is_told_503_and_the_gateway_ends(stopping: Frame) -> None:
    async with stopping.client(X_Roles="operator") as client:
        asked = asyncio.create_task(client.get("/v1/slow"))
        await asyncio.wait_for(stopping.began.wait(), WAIT_SECONDS)
        await stopping.stop()
        answer = await asked
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "server_shutting_down"
    assert answer.headers["retry-after"] == "1"


async def test_a_stream_of_events_says_good_bye(stopping: Frame) -> None:
    async with stopping.client(X_Roles="operator") as client, client.stream("GET", "/v1/stream") as stream:
        parts = stream.aiter_text()
        heard = await anext(parts)
        stopping.desk.stopping.set()
        heard += "".join([part async for part in parts])
    await stopping.stop()
    assert heard == "event: hello\ndata: {}\n\nevent: bye\ndata: {}\n\n"


async def test_a_websocket_is_closed_with_the_code_for_a_restart(stopping: Frame) -> None:
    address = stopping.url.replace("http", "ws") + "/v1/talk"
    async with connect(address, additional_headers={"X-Roles": "operator"}) as talk:
        await asyncio.wait_for(stopping.began.wait(), WAIT_SECONDS)
        await stopping.stop()
        with pytest.raises(ConnectionClosed) as closed:
            await talk.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012  # RFC 6455, registry: service restart


async def test_idle_and_half_sent_connections_do_not_hold_up_the_end(stopping: Frame) -> None:
    idle, half = await stopping.connect(), await stopping.connect()
    half[1].write(
        b"POST /v1/echo HTTP/1.1\r\nHost: localhost\r\nX-Roles: operator\r\nContent-Length: 10\r\n\r\n{"
    )
    await half[1].drain()
    async with stopping.client(X_Roles="operator") as client:
        await client.get("/v1/me")
        await stopping.stop()
    assert await idle[0].read() == b""
    assert (await half[0].read()).startswith((b"HTTP/1.1 503 ", b""))
    for _reader, writer in (idle, half):
        writer.close()


async def test_under_load_every_request_is_answered_or_its_connection_refused(stopping: Frame) -> None:
    seen: list[int] = []
    refused: list[str] = []

    async def ask(client: httpx.AsyncClient) -> None:
        while True:
            try:
                seen.append((await client.get("/v1/me")).status_code)
            except (httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError) as error:
                refused.append(type(error).__name__)
                return
            if seen[-1] == 503:
                return

    clients = [stopping.client(X_Roles="operator") for _number in range(8)]
    asking = [asyncio.create_task(ask(client)) for client in clients]
    async with asyncio.timeout(WAIT_SECONDS):
        while len(seen) < 100:  # noqa: ASYNC110 - the clients are at work
            await asyncio.sleep(0.01)
    await stopping.stop()
    await asyncio.wait_for(asyncio.gather(*asking), WAIT_SECONDS)
    for client in clients:
        await client.aclose()
    assert set(seen) <= {200, 503}
    assert len(seen) >= 100


async def test_cancelled_it_ends_in_the_same_order(stopping: Frame) -> None:
    assert stopping.running is not None
    async with stopping.client(X_Roles="operator") as client:
        asked = asyncio.create_task(client.get("/v1/slow"))
        await asyncio.wait_for(stopping.began.wait(), WAIT_SECONDS)
        stopping.running.cancel()
        answer = await asked
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(stopping.running, WAIT_SECONDS)
    assert answer.status_code == 503


async def test_nothing_of_it_is_left_running(stopping: Frame) -> None:
    before = asyncio.all_tasks()
    async with stopping.client(X_Roles="operator") as client:
        await client.get("/v1/me")
    await stopping.stop()
    async with asyncio.timeout(WAIT_SECONDS):
        while asyncio.all_tasks() - before:  # noqa: ASYNC110 - tasks tell nobody
            await asyncio.sleep(0.01)
    with pytest.raises(ConnectionRefusedError):
        await stopping.connect()
