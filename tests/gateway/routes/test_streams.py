"""A caller has no more streams open than `streams_per_caller`, and each place is given back."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from plantops.gateway.settings import LimitSettings
from support.gateway_plant import SETTINGS, WAIT_SECONDS, Gateway, gateway_of
from support.nats import until

MOST = 2
MARK = {"asset": "valve-001", "operation": "SetPosition", "arguments": {"PERCENT": 40}}
EVENTS = "/v1/events?types=command"


@pytest.fixture
async def narrow(tmp_path: Path) -> AsyncIterator[Gateway]:
    """A gateway at which each caller may have two streams."""
    limits = msgspec.structs.replace(SETTINGS.limits, streams_per_caller=MOST, body_seconds=0.3)
    async with gateway_of(tmp_path, settings=msgspec.structs.replace(SETTINGS, limits=limits)) as made:
        yield made


@asynccontextmanager
async def listening(
    gateway: Gateway, path: str = EVENTS, role: str = "viewer"
) -> AsyncIterator[httpx.Response]:
    async with gateway.client(role) as client, client.stream("GET", path) as answer:
        yield answer


async def status_of(gateway: Gateway, path: str = EVENTS, role: str = "viewer") -> int:
    """What one more stream is answered; it is not kept."""
    async with listening(gateway, path, role) as answer:
        return answer.status_code


async def is_free(gateway: Gateway) -> bool:
    """Whether all places of the viewer are: as many streams as he may have are opened, and ended."""
    async with AsyncExitStack() as stack:
        answers = [await stack.enter_async_context(listening(gateway)) for _ in range(MOST)]
        return all(answer.status_code == 200 for answer in answers)


def address(gateway: Gateway, query: str = "types=command") -> str:
    return f"{gateway.url.replace('http', 'ws')}/v1/events/ws?{query}"


VIEWER = {"X-Roles": "viewer"}


async def test_one_more_than_a_caller_may_have_is_answered_429(narrow: Gateway) -> None:
    async with listening(narrow), connect(address(narrow), additional_headers=VIEWER):
        async with listening(narrow) as refused:
            problem = json.loads(await refused.aread())["error"]
        assert (refused.status_code, problem["code"]) == (429, "rate_limited")
        assert problem["message"] == "you have 2 streams open here, and may not have more: end one first"
        assert refused.headers["retry-after"] == "1"
        with pytest.raises(InvalidStatus) as denied:
            await connect(address(narrow), additional_headers=VIEWER)
        assert denied.value.response.status_code == 429
        assert json.loads(denied.value.response.body or b"")["error"] == problem
        assert denied.value.response.headers["x-request-id"]
        async with narrow.client("viewer") as client:
            metrics = (await client.get("/metrics")).text
    assert 'plantops_http_refused_total{reason="stream_limit"} 2.0' in metrics


async def test_a_callers_streams_are_his_own_and_bound_nothing_else(narrow: Gateway) -> None:
    async with listening(narrow), listening(narrow), narrow.client("viewer") as client:
        assert await status_of(narrow, role="operator") == 200
        assert (await client.get("/v1/commands")).status_code == 200
        assert await status_of(narrow) == 429


async def test_a_turn_that_is_followed_is_a_stream_too(narrow: Gateway) -> None:
    narrow.plant.chat.says = lambda _asked: [{"text": "Thinking", "status": "open"}]
    async with narrow.client("viewer") as client:
        place = (await client.post("/v1/chat", json={"message": "Hm?"})).json()["links"]["stream"]
    async with listening(narrow, place), listening(narrow):
        assert await status_of(narrow) == 429
        assert await status_of(narrow, place) == 429
    await until(lambda: is_free(narrow))


async def test_a_turn_that_is_answered_gives_its_place_back(narrow: Gateway) -> None:
    async with narrow.client("viewer") as client:
        place = (await client.post("/v1/chat", json={"message": "Hm?"})).json()["links"]["stream"]
        for _ in range(MOST + 1):
            assert (await client.get(place)).status_code == 200


async def test_who_goes_in_good_order_gives_his_places_back(narrow: Gateway) -> None:
    for _ in range(MOST + 1):
        async with listening(narrow) as first:
            assert first.status_code == 200
        await until(lambda: is_free(narrow))
        async with connect(address(narrow), additional_headers=VIEWER):
            pass
        await until(lambda: is_free(narrow))


async def opened(gateway: Gateway, *lines: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A bare connection on which a stream has begun."""
    url = httpx.URL(gateway.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write("\r\n".join([*lines, "Host: localhost", "X-Roles: viewer", "", ""]).encode())
    async with asyncio.timeout(WAIT_SECONDS):
        head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 101")), head
    return reader, writer


def upgrade(query: str = "types=command") -> tuple[str, ...]:
    return (
        f"GET /v1/events/ws?{query} HTTP/1.1",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    )


@pytest.mark.parametrize("lines", [(f"GET {EVENTS} HTTP/1.1",), upgrade()], ids=["sse", "ws"])
async def test_a_connection_that_breaks_gives_its_place_back(narrow: Gateway, lines: tuple[str, ...]) -> None:
    for _ in range(MOST):
        _reader, writer = await opened(narrow, *lines)
        # Closing with a linger of 0 sends a reset in place of an end (RFC 9293, 3.10.4).
        made: socket.socket = writer.get_extra_info("socket")
        made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert await status_of(narrow) in (200, 429)
        writer.transport.abort()
    await until(lambda: is_free(narrow))


@pytest.mark.parametrize("lines", [("GET /v1/events?types=tag HTTP/1.1",), upgrade("types=tag")])
async def test_who_reads_nothing_is_cut_and_gives_his_place_back(
    narrow: Gateway, lines: tuple[str, ...]
) -> None:
    held = [await opened(narrow, *lines) for _ in range(MOST)]
    assert await status_of(narrow) == 429
    number = 0.0

    async def flooded() -> bool:
        nonlocal number
        for tag in range(100):
            number += 1
            narrow.plant.set_tag(f"plc1.{tag}" + "x" * 4000, number)
        return await status_of(narrow) == 200

    await until(flooded, seconds=60.0)
    for _reader, writer in held:
        writer.transport.abort()


async def test_streams_that_the_gateway_cuts_give_their_places_back(narrow: Gateway) -> None:
    async with narrow.client() as client:
        await client.post("/v1/commands", json=MARK, params={"wait": 5})
        async with listening(narrow) as first, connect(address(narrow), additional_headers=VIEWER) as second:
            await client.post("/v1/commands", json=MARK, params={"wait": 5})
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(narrow.plant.broker, "deliver", lambda _message: None)
                await client.post("/v1/commands", json=MARK)
            await client.post("/v1/commands", json=MARK, params={"wait": 5})
            assert "missed" in (await first.aread()).decode()
            await asyncio.wait_for(second.wait_closed(), WAIT_SECONDS)
            assert second.close_reason == "missed"
            await until(lambda: is_free(narrow))


async def test_a_stream_that_cannot_begin_takes_no_place(narrow: Gateway) -> None:
    async def refused(query: str) -> Any:
        with pytest.raises(InvalidStatus) as denied:
            await connect(address(narrow, query), additional_headers=VIEWER)
        return denied.value.response

    for _ in range(MOST + 1):
        assert await status_of(narrow, "/v1/events?after=x") == 400
        answer = await refused("after=x")
        assert (answer.status_code, json.loads(answer.body)["error"]["code"]) == (400, "bad_request")
        assert await status_of(narrow, "/v1/chat/nobody/turns/1/stream") == 404
    await narrow.plant.close()
    for _ in range(MOST + 1):
        assert await status_of(narrow, "/v1/events?types=tag") == 503


def test_by_default_a_caller_may_have_a_thousand_streams() -> None:
    assert LimitSettings().streams_per_caller == 1024
