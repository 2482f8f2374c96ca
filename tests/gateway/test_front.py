"""Whatever happens behind it, a request gets one kind of answer, with its identity and safe headers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import msgspec
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from plantops.gateway.settings import DemoSettings, GatewaySettings, LimitSettings, RateSettings
from support.gateway_frame import Frame, frame, frame_of, problem, serve_gate

__all__ = ["frame"]


async def test_a_known_caller_is_let_in_with_the_roles_of_the_policy(frame: Frame) -> None:
    async with frame.client(X_Roles="operator") as client:
        answer = await client.get("/v1/me", headers={"X-Request-ID": "my-own.1"})
    assert answer.status_code == 200
    assert answer.json() == {
        "name": "alice",
        "roles": ["operator", "supervisor"],
        "how": "demo",
        "request": "my-own.1",
    }
    assert answer.headers["x-request-id"] == "my-own.1"


async def test_a_request_without_credentials_is_told_so_in_the_envelope(frame: Frame) -> None:
    async with frame.client() as client:
        answer = await client.get("/v1/me")
    assert answer.status_code == 401
    assert problem(answer)["code"] == "unauthorized"
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/nowhere", None, 404, "not_found"),
        ("GET", "/openapi/anything", None, 404, "not_found"),
        ("DELETE", "/v1/me", None, 405, "method_not_allowed"),
        ("POST", "/v1/echo", b"{", 400, "invalid_json"),
        ("POST", "/v1/echo", b"\xff\xfe", 400, "invalid_json"),
        ("POST", "/v1/echo", b"{}", 400, "missing_field"),
        ("POST", "/v1/echo", b"[]", 400, "bad_request"),
        ("POST", "/v1/echo", b'{"message": 3}', 400, "bad_request"),
        ("POST", "/v1/echo", b'{"message": "' + b"x" * 300_000 + b'"}', 413, "payload_too_large"),
        ("GET", "/v1/broken", None, 500, "operation_failed"),
        ("GET", "/v1/foreign", None, 404, "not_found"),
    ],
)
async def test_every_refusal_has_the_one_envelope(  # noqa: PLR0917
    frame: Frame, method: str, path: str, body: bytes | None, status: int, code: str
) -> None:
    async with frame.client(X_Roles="operator") as client:
        answer = await client.request(method, path, content=body)
    assert answer.status_code == status, answer.text
    assert problem(answer)["code"] == code
    assert "secret of the inside" not in answer.text


async def test_a_body_without_a_length_is_bounded_too(frame: Frame) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _number in range(100):
            yield b"x" * 10_000

    async with frame.client(X_Roles="operator") as client:
        answer = await client.post("/v1/echo", content=parts())
    assert answer.status_code == 413
    assert problem(answer)["details"] == {"limit": 262_144}


@pytest.mark.parametrize("sent", ["a b", "x" * 65, "../../etc", "né", "a\tb", ""])
async def test_a_request_id_that_cannot_stand_in_a_log_is_replaced(frame: Frame, sent: str) -> None:
    async with frame.client(X_Roles="operator") as client:
        answer = await client.get("/v1/me", headers=[(b"X-Request-ID", sent.encode("latin-1"))])
    assert answer.json()["request"] == answer.headers["x-request-id"] != sent
    assert len(answer.headers["x-request-id"]) == 24


async def test_every_answer_carries_the_security_headers(frame: Frame) -> None:
    async with frame.client(X_Roles="operator") as client:
        answers = [await client.get("/v1/me"), await client.get("/nowhere"), await client.get("/health")]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in answer.headers
        assert "server" not in answer.headers


async def test_a_page_of_another_origin_changes_nothing(frame: Frame) -> None:
    async with frame.client(X_Roles="operator") as client:
        foreign = await client.post(
            "/v1/echo", json={"message": "a"}, headers={"Origin": "https://evil.example"}
        )
        hidden = await client.post(
            "/v1/echo", json={"message": "a"}, headers={"Sec-Fetch-Site": "cross-site"}
        )
        null = await client.post("/v1/echo", json={"message": "a"}, headers={"Origin": "null"})
        own = await client.post("/v1/echo", json={"message": "a"}, headers={"Origin": frame.url})
    assert [each.status_code for each in (foreign, hidden, null, own)] == [403, 403, 403, 201]
    assert problem(foreign)["code"] == "forbidden"


async def test_a_websocket_needs_credentials_and_the_own_origin(frame: Frame) -> None:
    address = frame.url.replace("http", "ws") + "/v1/talk"
    with pytest.raises(InvalidStatus) as nobody:
        await connect(address, open_timeout=20)
    assert nobody.value.response.status_code == 401
    assert b'"unauthorized"' in (nobody.value.response.body or b"")
    with pytest.raises(InvalidStatus) as foreign:
        await connect(address, additional_headers={"X-Roles": "operator", "Origin": "https://evil.example"})
    assert foreign.value.response.status_code == 403
    async with connect(address, additional_headers={"X-Roles": "operator"}) as talk:
        await talk.send("abc")
        assert await talk.recv() == "cba"


async def test_a_websocket_takes_no_endless_message(frame: Frame) -> None:
    address = frame.url.replace("http", "ws") + "/v1/talk"
    async with connect(address, additional_headers={"X-Roles": "operator"}) as talk:
        await talk.send("x" * 100_000)
        with pytest.raises(ConnectionClosed) as closed:
            await talk.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009


def limited(**limits: RateSettings) -> GatewaySettings:
    return GatewaySettings(
        port=0,
        demo=DemoSettings(enabled=True),
        limits=msgspec.structs.replace(LimitSettings(), **limits),
    )


async def test_a_caller_over_his_limit_is_told_when_to_come_again_and_nobody_else_is(tmp_path: Path) -> None:
    settings = limited(caller=RateSettings(per_minute=1, burst=3))
    async with frame_of(tmp_path, settings) as frame, frame.client() as client:
        mine = [await client.get("/v1/me", headers={"X-Roles": "operator"}) for _number in range(4)]
        other = await client.get("/v1/me", headers={"X-Roles": "viewer"})
    assert [each.status_code for each in mine] == [200, 200, 200, 429]
    assert problem(mine[3])["code"] == "rate_limited"
    assert 50 <= int(mine[3].headers["retry-after"]) <= 60
    assert problem(mine[3])["details"] == {"retry_after": int(mine[3].headers["retry-after"])}
    assert other.status_code == 200


async def test_a_stop_is_taken_from_a_caller_over_his_limit_and_nothing_else(tmp_path: Path) -> None:
    settings = limited(caller=RateSettings(per_minute=1, burst=1))
    async with frame_of(tmp_path, settings) as frame, frame.client(X_Roles="operator") as client:
        await client.get("/v1/me")
        start = await client.post("/v1/commands", json={"asset": "pump-001", "operation": "StartPump"})
        stop = await client.post("/v1/commands", json={"asset": "pump-001", "operation": "StopPump"})
    assert start.status_code == 429
    assert problem(start)["code"] == "rate_limited"
    assert stop.json() == {"actor": "gateway", "for": "alice"}


async def test_an_address_that_guesses_waits_and_who_proves_himself_there_does_not(tmp_path: Path) -> None:
    settings = limited(refused=RateSettings(per_minute=1, burst=2))
    async with frame_of(tmp_path, settings) as frame, frame.client() as client:
        guesses = [await client.get("/v1/me", headers={"X-Roles": f"root{n}"}) for n in range(3)]
        right = await client.get("/v1/me", headers={"X-Roles": "operator"})
    assert [each.status_code for each in guesses] == [401, 401, 429]
    assert right.status_code == 200


async def test_health_and_readiness_have_the_shape_of_the_peer(frame: Frame) -> None:
    async with frame.client() as client:
        health = await client.get("/health")
        before = await client.get("/ready")
        await serve_gate(frame)
        ready = await _until_ready(client)
    assert health.status_code == 200
    assert health.json()["status"] == "healthy"
    assert set(health.json()) == {"status", "uptime", "shutting_down"}
    assert before.status_code == 503
    assert before.json()["status"] == "not_ready"
    assert before.json()["checks"] == {
        "bus_connected": True,
        "policy_in_force": True,
        "gate_answers": False,
    }
    assert ready.json() == {
        "status": "ready",
        "checks": {"bus_connected": True, "policy_in_force": True, "gate_answers": True},
        "active_requests": 1,
    }


async def _until_ready(client: httpx.AsyncClient) -> httpx.Response:
    async with asyncio.timeout(20):
        while (answer := await client.get("/ready")).status_code != 200:  # noqa: ASYNC110 - the server tells
            await asyncio.sleep(0.05)
        return answer


async def test_metrics_name_routes_by_their_template_whatever_is_asked(frame: Frame) -> None:
    async with frame.client(X_Roles="operator") as client:
        for number in range(20):
            await client.get(f"/v1/things/{number}")
            await client.get(f"/odd/{number}")
            await client.request(f"ODD{number}", "/v1/me")
        text = (await client.get("/metrics")).text
    lines = [line for line in text.splitlines() if line.startswith("plantops_http_requests_total")]
    assert 'plantops_http_requests_total{method="GET",route="/v1/things/{name}",status="200"} 20.0' in lines
    assert 'plantops_http_requests_total{method="GET",route="unmatched",status="404"} 20.0' in lines
    assert len(lines) <= 4, lines


async def test_metrics_are_for_callers_only_where_the_settings_say_so(tmp_path: Path) -> None:
    settings = GatewaySettings(port=0, demo=DemoSettings(enabled=True), metrics="callers")
    async with frame_of(tmp_path, settings) as frame, frame.client() as client:
        nobody = await client.get("/metrics")
        known = await client.get("/metrics", headers={"X-Roles": "viewer"})
    assert (nobody.status_code, known.status_code) == (401, 200)
