"""The agent over HTTP: as TwinOps answers, and as turns that can be followed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import msgspec
import pytest

from plantops.events.conversation import ToolOutcome
from support.gateway_plant import Gateway, gateway, gateway_of

__all__ = ["gateway"]


async def test_the_seeds_request_is_answered_in_the_seeds_shape(gateway: Gateway) -> None:
    outcome = ToolOutcome(
        tool="pump-001__SetSpeed", status="simulated_only", success=True, simulated=True, handle="c7"
    )
    gateway.plant.chat.says = lambda _asked: [
        {"text": "Simu"},
        {"text": "Simulated.", "outcomes": (outcome,), "handle": "c7"},
    ]
    async with gateway.client() as client:
        answer = await client.post("/chat", json={"message": "Set speed to 1200 RPM"})
    assert answer.status_code == 200
    told = answer.json()
    assert told["reply"] == "Simulated."
    assert told["tool_results"] == [
        {
            "tool": "SetSpeed",
            "asset": "pump-001",
            "success": True,
            "result": None,
            "error": None,
            "simulated": True,
            "status": "simulated_only",
        }
    ]
    assert (told["pending_approval"], told["task_id"]) == (False, "task-c7")


@pytest.mark.parametrize(
    ("tool", "named"),
    [
        ("pump-001__SetSpeed", ("SetSpeed", "pump-001")),
        ("valve-001__SetPosition", ("SetPosition", "valve-001")),
        ("twin-get", ("twin-get", "")),
        ("pump-999__SetSpeed", ("pump-999__SetSpeed", "")),
    ],
)
async def test_an_operation_has_its_plain_name_and_says_of_what_it_is(
    gateway: Gateway, tool: str, named: tuple[str, str]
) -> None:
    outcome = ToolOutcome(tool=tool, status="completed", success=True)
    gateway.plant.chat.says = lambda _asked: [{"text": "Done.", "outcomes": (outcome,)}]
    async with gateway.client() as client:
        (told,) = (await client.post("/chat", json={"message": "Do it"})).json()["tool_results"]
    assert (told["tool"], told["asset"]) == named


async def test_what_waits_to_be_confirmed_is_no_approval_and_what_waits_for_one_is(gateway: Gateway) -> None:
    waits = ToolOutcome(tool="t", status="pending_approval", success=True, simulated=True, handle="c7")
    for what, pending, status in (
        ("confirmation", False, "simulated_only"),
        ("approval", True, "pending_approval"),
    ):
        outcome = msgspec.structs.replace(waits, result={"waiting_for": what})
        state = {"text": "It waits.", "outcomes": (outcome,), "handle": "c7", "pending_approval": True}
        gateway.plant.chat.says = lambda _asked, state=state: [state]  # type: ignore[misc]
        async with gateway.client() as client:
            told = (await client.post("/chat", json={"message": "Start the pump"})).json()
        assert (told["pending_approval"], told["task_id"]) == (pending, "task-c7")
        assert told["tool_results"][0]["status"] == status


async def test_a_denial_is_an_answer(gateway: Gateway) -> None:
    outcome = ToolOutcome(tool="t", status="denied", success=False, error="no role of carol covers it")
    gateway.plant.chat.says = lambda _asked: [{"text": "Denied.", "outcomes": (outcome,)}]
    async with gateway.client("viewer") as client:
        answer = await client.post("/chat", json={"message": "Start the pump"})
    assert answer.status_code == 200
    assert answer.json()["tool_results"][0]["status"] == "denied"
    assert answer.json()["tool_results"][0]["error"] == "no role of carol covers it"
    assert answer.json()["task_id"] is None


@pytest.mark.parametrize(
    ("body", "code", "details"),
    [
        (b"{", "invalid_json", None),
        (b"", "invalid_json", None),
        (b"{}", "missing_field", {"field": "message"}),
        (b"[]", "bad_request", None),
        (b'{"message":""}', "missing_field", {"field": "message"}),
        (b'{"message":"x","key":""}', "bad_request", None),
        (b'{"message":3}', "bad_request", None),
    ],
)
async def test_bad_requests_have_the_codes_of_the_peer(
    gateway: Gateway, body: bytes, code: str, details: object
) -> None:
    async with gateway.client(Content_Type="application/json") as client:
        answer = await client.post("/chat", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == code
    assert answer.json()["error"].get("details") == details
    assert gateway.plant.chat.asked == []


async def test_an_agent_that_is_away_is_told(gateway: Gateway) -> None:
    await gateway.plant.close()
    async with gateway.client() as client:
        answer = await client.post("/chat", json={"message": "hello"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "server_not_ready")


async def test_the_same_key_is_one_turn_for_one_caller_and_another_for_another(gateway: Gateway) -> None:
    async with (
        gateway.client(Idempotency_Key="r-1") as alice,
        gateway.client("viewer", Idempotency_Key="r-1") as carol,
    ):
        first = (await alice.post("/chat", json={"message": "status"})).json()
        again = (await alice.post("/chat", json={"message": "status"})).json()
        other = (await carol.post("/chat", json={"message": "status"})).json()
    assert (first["conversation"], first["turn"]) == (again["conversation"], again["turn"])
    assert other["conversation"] != first["conversation"]
    assert [each.on_behalf_of for each in gateway.plant.chat.asked] == [("alice",), ("carol",)]


async def test_a_conversation_goes_on_and_is_nobody_elses(gateway: Gateway) -> None:
    async with gateway.client() as alice, gateway.client("viewer") as carol:
        first = (await alice.post("/chat", json={"message": "one"})).json()
        body = {"message": "two", "conversation": first["conversation"]}
        second = (await alice.post("/chat", json=body)).json()
        stranger = await carol.post("/chat", json=body)
        assert second["turn"] == 2
        assert stranger.status_code == 404
        place = f"/v1/chat/{first['conversation']}"
        told = (await alice.get(place)).json()
        assert [each["question"] for each in told["turns"]] == ["one", "two"]
        assert (await carol.get(place)).status_code == 404
        assert (await alice.post(f"{place}/reset")).json() == {"status": "ok"}
        assert (await alice.post("/reset")).json() == {"status": "ok"}
    assert gateway.plant.chat.resets == [first["conversation"]]


async def test_a_turn_is_taken_at_once_and_its_answer_told_as_it_comes(gateway: Gateway) -> None:
    gateway.plant.chat.says = lambda _asked: [
        {"text": "The"},
        {"text": "The pump"},
        {"text": "The pump runs."},
    ]
    async with gateway.client() as client:
        taken = await client.post("/v1/chat", json={"message": "how is it?"})
        assert taken.status_code == 202
        place = taken.headers["location"]
        assert (await client.get(place)).json()["text"] == "The"
        newer = (await client.get(place, params={"after": 1, "wait": 5})).json()
        assert (newer["revision"], newer["status"]) == (2, "open")
        stream = await client.get(taken.json()["links"]["stream"])
        assert stream.headers["content-type"].startswith("text/event-stream")
        texts = [json.loads(line[6:])["text"] for line in stream.text.splitlines() if line[:6] == "data: "]
        missing = await client.get("/v1/chat/nobody/turns/1/stream")
    assert texts == ["The", "The pump", "The pump runs."]
    assert missing.status_code == 404


async def test_a_turn_outlives_the_gateway_that_was_asked(tmp_path: Path) -> None:
    async with gateway_of(tmp_path / "a") as first:
        async with first.client() as client:
            place = (await client.post("/v1/chat", json={"message": "hello"})).headers["location"]
        await first.stop()
        async with (
            gateway_of(tmp_path / "b", broker=first.plant.broker, plant=first.plant) as second,
            second.client() as client,
        ):
            told = (await client.get(place, params={"wait": 5})).json()
    assert told["text"] == "You said: hello"


async def test_many_chats_at_once_do_not_wait_for_each_other(gateway: Gateway) -> None:
    async with gateway.client() as client:
        answers = await asyncio.gather(
            *(client.post("/chat", json={"message": f"m{number}"}) for number in range(20))
        )
    assert [each.json()["reply"] for each in answers] == [f"You said: m{number}" for number in range(20)]
