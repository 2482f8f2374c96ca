"""Commands over HTTP: asked once for each key, followed, confirmed, cancelled."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from plantops.events.base import encode_json
from plantops.events.command_parts import INTENT_TYPE
from plantops.policy.document import Delegated
from support.gate_door import signed
from support.gate_samples import PLANT, SITE
from support.gateway_plant import Gateway, gateway, gateway_of, policy_now

__all__ = ["gateway"]

SPEED = {"asset": "pump-001", "operation": "SetSpeed", "arguments": {"RPM": 1200}}
MARK = {"asset": "valve-001", "operation": "SetPosition", "arguments": {"PERCENT": 40}}


async def test_a_command_is_taken_at_once_and_told_where_it_stands(gateway: Gateway) -> None:
    async with gateway.client() as client:
        taken = await client.post("/v1/commands", json=MARK)
        assert taken.status_code == 202, taken.text
        place = taken.headers["location"]
        assert place == f"/v1/commands/{taken.json()['command']}" == taken.json()["links"]["self"]
        told = await client.get(place, params={"wait": 5})
    assert told.status_code == 200
    shown = told.json()
    assert (shown["state"], shown["is_final"], shown["progress"]) == ("executed", True, 1.0)
    assert (shown["by"], shown["requester"], shown["risk"]) == ("gateway", "alice", "medium")


async def test_waiting_gives_the_outcome_in_one_answer(gateway: Gateway) -> None:
    async with gateway.client(Prefer="respond-async, wait=10") as client:
        told = await client.post("/v1/commands", json=MARK)
    assert told.status_code == 200, told.text
    assert told.headers["preference-applied"] == "wait=10"
    assert told.json()["state"] == "executed"


async def test_the_same_key_with_the_same_words_is_the_same_command(gateway: Gateway) -> None:
    async with gateway.client(Idempotency_Key="k-1") as client:
        first, second = (
            await client.post("/v1/commands", json=MARK),
            await client.post("/v1/commands", json=MARK),
        )
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json()["command"] == second.json()["command"]
    assert (first.json()["repeated"], second.json()["repeated"]) == (False, True)
    assert len(gateway.plant.story.state.asked) == 1


async def test_five_at_once_with_one_key_are_one_command(gateway: Gateway) -> None:
    async with gateway.client(Idempotency_Key="k-1") as client:
        answers = await asyncio.gather(*(client.post("/v1/commands", json=MARK) for _ in range(5)))
    assert {each.status_code for each in answers} == {202}
    assert len({each.json()["command"] for each in answers}) == 1
    assert len(gateway.plant.story.state.asked) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"arguments": {"PERCENT": 41}},
        {"operation": "CloseValve", "arguments": {}},
        {"mode": "simulate"},
    ],
)
async def test_the_same_key_with_other_words_is_a_conflict(
    gateway: Gateway, other: dict[str, object]
) -> None:
    async with gateway.client(Idempotency_Key="k-1") as client:
        await client.post("/v1/commands", json=MARK)
        answer = await client.post("/v1/commands", json={**MARK, **other})
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "conflict"
    assert len(gateway.plant.story.state.asked) == 1


async def test_two_callers_with_one_key_ask_for_two_commands(gateway: Gateway) -> None:
    async with gateway.client("operator") as alice, gateway.client("supervisor") as bob:
        first = await alice.post("/v1/commands", json=MARK, headers={"Idempotency-Key": "k"})
        second = await bob.post("/v1/commands", json=MARK, headers={"Idempotency-Key": "k"})
    assert first.json()["command"] != second.json()["command"]


async def test_a_key_outlives_the_gateway(tmp_path: Path) -> None:
    async with gateway_of(tmp_path / "a") as first:
        async with first.client(Idempotency_Key="k") as client:
            before = await client.post("/v1/commands", json=MARK)
        await first.stop()
        async with (
            gateway_of(tmp_path / "b", broker=first.plant.broker, plant=first.plant) as second,
            second.client(Idempotency_Key="k") as client,
        ):
            after = await client.post("/v1/commands", json=MARK)
    assert after.json()["command"] == before.json()["command"]
    assert after.json()["repeated"] is True


async def test_high_risk_waits_for_its_confirmation_which_names_what_was_simulated(gateway: Gateway) -> None:
    async with gateway.client() as client:
        told = (await client.post("/v1/commands", json=SPEED, params={"wait": 5})).json()
        assert (told["state"], told["waits_for"], told["is_final"]) == ("simulated", "confirmation", False)
        wrong = await client.post(told["links"]["confirm"], json={"simulation": "0" * 64})
        assert wrong.status_code == 409
        done = await client.post(
            told["links"]["confirm"], json={"simulation": told["simulation"]}, params={"wait": 5}
        )
        assert (done.status_code, done.json()["state"]) == (200, "executed"), done.text
        again = await client.post(told["links"]["confirm"])
    assert again.status_code == 409
    assert "confirmed already" in again.json()["error"]["message"]


async def test_what_the_policy_does_not_delegate_is_denied_by_the_gate(tmp_path: Path) -> None:
    async with (
        gateway_of(tmp_path, policy=policy_now(delegated=Delegated())) as made,
        made.client() as client,
    ):
        told = (await client.post("/v1/commands", json=SPEED, params={"wait": 5})).json()
        done = await client.post(told["links"]["confirm"], params={"wait": 5})
    assert done.json()["state"] == "denied"
    assert "may confirm for a person up to risk" in done.json()["reason"]


async def test_who_may_not_is_denied_with_the_reason(gateway: Gateway) -> None:
    async with gateway.client("viewer") as client:
        told = await client.post("/v1/commands", json=MARK, params={"wait": 5})
    assert (told.status_code, told.json()["state"]) == (200, "denied")
    assert "no role of carol" in told.json()["reason"]


async def test_an_open_command_is_cancelled_and_its_progress_told_meanwhile(gateway: Gateway) -> None:
    gateway.plant.executes = False
    async with gateway.client() as client:
        place = (await client.post("/v1/commands", json=SPEED)).headers["location"]
        open_now = (await client.get(place)).json()
        listed = (await client.get("/v1/commands", params={"open": True})).json()
        assert open_now["state"] == "simulating"
        assert 0 < open_now["progress"] < 1
        assert [each["command"] for each in listed["commands"]] == [open_now["command"]]
        act = await client.post(open_now["links"]["cancel"], params={"wait": 5})
        assert act.json()["state"] == "done", act.text
        assert (await client.get(place)).json()["state"] == "cancelled"


async def test_what_a_person_signed_himself_is_handed_in_as_it_is(gateway: Gateway) -> None:
    now = datetime.now(UTC)
    words = encode_json(
        {
            **MARK,
            "site": SITE,
            "mode": "execute",
            "actor": "bob",
            "key": "own",
            "nonce": "n",
            "issued_at": now,
            "expires_at": now + timedelta(minutes=5),
            "model": PLANT.digest,
        }
    )
    async with gateway.client() as client:
        told = await client.post(
            "/v1/commands",
            content=signed(words, "bob"),
            headers={"Content-Type": INTENT_TYPE},
            params={"wait": 5},
        )
        forged = await client.post(
            "/v1/commands", content=signed(words, "dave"), headers={"Content-Type": INTENT_TYPE}
        )
        nothing = await client.post("/v1/commands", content=b"{}", headers={"Content-Type": INTENT_TYPE})
    assert (told.json()["state"], told.json()["by"]) == ("executed", "bob"), told.text
    assert forged.status_code == 403
    assert nothing.status_code == 403


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "invalid_json"),
        (b"[]", "bad_request"),
        (b"{}", "missing_field"),
        (b'{"asset":"pump-001"}', "missing_field"),
        (b'{"asset":"pump-001","operation":"SetSpeed","mod":"simulate"}', "bad_request"),
        (b'{"asset":"pump.001","operation":"SetSpeed"}', "bad_request"),
        (b'{"asset":"pump-001","operation":"SetSpeed","arguments":{"RPM":null}}', "bad_request"),
        (b'{"asset":"pump-001","operation":"SetSpeed","arguments":{"RPM":1e999}}', "bad_request"),
    ],
)
async def test_bad_words_are_refused_and_ask_for_nothing(gateway: Gateway, body: bytes, code: str) -> None:
    async with gateway.client(Content_Type="application/json") as client:
        answer = await client.post("/v1/commands", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == code, answer.text
    assert gateway.plant.story.state.asked == {}


async def test_a_form_is_not_read_as_json(gateway: Gateway) -> None:
    async with gateway.client(Content_Type="text/plain") as client:
        answer = await client.post("/v1/commands", content=msgspec.json.encode(MARK))
    assert answer.status_code == 415


async def test_a_command_that_nobody_knows_is_not_found(gateway: Gateway) -> None:
    async with gateway.client() as client:
        for path in ("/v1/commands/c99", "/v1/commands/c99?wait=0.2"):
            assert (await client.get(path)).status_code == 404
        for verb in ("confirm", "cancel", "undo"):
            assert (await client.post(f"/v1/commands/c99/{verb}")).status_code == 404


async def test_the_list_is_paged_without_hole_or_double(gateway: Gateway) -> None:
    async with gateway.client() as client:
        for number in range(7):
            await client.post("/v1/commands", json={**MARK, "arguments": {"PERCENT": number}})
        seen, cursor = [], ""
        while True:
            page = (await client.get("/v1/commands", params={"limit": 3, "cursor": cursor})).json()
            seen += [each["handle"] for each in page["commands"]]
            cursor = page["next"]
            if not cursor:
                break
        bad = await client.get("/v1/commands", params={"cursor": "x"})
    assert seen == [f"c{number}" for number in range(7, 0, -1)]
    assert bad.status_code == 400


async def test_who_has_it_already_is_told_that_nothing_changed(gateway: Gateway) -> None:
    async with gateway.client() as client:
        place = (await client.post("/v1/commands", json=MARK, params={"wait": 5})).headers["location"]
        first = await client.get(place)
        again = await client.get(place, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
