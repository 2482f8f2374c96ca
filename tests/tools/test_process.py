"""The tools on a real broker, under exactly the rights that they declare: restarts, replicas, the way out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from plantops.audit.notary_process import NotaryProcess
from plantops.audit.records import read_records
from plantops.deployment.identities import process_specs
from plantops.events.queries import ProblemDetail, read_answer
from plantops.events.tooling import CatalogueTold, ToolTold
from plantops.flow.auditing import Auditor
from plantops.flow.context import Context
from plantops.flow.jetstream import JetStreamBus
from plantops.flow.journal import Journal
from plantops.flow.signing import Signer
from plantops.policy.in_force import InForce
from plantops.runtime.errors import BrokerError, NobodyAnswers
from plantops.tools.contract import AnyTool, Page, Tool
from plantops.tools.process import run_tools
from plantops.tools.settings import ToolSettings
from support.gate_samples import PLANT, SITE, process
from support.nats import Broker, StartBroker, nats_server, until
from support.plant_samples import NOW, key
from support.tool_rig import SHIPPED, SOME_TOOLS, TOOL_POLICY, TRUSTED, Said, Words, in_force

__all__ = ["nats_server"]

CLIENTS = ("alice", "agent", "mallory")


@dataclass
class Live:
    """A broker with the site's declared identities, a notary, and the tools processes that a test starts."""

    broker: Broker
    folder: Path
    now: datetime = NOW
    fatal: list[BrokerError] = field(default_factory=list)
    started: int = 0
    inside: asyncio.Event = field(default_factory=asyncio.Event)
    leave: asyncio.Event = field(default_factory=asyncio.Event)

    def believed(self) -> InForce:
        principals = dict(TOOL_POLICY.principals) | {"notary": process("notary", "notary")}
        for name in ("alice", "agent"):
            login = (self.broker.keys[name].public,)
            principals[name] = msgspec.structs.replace(principals[name], logins=login)
        return in_force(msgspec.structs.replace(TOOL_POLICY, principals=principals))

    @asynccontextmanager
    async def bus(self, identity: str) -> AsyncIterator[JetStreamBus]:
        seed = self.broker.keys[identity].seed
        bus = await JetStreamBus.connect(self.broker.url, identity, seed=seed, on_fatal=self.fatal.append)
        try:
            yield bus
        finally:
            await bus.close()

    @asynccontextmanager
    async def tools(self, settings: ToolSettings = SHIPPED) -> AsyncIterator[asyncio.Task[None]]:
        """One process, ready; cancelled and ended behind the block."""
        self.started += 1
        state = self.folder / f"tools-{self.started}"
        state.mkdir()
        ready = asyncio.Event()
        async with self.bus("tools") as bus, self.bus("tools-audit") as audit:
            signer = Signer("tools", key("tools"))
            context = Context(
                site=SITE,
                name="tools",
                bus=bus,
                signer=signer,
                in_force=self.believed(),
                plant=PLANT,
                state=state,
                auditor=Auditor(SITE, bus, signer, Journal(state / "audit.journal", signer.key)),
                now=lambda: self.now,
                ready=ready.set,
            )
            tools = (*SOME_TOOLS, self.waiting_tool())
            task = asyncio.create_task(run_tools(context, audit, settings, state / "served", tools))
            try:
                async with asyncio.timeout(10):
                    await ready.wait()
                yield task
            finally:
                if not task.cancelling():
                    task.cancel()
                await asyncio.wait([task])
            assert task.cancelled()

    def waiting_tool(self) -> AnyTool:
        async def work(call: object, asked: object) -> Page[Said]:
            self.inside.set()
            await self.leave.wait()
            return Page(Said(said=("done",)))

        return Tool("wait", "Waits.", "low", Words, Said, work)

    @asynccontextmanager
    async def notary(self) -> AsyncIterator[None]:
        async with self.bus("notary") as bus:
            signer = Signer("notary", key("notary"))
            context = Context(SITE, "notary", bus, signer, self.believed(), PLANT, self.folder / "notary")
            task = asyncio.create_task(NotaryProcess(context, poll_seconds=0.05).run())
            try:
                yield
            finally:
                task.cancel()
                await asyncio.wait([task])

    async def records(self) -> list[tuple[str, Any]]:
        async with self.bus("auditor") as bus:
            shown = await read_records(bus, site=SITE, trusted=TRUSTED, last=1000, writer="tools")
        assert all(one.record for one in shown)
        return [(one.record.kind, msgspec.json.decode(one.record.body)) for one in shown if one.record]


@pytest.fixture
async def live(nats_server: StartBroker, tmp_path: Path) -> AsyncIterator[Live]:
    specs = process_specs(SITE, ("plc1", "opc1"))
    live = Live(await nats_server(specs, CLIENTS), tmp_path)
    async with live.notary():
        yield live
    assert live.fatal == []


async def ask(bus: JetStreamBus, verb: str = "call", body: Any = None) -> Any:
    name = bus.identity
    data = json.dumps({"tool": "repeat"} if body is None else body).encode()
    reply = await bus.request(f"tool.{SITE}.{name}.{verb}", data, timeout=10)
    kind: Any = ToolTold if verb == "call" else CatalogueTold
    return read_answer(reply.data, kind)


async def is_closed(bus: JetStreamBus) -> bool:
    try:
        await ask(bus)
    except NobodyAnswers:
        return True
    return False


async def test_clients_list_search_and_call_through_the_door(live: Live) -> None:
    async with live.tools(), live.bus("alice") as alice, live.bus("agent") as agent:
        told = await ask(alice, body={"tool": "repeat", "arguments": {"words": ["a"]}})
        assert told.result["to"] == ["alice"]
        told = await ask(agent, body={"tool": "repeat", "on_behalf_of": ["gateway", "alice"]})
        assert told.result["to"] == ["agent", "gateway", "alice"]
        found = await ask(alice, "search", {"query": "halt the pump", "limit": 1})
        assert found.tools[0].name == "pump-001__StopPump"
        assert len((await ask(alice, "list", {})).tools) > 6


async def test_who_is_not_in_the_policy_is_refused_and_nobody_takes_another_name(live: Live) -> None:
    async with live.tools(), live.bus("mallory") as mallory:
        told = await ask(mallory)
        assert isinstance(told, ProblemDetail)
        assert told.code == "unknown_login"
    client = await live.broker.connect("mallory")
    await client.publish(f"tool.{SITE}.alice.call", b"{}")
    await until(lambda: live.broker.refused["mallory"])
    assert "permissions violation" in live.broker.refused["mallory"][0].lower()


async def test_a_budget_outlives_the_process_and_opens_again(live: Live) -> None:
    async with live.bus("alice") as alice:
        async with live.tools():
            for _ in range(20):
                assert isinstance(await ask(alice), ToolTold)
        with pytest.raises(NobodyAnswers):
            await ask(alice)
        async with live.tools():
            answers = [await ask(alice) for _ in range(6)]
            assert [isinstance(told, ToolTold) for told in answers] == [True] * 5 + [False]
            assert answers[-1].code == "over_budget"
            live.now = live.now.replace(minute=live.now.minute + 2)
            assert isinstance(await ask(alice), ToolTold)
    records = await live.records()
    assert [kind for kind, _body in records if kind == "tool.refused"] == ["tool.refused"]
    assert len([body for kind, body in records if kind == "tool.called"]) == 26


async def test_replicas_share_budgets_and_one_audit_chain(live: Live) -> None:
    async with live.bus("alice") as alice:
        async with live.tools(), live.tools(), live.tools():
            answers = await asyncio.gather(
                *(ask(alice, body={"tool": "repeat", "arguments": {"words": [f"{n % 8}"]}}) for n in range(8))
            )
            answers += [await ask(alice) for _ in range(40)]
        calls = sum(isinstance(told, ToolTold) for told in answers)
        assert {told.code for told in answers if isinstance(told, ProblemDetail)} == {"over_budget"}
        assert 8 + 10 <= calls <= 8 + 25
    records = await live.records()
    assert len([kind for kind, _body in records if kind == "tool.called"]) == calls
    assert len([kind for kind, _body in records if kind == "tool.refused"]) == len(answers) - calls
    assert len({body["call"] for _kind, body in records if "call" in body}) == len(answers)


async def test_a_process_that_ends_answers_who_is_inside_and_leaves_no_record_behind(live: Live) -> None:
    async with live.bus("alice") as alice, live.tools() as task:
        asked = asyncio.create_task(ask(alice, body={"tool": "wait"}))
        async with asyncio.timeout(10):
            await live.inside.wait()
        task.cancel()
        await until(lambda: is_closed(alice))
        live.leave.set()
        told = await asked
        assert told.result["said"] == ["done"]
    records = await live.records()
    assert records[-1][0] == "tools.stopped"
    assert "wait" in [body["tool"] for kind, body in records if kind == "tool.called"]
