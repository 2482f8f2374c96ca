"""Tasks and approvals over HTTP: who may give his word, on what, and how often."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import msgspec

from plantops.events.base import encode_json
from plantops.events.command_parts import APPROVAL_TYPE
from plantops.gateway.settings import DemoSettings
from plantops.ledger import dsse
from plantops.policy.document import Delegated
from support.gate_door import signed
from support.gate_samples import SITE
from support.gateway_plant import SETTINGS, Gateway, gateway, gateway_of, policy_now

__all__ = ["gateway"]

SPEED = {"asset": "pump-001", "operation": "SetSpeed", "arguments": {"RPM": 1200}}
RESET = {"asset": "pump-001", "operation": "ResetFault"}


async def _asked(client: httpx.AsyncClient, what: Mapping[str, object]) -> str:
    """The handle of a command that rests."""
    told = await client.post("/v1/commands", json=what, params={"wait": 5})
    assert told.status_code == 200, told.text
    return str(told.json()["handle"])


async def test_what_waits_is_listed_whether_for_approval_or_confirmation(gateway: Gateway) -> None:
    async with gateway.client() as client:
        speed, reset = await _asked(client, SPEED), await _asked(client, RESET)
        told = (await client.get("/tasks")).json()
        assert [(each["task_id"], each["status"]) for each in told["tasks"]] == [
            (f"task-{speed}", "PendingConfirmation"),
            (f"task-{reset}", "PendingApproval"),
        ]
        assert told["count"] == 2
        one = (await client.get(f"/tasks/task-{reset}")).json()["task"]
        assert (one["tool"], one["asset"]) == ("ResetFault", "pump-001")
        assert (one["risk"], one["needed"]) == ("CRITICAL", 2)
        assert isinstance(one["created_at"], float)
        assert abs(time.time() - one["created_at"]) < 3600
        assert one["expires_at"] > one["created_at"]
        assert (one["approved_by"], one["rejected_by"], one["rejection_reason"]) == (None, None, None)
        assert (one["requested_by"], one["requested_by_roles"]) == ("alice", ["operator", "supervisor"])
        missing = await client.get("/tasks/task-c99")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")


async def test_two_others_approve_and_the_last_one_executes_it(tmp_path: Path) -> None:
    people = {"operator": "alice", "supervisor": "bob", "viewer": "carol"}
    settings = msgspec.structs.replace(SETTINGS, demo=DemoSettings(enabled=True, people=people))
    async with (
        gateway_of(tmp_path, settings=settings) as made,
        made.client() as alice,
        made.client("supervisor") as bob,
        made.client("viewer") as carol,
    ):
        task = f"/tasks/task-{await _asked(alice, RESET)}"
        early = (await alice.post(f"{task}/execute")).json()
        assert (early["tool_results"][0]["tool"], early["tool_results"][0]["asset"]) == (
            "ResetFault",
            "pump-001",
        )
        assert early["tool_results"][0]["success"] is False
        assert "not approved yet" in early["reply"]
        first = await bob.post(f"{task}/approve")
        assert first.json() == {
            "status": "approved",
            "task_id": task.removeprefix("/tasks/"),
            "approved_by": "bob",
            "approved_by_roles": ["operator", "supervisor"],
            "given": 1,
            "needed": 2,
        }
        assert (await alice.get(task)).json()["task"]["approved_by"] == "bob"
        twice = await bob.post(f"{task}/approve")
        assert (twice.status_code, twice.json()["error"]["code"]) == (403, "forbidden")
        last = await carol.post(f"{task}/approve")
        assert last.json()["given"] == 2
        done = (await alice.post(f"{task}/execute")).json()
        assert done["tool_results"][0]["success"] is True
        assert (await alice.get(task)).json()["task"]["status"] == "Executed"
        late = await carol.post(f"{task}/approve")
    assert late.status_code == 404
    executed = [kind for _s, kind, _d in made.plant.log if ".executed." in kind]
    assert len(executed) == 1


async def test_nobody_approves_his_own_request(gateway: Gateway) -> None:
    async with gateway.client() as client:
        task = f"/tasks/task-{await _asked(client, RESET)}"
        answer = await client.post(f"{task}/approve")
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "forbidden"


async def test_nobody_approves_under_another_name(gateway: Gateway) -> None:
    async with gateway.client() as alice, gateway.client("supervisor") as bob:
        task = f"/tasks/task-{await _asked(alice, RESET)}"
        body = await bob.post(f"{task}/approve", json={"approver": "carol"})
        header = await bob.post(f"{task}/approve", headers={"X-Approver": "carol"})
        own = await bob.post(f"{task}/approve", json={"approver": "bob"})
    assert [each.status_code for each in (body, header, own)] == [403, 403, 200]


async def test_an_approval_by_the_gateway_is_worth_what_the_policy_says(tmp_path: Path) -> None:
    policy = policy_now(delegated=Delegated(confirm_risk="high", approve_risk="high"))
    async with (
        gateway_of(tmp_path, policy=policy) as made,
        made.client() as alice,
        made.client("supervisor") as bob,
    ):
        task = f"/tasks/task-{await _asked(alice, RESET)}"
        answer = await bob.post(f"{task}/approve")
    assert answer.status_code == 403
    assert "signs the approval himself" in answer.json()["error"]["message"]


async def test_a_rejection_ends_it_with_its_reason(gateway: Gateway) -> None:
    async with gateway.client() as alice, gateway.client("supervisor") as bob:
        task = f"/tasks/task-{await _asked(alice, RESET)}"
        answer = await bob.post(f"{task}/reject", json={"reason": "Maintenance window"})
        assert answer.json()["status"] == "rejected", answer.text
        assert answer.json()["reason"] == "Maintenance window"
        shown = (await alice.get(task)).json()["task"]
    assert (shown["status"], shown["safety_reasoning"]) == (
        "Rejected",
        "rejected by bob: Maintenance window",
    )
    assert (shown["rejected_by"], shown["rejection_reason"]) == ("bob", "Maintenance window")


async def test_a_simulation_is_executed_once_however_many_ask(gateway: Gateway) -> None:
    async with gateway.client() as client:
        task = f"/tasks/task-{await _asked(client, SPEED)}"
        answers = await asyncio.gather(*(client.post(f"{task}/execute") for _ in range(4)))
        later = await client.post(f"{task}/execute")
    results = [each.json()["tool_results"][0] for each in answers]
    assert {each.status_code for each in answers} == {200}
    assert sorted(each["success"] for each in results) == [False, False, False, True]
    assert later.json()["tool_results"][0]["success"] is False
    assert "executed already" in later.json()["reply"]
    assert len([kind for _s, kind, _d in gateway.plant.log if ".executed." in kind]) == 1


async def test_another_person_does_not_execute_what_was_simulated_for_the_first(gateway: Gateway) -> None:
    async with gateway.client() as alice, gateway.client("supervisor") as bob:
        task = f"/tasks/task-{await _asked(alice, SPEED)}"
        answer = (await bob.post(f"{task}/execute")).json()
    assert answer["tool_results"][0]["success"] is False
    assert "was simulated for Alice" in answer["reply"]


async def test_a_waiting_task_outlives_the_gateway(tmp_path: Path) -> None:
    async with gateway_of(tmp_path / "a") as first:
        async with first.client() as client:
            handle = await _asked(client, RESET)
        await first.stop()
        async with (
            gateway_of(tmp_path / "b", broker=first.plant.broker, plant=first.plant) as second,
            second.client("supervisor") as bob,
        ):
            listed = (await bob.get("/tasks")).json()["tasks"]
            assert [each["task_id"] for each in listed] == [f"task-{handle}"]
            assert (await bob.post(f"/tasks/task-{handle}/approve")).status_code == 200


async def test_approvals_tell_what_to_sign_and_take_what_a_person_signed_himself(tmp_path: Path) -> None:
    policy = policy_now(delegated=Delegated())
    async with (
        gateway_of(tmp_path, policy=policy) as made,
        made.client() as alice,
        made.client("supervisor") as bob,
    ):
        await _asked(alice, RESET)
        listed = (await bob.get("/v1/approvals")).json()
        waiting = listed["approvals"][0]
        assert (listed["total"], waiting["needed"], waiting["given"]) == (1, 2, 0)
        refused = await bob.post("/v1/approvals", json={"command": waiting["command"], "verdict": "approve"})
        assert refused.status_code == 403
        now = datetime.now(UTC)
        word = encode_json(
            {
                "site": SITE,
                "command": waiting["command"],
                "person": "bob",
                "verdict": "approve",
                "intent": waiting["intent"],
                "decision": waiting["decision"],
                "issued_at": now,
                "expires_at": now + timedelta(minutes=5),
                "nonce": "n",
            }
        )
        own = signed(word, "bob", kind=APPROVAL_TYPE)
        taken = await alice.post("/v1/approvals", content=own, headers={"Content-Type": APPROVAL_TYPE})
        assert (taken.status_code, taken.json()["status"]) == (201, "counted"), taken.text
        forged = signed(word, "carol", kind=APPROVAL_TYPE)
        other = await alice.post("/v1/approvals", content=forged, headers={"Content-Type": APPROVAL_TYPE})
    assert other.status_code == 403


async def test_what_the_gateway_signs_for_a_person_says_so(gateway: Gateway) -> None:
    async with gateway.client() as alice, gateway.client("supervisor") as bob:
        handle = await _asked(alice, RESET)
        await bob.post("/v1/approvals", json={"command": handle, "verdict": "approve"})
    stored = list(gateway.plant.broker.stream("APPROVALS").messages.values())[-1]
    approval = json.loads(stored.data)["approval"]
    assert (approval["person"], approval["by"]) == ("bob", "gateway")
    evidence = dsse.decode(json.loads(stored.data)["evidence"].encode())
    assert json.loads(evidence.body())["by"] == "gateway"
