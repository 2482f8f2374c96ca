"""Operations that an AAS server delegates here: signed both ways, and never done twice."""

from __future__ import annotations

import json
import secrets
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from plantops.gate.returned import MAX_RETURNED
from plantops.runtime.http_signing import (
    KEY_HEADER,
    SIGNATURE_HEADER,
    SIMULATE_HEADER,
    SignedRequest,
    SignedResponse,
    SigningKey,
    sign_request,
    verify_response,
)
from support.gateway_plant import SECRET, Gateway, gateway, gateway_of

__all__ = ["gateway"]

KEY = SigningKey("aas-1", SECRET)
MOVE = "/delegate/valve-001/SetPosition"


def percent(told: str | None, **changed: object) -> dict[str, Any]:
    one = {"modelType": "Property", "idShort": "PERCENT", "valueType": "xs:double", "value": told}
    return {"value": {**one, **changed}}


async def ask(  # noqa: PLR0917
    gateway: Gateway,
    variables: object,
    path: str = MOVE,
    key: SigningKey = KEY,
    nonce: str = "",
    simulate: bool = False,
    idempotency: str = "",
    sent: bytes | None = None,
) -> tuple[httpx.Response, str]:
    """A signed request; `sent` is another body than the one that is signed."""
    body, nonce = json.dumps(variables).encode(), nonce or secrets.token_hex(16)
    request = SignedRequest("POST", path, body, idempotency, simulate)
    signature = sign_request(key, request, time_ms=time.time_ns() // 1_000_000, nonce=nonce)
    headers = {"Content-Type": "application/json", SIGNATURE_HEADER: str(signature)}
    if simulate:
        headers[SIMULATE_HEADER] = "true"
    if idempotency:
        headers[KEY_HEADER] = idempotency
    async with gateway.client("") as client:
        return await client.post(path, content=body if sent is None else sent, headers=headers), nonce


def executed(gateway: Gateway) -> int:
    return len([subject for _s, subject, _d in gateway.plant.log if ".executed." in subject])


async def test_a_signed_operation_is_carried_out_for_its_principal_and_answered_signed(
    gateway: Gateway,
) -> None:
    answer, nonce = await ask(gateway, [percent("40")])
    assert answer.status_code == 200, answer.text
    assert answer.json() == []
    verify_response(KEY, answer.headers[SIGNATURE_HEADER], SignedResponse(200, answer.content), nonce=nonce)
    asked = next(iter(gateway.plant.story.state.asked.values())).intent
    assert (asked.arguments, asked.actor, asked.on_behalf_of) == ({"PERCENT": 40.0}, "gateway", ("alice",))


@pytest.mark.parametrize("forged", [None, "v1;key=aas-1", "x" * 200, "v1;key=ä"])
async def test_without_a_good_signature_nothing_is_asked(gateway: Gateway, forged: str | None) -> None:
    headers = [] if forged is None else [(SIGNATURE_HEADER.encode(), forged.encode("latin-1"))]
    async with gateway.client("") as client:
        answer = await client.post(MOVE, json=[percent("40")], headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthorized")
    assert gateway.plant.story.state.asked == {}


async def test_a_demo_caller_is_no_delegate(gateway: Gateway) -> None:
    async with gateway.client("operator") as client:
        answer = await client.post(MOVE, json=[percent("40")])
    assert answer.status_code == 401


async def test_another_body_path_key_or_secret_is_refused(gateway: Gateway) -> None:
    stranger = SigningKey("aas-2", SECRET)
    thief = SigningKey("aas-1", SECRET[::-1])
    answers = [
        (await ask(gateway, [percent("40")], sent=json.dumps([percent("41")]).encode()))[0],
        (await ask(gateway, [percent("40")], key=stranger))[0],
        (await ask(gateway, [percent("40")], key=thief))[0],
    ]
    assert {each.status_code for each in answers} == {401}
    assert gateway.plant.story.state.asked == {}


async def test_a_replay_is_refused_here_and_the_same_command_elsewhere(tmp_path: Path) -> None:
    async with gateway_of(tmp_path / "a") as first:
        taken, nonce = await ask(first, [percent("40")])
        again, _nonce = await ask(first, [percent("40")], nonce=nonce)
        assert (taken.status_code, again.status_code) == (200, 401)
        async with gateway_of(tmp_path / "b", broker=first.plant.broker, plant=first.plant) as second:
            elsewhere, _nonce = await ask(second, [percent("40")], nonce=nonce)
            changed, _nonce = await ask(second, [percent("90")], nonce=secrets.token_hex(16))
        assert (elsewhere.status_code, changed.status_code) == (200, 200)
        assert executed(first) == 2


async def test_a_signed_key_makes_a_repetition_one_command(gateway: Gateway) -> None:
    first, _ = await ask(gateway, [percent("40")], idempotency="job-1")
    again, _ = await ask(gateway, [percent("40")], idempotency="job-1")
    other, _ = await ask(gateway, [percent("41")], idempotency="job-1")
    assert [each.status_code for each in (first, again, other)] == [200, 200, 409]
    assert executed(gateway) == 1


async def test_a_repetition_is_told_the_outputs_of_the_first_time(gateway: Gateway) -> None:
    gateway.plant.outputs = {"seconds": 2.5, "place": "A"}
    first, _ = await ask(gateway, [percent("40")], idempotency="job-1")
    story = gateway.plant.story
    story.state = story.gate.load(story.gate.dump(story.state))  # as after a restart of the gate
    again, _ = await ask(gateway, [percent("40")], idempotency="job-1")
    assert (first.status_code, again.status_code) == (200, 200), again.text
    told = {one["value"]["idShort"]: one["value"]["value"] for one in first.json()}
    assert told == {"seconds": "2.5", "place": "A"}
    assert again.content == first.content
    assert executed(gateway) == 1


async def test_outputs_that_the_gate_does_not_keep_are_told_once_and_never_left_out(gateway: Gateway) -> None:
    gateway.plant.outputs = {"trace": "x" * MAX_RETURNED}
    first, _ = await ask(gateway, [percent("40")], idempotency="job-1")
    again, _ = await ask(gateway, [percent("40")], idempotency="job-1")
    assert (first.status_code, again.status_code) == (200, 409)
    assert len(first.json()) == 1
    assert again.json()["error"]["details"]["state"] == "executed"
    assert executed(gateway) == 1


async def test_what_a_person_must_confirm_is_not_done(gateway: Gateway) -> None:
    speed = {"modelType": "Property", "idShort": "RPM", "valueType": "xs:int", "value": "1200"}
    answer, _ = await ask(gateway, [{"value": speed}], "/delegate/pump-001/SetSpeed")
    assert answer.status_code == 409
    assert answer.json()["error"]["details"]["waits_for"] == "confirmation"
    simulated, nonce = await ask(gateway, [{"value": speed}], "/delegate/pump-001/SetSpeed", simulate=True)
    assert (simulated.status_code, simulated.headers[SIMULATE_HEADER]) == (200, "true")
    told = SignedResponse(200, simulated.content, simulated=True)
    verify_response(KEY, simulated.headers[SIGNATURE_HEADER], told, nonce=nonce)
    assert executed(gateway) == 0


async def test_what_the_gate_denies_is_told_with_its_reason(gateway: Gateway) -> None:
    answer, _ = await ask(gateway, [percent("140")])
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
    assert "outside" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({}, "no list"),
        ([{}], "no list"),
        ([percent("much")], "PERCENT"),
        ([percent("1", modelType="Range")], "no Property"),
        ([percent("1", idShort="a.b")], "no idShort"),
        ([percent(None)], "no value"),
        ([percent("1"), percent("2")], "twice"),
    ],
)
async def test_what_is_no_list_of_variables_is_refused(
    gateway: Gateway, variables: object, told: str
) -> None:
    answer, _ = await ask(gateway, variables)
    assert answer.status_code == 400
    assert told in answer.json()["error"]["message"]
    assert gateway.plant.story.state.asked == {}
