"""The seed's quick start against a whole site, its commands as written; and what outlives a gateway."""

from __future__ import annotations

import asyncio
import json
import shlex
import subprocess
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from support.site import RunningSite, make_site, until

SET_SPEED = """curl -s http://localhost:8080/chat \
  -H 'Content-Type: application/json' \
  -H 'X-Roles: operator' \
  -d '{"message":"Set speed to 1200 RPM"}'"""
START = """curl -s -X POST http://localhost:8080/chat \
  -H 'Content-Type: application/json' \
  -H 'X-Roles: operator' \
  -d '{"message": "Start the pump"}'"""
VALVE = {"asset": "valve-001", "operation": "SetPosition", "arguments": {"PERCENT": 40}}
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSite]:
    """A site with tools, agent and gateway."""
    made = make_site(tmp_path_factory.mktemp("site") / "demo", front=True)
    try:
        asyncio.run(made.start())
        yield made
        made.stop()
    finally:
        if made.process is not None:
            made.clear(made.process)


@pytest.fixture
async def http(site: RunningSite) -> AsyncIterator[httpx.AsyncClient]:
    url = f"http://127.0.0.1:{site.running.gateway}"
    async with httpx.AsyncClient(base_url=url, timeout=60.0, headers={"X-Roles": "operator"}) as client:
        await _ready(client)
        yield client


async def _ready(client: httpx.AsyncClient) -> None:
    async def look() -> int:
        try:
            return (await client.get("/ready")).status_code
        except httpx.TransportError:
            return 0

    await until(look, lambda status: status == 200, "the gateway is ready")
    ask = {"content": b'{"message": "status"}', "headers": JSON}

    async def chats() -> int:
        return (await client.post("/chat", **ask)).status_code  # type: ignore[arg-type]

    await until(chats, lambda status: status == 200, "the agent answers")


def _curl(site: RunningSite, command: str) -> Any:
    """As it is written, but for the port, which is another one in each test."""
    words = shlex.split(command.replace(":8080", f":{site.running.gateway}"))
    done = subprocess.run([*words, "-m", "60"], capture_output=True, check=True)
    return json.loads(done.stdout)


async def test_the_quick_start_simulates_and_asks_for_a_confirmation(
    site: RunningSite, http: httpx.AsyncClient
) -> None:
    for command, tool in ((SET_SPEED, "SetSpeed"), (START, "StartPump")):
        told = await asyncio.to_thread(_curl, site, command)
        assert set(told) >= {"reply", "tool_results", "pending_approval", "task_id"}
        result = told["tool_results"][-1]
        assert tool in result["tool"]
        assert (result["success"], result["simulated"], result["status"]) == (True, True, "simulated_only")
        assert told["pending_approval"] is False
        done = (await http.post(f"/tasks/{told['task_id']}/execute")).json()
        assert done["tool_results"][0]["success"] is True, done
        again = (await http.post(f"/tasks/{told['task_id']}/execute")).json()
        assert again["tool_results"][0]["success"] is False
    async with site.session("carol") as carol:
        await site.tag(carol, "plc1.pump.speed_setpoint", lambda tag: tag.value == 1200, "is 1200")


async def test_a_viewer_is_denied_as_an_answer(http: httpx.AsyncClient) -> None:
    answer = await http.post("/chat", json={"message": "Start the pump"}, headers={"X-Roles": "viewer"})
    assert answer.status_code == 200
    assert answer.json()["tool_results"][-1]["status"] == "denied", answer.text


async def test_live_events_have_no_hole_on_a_real_broker_and_go_on_after_a_kill(
    site: RunningSite, http: httpx.AsyncClient
) -> None:
    first = await _numbers(http, "", 3)
    assert first == list(range(first[0], first[0] + 3))
    await _standing(http)
    waiting = (await http.post("/v1/commands?wait=20", json={**_reset(), "key": "kill-1"})).json()
    assert waiting["waits_for"] == "approval", waiting
    await site.kill("gateway")
    url = f"http://127.0.0.1:{site.running.gateway}"
    async with httpx.AsyncClient(base_url=url, timeout=60.0, headers={"X-Roles": "operator"}) as again:
        await _ready(again)
        missed = await _numbers(again, f"c{first[-1]}", 4)
        assert missed == list(range(first[-1] + 1, first[-1] + 5))
        tasks = (await again.get("/tasks")).json()["tasks"]
        assert f"task-{waiting['handle']}" in [each["task_id"] for each in tasks]
        same = (await again.post("/v1/commands?wait=20", json={**_reset(), "key": "kill-1"})).json()
        assert same["command"] == waiting["command"]
        denied = await again.post(f"/tasks/task-{waiting['handle']}/approve")
        assert denied.status_code == 403
        approved = await again.post(
            f"/tasks/task-{waiting['handle']}/approve", headers={"X-Roles": "supervisor"}
        )
        assert approved.status_code == 200, approved.text


async def _standing(client: httpx.AsyncClient) -> None:
    """The pump has come to rest: the policy resets no fault of one that turns."""
    await client.post("/v1/commands?wait=20", json={"asset": "pump-001", "operation": "StopPump"})

    async def speed() -> float:
        return float((await client.get("/v1/tags/plc1.pump.speed")).json()["value"])

    await until(speed, lambda rpm: rpm < 50, "the pump stands")


def _reset() -> dict[str, object]:
    return {"asset": "pump-001", "operation": "ResetFault", "arguments": {}}


async def _numbers(client: httpx.AsyncClient, last: str, count: int) -> list[int]:
    """The sequences of so many command events, while a command is asked for that makes three."""
    found: list[int] = []
    headers = {"Last-Event-ID": last} if last else {}
    async with (
        asyncio.timeout(60),
        client.stream("GET", "/v1/events", params={"types": "command"}, headers=headers) as answer,
    ):
        assert answer.status_code == 200
        asking = asyncio.create_task(client.post("/v1/commands?wait=20", json=VALVE))
        async for line in answer.aiter_lines():
            assert line != "event: cut"
            if line.startswith("data: "):
                found.append(json.loads(line[6:])["sequence"])
            if len(found) == count:
                break
        assert (await asking).status_code == 200
    return found
