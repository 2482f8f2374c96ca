"""Live events: the same for all who listen, resumed without loss, and never more than is fetched."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from plantops.events.envelope import Message
from plantops.gateway.outlet import MAX_BYTES, Chunk, Outlet
from plantops.gateway.wanted import Position, TagFilter, Wanted
from support.gateway_plant import WAIT_SECONDS, Gateway, gateway, gateway_of
from support.nats import until

__all__ = ["gateway"]

MARK = {"asset": "valve-001", "operation": "SetPosition", "arguments": {"PERCENT": 40}}
SPEED = {"asset": "pump-001", "operation": "SetSpeed", "arguments": {"RPM": 1200}}


class Events:
    """One stream of server-sent events, read part by part."""

    def __init__(self, answer: httpx.Response) -> None:
        self._lines = answer.aiter_lines()
        self.last = ""

    async def next(self) -> tuple[str, Any]:
        """Type and data of the next event; comments are skipped."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(WAIT_SECONDS):
            async for line in self._lines:
                if line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                elif "data" in fields:
                    self.last = fields.get("id", self.last)
                    return fields["event"], json.loads(fields["data"])
                else:
                    fields = {}
        raise EOFError

    async def until(self, kind: str) -> Any:
        """The data of the next event of this type."""
        while True:
            found, data = await self.next()
            if found == kind:
                return data

    async def rest(self) -> list[tuple[str, Any]]:
        """All that comes before the end of the stream."""
        found = []
        try:
            while True:
                found.append(await self.next())
        except EOFError:
            return found


@asynccontextmanager
async def listening(
    gateway: Gateway, last: str = "", role: str = "viewer", **wanted: str
) -> AsyncIterator[Events]:
    headers = {"Last-Event-ID": last} if last else {}
    async with (
        gateway.client(role) as client,
        client.stream("GET", "/v1/events", params=wanted, headers=headers) as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        before = gateway.live.clients
        await until(lambda: gateway.live.clients >= max(1, before))
        yield Events(answer)


async def test_the_life_of_a_command_is_told_as_it_is_stored(gateway: Gateway) -> None:
    async with listening(gateway, types="command") as events, gateway.client() as client:
        taken = (await client.post("/v1/commands", json=MARK)).json()
        kinds = []
        while "command.executed" not in kinds:
            kind, data = await events.next()
            kinds.append(kind)
            assert data["event"]["command"] == taken["command"]
            assert data["event"]["type"] == kind
            assert data["subject"].startswith("cmd.demo.")
    assert kinds == ["command.permitted", "command.claimed", "command.executed"]
    assert events.last == "c3"


async def test_who_comes_again_misses_nothing_and_hears_nothing_twice(gateway: Gateway) -> None:
    async with gateway.client() as client:
        async with listening(gateway, types="command") as events:
            await client.post("/v1/commands", json=MARK, params={"wait": 5})
            await events.until("command.permitted")
        for number in range(5):
            await client.post(
                "/v1/commands", json={**MARK, "arguments": {"PERCENT": number}}, params={"wait": 5}
            )
        async with listening(gateway, last=events.last, types="command") as again:
            missed = [await again.next() for _ in range(17)]
            await client.post("/v1/commands", json=MARK, params={"wait": 5})
            after = [await again.next() for _ in range(3)]
    numbers = [data["sequence"] for _kind, data in (*missed, *after)]
    assert numbers == list(range(2, 22))


async def test_another_gateway_goes_on_where_the_first_ended(tmp_path: Path) -> None:
    async with gateway_of(tmp_path / "a") as first:
        async with first.client() as client, listening(first, types="command") as events:
            await client.post("/v1/commands", json=MARK, params={"wait": 5})
            await events.until("command.executed")
            await first.stop()
            assert await events.rest() == [("cut", {"reason": "stopping"})]
        async with (
            gateway_of(tmp_path / "b", broker=first.plant.broker, plant=first.plant) as second,
            second.client() as client,
        ):
            await client.post("/v1/commands", json=MARK, params={"wait": 5})
            async with listening(second, last=events.last, types="command") as again:
                assert (await again.next())[1]["sequence"] == 4


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Nats-Sequence": "1"},
        {"Nats-Stream": "COMMANDS"},
        {"Nats-Stream": "COMMANDS", "Nats-Sequence": "0"},
        {"Nats-Stream": "COMMANDS", "Nats-Sequence": "-1"},
        {"Nats-Stream": "COMMANDS", "Nats-Sequence": "\u0661"},
        {"Nats-Stream": "COMMANDS", "Nats-Sequence": "9" * 5000},
        {"Nats-Stream": "TAGS", "Nats-Sequence": "1"},
    ],
)
async def test_what_the_log_has_not_repeated_is_told_to_nobody(
    gateway: Gateway, headers: dict[str, str]
) -> None:
    forged = {"type": "command.executed", "command": "c" * 40, "asset": "pump-001"}
    message = Message("cmd.demo.executed.adapter-plc1.c1", json.dumps(forged).encode(), headers)
    async with (
        listening(gateway, types="command") as events,
        gateway.live.following("c" * 40) as follower,
        gateway.client() as client,
    ):
        gateway.plant.broker.deliver(message)
        await client.post("/v1/commands", json=MARK, params={"wait": 5})
        kind, data = await events.next()
    assert (kind, data["sequence"], events.last) == ("command.permitted", 1, "c1")
    assert follower.events == []


async def test_only_what_is_wanted_is_told(gateway: Gateway) -> None:
    async with (
        listening(gateway, types="command.executed", assets="pump-001") as pump,
        listening(gateway, types="command.executed") as both,
        gateway.client() as client,
    ):
        await client.post("/v1/commands", json=MARK, params={"wait": 5})
        stop = {"asset": "pump-001", "operation": "StopPump"}
        await client.post("/v1/commands", json=stop, params={"wait": 5})
        assert [(await both.next())[1]["event"]["decision"]["asset"] for _ in range(2)] == [
            "valve-001",
            "pump-001",
        ]
        kind, data = await pump.next()
    assert (kind, data["event"]["decision"]["asset"]) == ("command.executed", "pump-001")


async def test_changed_tags_are_told_with_their_quality_and_resumed_by_what_they_are_now(
    gateway: Gateway,
) -> None:
    async with listening(gateway, types="tag", tags="plc1.*") as events:
        gateway.plant.set_tag("plc1.setpoint", 900.0)
        kind, data = await events.next()
        assert (kind, [(each["tag"], each["value"]) for each in data["tags"]]) == (
            "tag.changed",
            [("plc1.setpoint", 900.0)],
        )
        assert data["tags"][0]["quality"] == 192
    gateway.plant.set_tag("opc1.command", 5.0)
    gateway.plant.set_tag("plc1.temperature", 61.0)
    gateway.plant.set_tag("plc1.temperature", 62.0)
    async with listening(gateway, last=events.last, types="tag", tags="plc1.*") as again:
        _kind, data = await again.next()
    assert [(each["tag"], each["value"]) for each in data["tags"]] == [("plc1.temperature", 62.0)]


async def test_an_asset_bounds_its_tags_too(gateway: Gateway) -> None:
    async with listening(gateway, types="tag", assets="valve-001") as events:
        gateway.plant.set_tag("plc1.setpoint", 900.0)
        gateway.plant.set_tag("opc1.command", 7.0)
        _kind, data = await events.next()
    assert [each["tag"] for each in data["tags"]] == ["opc1.command"]


async def test_all_are_cut_when_the_gateway_itself_missed_something(gateway: Gateway) -> None:
    async with gateway.client() as client, listening(gateway, types="command") as events:
        await client.post("/v1/commands", json=MARK, params={"wait": 5})
        await events.until("command.executed")
        last = events.last
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(gateway.plant.broker, "deliver", lambda _message: None)
            await client.post("/v1/commands", json=MARK)
        await client.post("/v1/commands", json=MARK)
        assert (await events.rest())[-1] == ("cut", {"reason": "missed"})
        async with listening(gateway, last=last, types="command") as again:
            numbers = [(await again.next())[1]["sequence"] for _ in range(6)]
    assert numbers == [4, 5, 6, 7, 8, 9]


async def test_who_is_far_behind_is_told_in_parts_and_comes_again(gateway: Gateway) -> None:
    async with gateway.client() as client:
        for number in range(40):
            await client.post(
                "/v1/commands", json={**MARK, "arguments": {"PERCENT": number}}, params={"wait": 5}
            )
    last, seen = "c0", list[int]()
    for _part in range(3):
        async with listening(gateway, last=last, types="command") as events:
            while len(seen) < 120:
                kind, data = await events.next()
                if kind == "cut":
                    assert data == {"reason": "behind"}
                    break
                seen.append(data["sequence"])
            last = events.last
    assert seen == list(range(1, 121))


async def test_a_client_that_does_not_fetch_is_cut_and_nothing_more_is_kept_for_it() -> None:
    outlet = Outlet()
    chunk = Chunk("tags", 1, b"x" * 10_000)
    for _ in range(MAX_BYTES // 10_000 + 1):
        outlet.put(chunk)
    assert outlet.cut_for == "slow"
    assert outlet.is_idle
    assert await outlet.take() == []


async def test_a_thousand_who_want_the_same_share_its_bytes(gateway: Gateway) -> None:
    wanted = Wanted.parse("tag", "", "", "sse")
    async with AsyncExitStack() as stack:
        outlets = [await stack.enter_async_context(gateway.live.listening(wanted)) for _ in range(1000)]
        gateway.plant.set_tag("plc1.setpoint", 3.0)
        told = [(await asyncio.wait_for(outlet.take(), WAIT_SECONDS))[0].data for outlet in outlets]
    assert len({id(each) for each in told}) == 1
    assert gateway.live.clients == 0


async def test_a_websocket_tells_the_same_and_says_why_it_ends(gateway: Gateway) -> None:
    address = gateway.url.replace("http", "ws") + "/v1/events/ws?types=command"
    async with (
        connect(address, additional_headers={"X-Roles": "viewer"}) as socket,
        gateway.client() as client,
    ):
        await until(lambda: gateway.live.clients == 1)
        await client.post("/v1/commands", json=MARK, params={"wait": 5})
        told = [json.loads(await asyncio.wait_for(socket.recv(), WAIT_SECONDS)) for _ in range(3)]
        assert [each["type"] for each in told] == [
            "command.permitted",
            "command.claimed",
            "command.executed",
        ]
        assert [each["id"] for each in told] == ["c1", "c2", "c3"]
        async with connect(f"{address}&after=c1", additional_headers={"X-Roles": "viewer"}) as again:
            assert json.loads(await asyncio.wait_for(again.recv(), WAIT_SECONDS))["data"]["sequence"] == 2
        gateway.desk.stopping.set()
        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(socket.recv(), WAIT_SECONDS)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1012, "stopping")


async def test_a_client_that_goes_leaves_nothing_behind(gateway: Gateway) -> None:
    for _ in range(3):
        async with listening(gateway, types="command"):
            pass
    await until(lambda: gateway.live.clients == 0)


@pytest.mark.parametrize(
    "query",
    [
        "after=x",
        "after=c1-",
        "types=Command",
        "types=a%0Ab",
        "assets=a.b",
        "tags=a%20b",
        f"types={'a,' * 300}",
    ],
)
async def test_what_cannot_be_meant_is_refused(gateway: Gateway, query: str) -> None:
    async with gateway.client() as client:
        answer = await client.get(f"/v1/events?{query}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")


async def test_a_twin_that_is_away_is_told_by_the_status(gateway: Gateway) -> None:
    await gateway.plant.close()
    async with gateway.client() as client:
        answer = await client.get("/v1/events?types=tag")
    assert answer.status_code == 503


@pytest.mark.parametrize("text", ["", "c12", "t345", "c12-t345"])
def test_a_position_reads_back_as_it_was_written(text: str) -> None:
    assert str(Position.parse(text)) == text


def test_a_bare_number_is_a_place_among_commands() -> None:
    assert Position.parse("17") == Position(17, None)


def test_a_tag_must_be_of_the_asset_and_among_the_names() -> None:
    wanted = Wanted.parse("", "a", "x,y*", "sse")
    chosen = TagFilter(wanted, {"a": ("x", "y1", "z"), "b": ("y2",)})
    assert [name for name in ("x", "y1", "y2", "z") if chosen.wants(name)] == ["x", "y1"]
