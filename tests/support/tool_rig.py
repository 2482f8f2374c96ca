"""Doors of the tools on a broker in memory: one site, two read tools, a clock that stands still."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta

from plantops.events import Event
from plantops.events.base import PrincipalName, Record
from plantops.events.envelope import Message
from plantops.events.provenance import Provenance
from plantops.events.queries import ProblemDetail, read_answer
from plantops.events.tooling import CatalogueTold, ToolTold
from plantops.flow.auditing import Auditor, stop
from plantops.flow.context import Context
from plantops.flow.journal import Journal
from plantops.flow.memory import MemoryBroker
from plantops.flow.reading import read_event
from plantops.flow.signing import Signer
from plantops.policy.document import Policy, Principal, Role
from plantops.policy.in_force import InForce
from plantops.tools.contract import AnyTool, Arguments, Call, Page, Tool, ToolError
from plantops.tools.door import Door
from plantops.tools.process import door_of
from plantops.tools.settings import ToolSettings
from support.audit_log import records, serve_heads
from support.gate_samples import PLANT, POLICY, ROOT, SITE, envelope, process
from support.nats import until
from support.plant_samples import NOW, key

SHIPPED = ToolSettings()
TRUSTED = {"tools": {key("tools").keyid: key("tools").public}}


def agent(name: str, *roles: str, person: str = "") -> Principal:
    return Principal(
        kind="agent",
        person=person,
        roles=roles,
        keys=(key(name).public.to_base64(),),
        logins=(f"LOGIN-{name}",),
    )


TOOL_POLICY: Policy = msgspec.structs.replace(
    POLICY,
    principals={
        **POLICY.principals,
        "agent": agent("agent", "operator", "inspector"),
        "gateway": agent("gateway", "gateway", "operator"),
        "tools": process("tools", "agent"),
        "agent-host": process("agent-host", "agent"),
        "alice": msgspec.structs.replace(
            POLICY.principals["alice"], roles=("operator", "supervisor", "inspector")
        ),
    },
    roles={**POLICY.roles, "inspector": Role(operations=("tool.*",)), "gateway": Role()},
)


class Words(Arguments, frozen=True):
    """What to say."""

    words: Annotated[tuple[str, ...], Meta(max_length=10_000, description="what to repeat")] = ()
    times: Annotated[int, Meta(ge=1, le=1000, description="how often")] = 1


class Said(Record, frozen=True):
    """What was said."""

    said: tuple[str, ...]
    to: tuple[str, ...] = ()
    note: str = ""


async def repeat(call: Call, asked: Words) -> Page[Said]:
    """Gives the words again, one provenance for each; pages of `call.rows` words."""
    start = int(call.cursor or "0")
    words = asked.words[start : start + call.rows] * asked.times
    end = start + call.rows
    return Page(
        Said(said=words, to=tuple(call.chain)),
        tuple(Provenance(channel="device", name=word[:64]) for word in words),
        next=str(end) if end < len(asked.words) else "",
    )


async def fail(call: Call, asked: Words) -> Page[Said]:
    raise ToolError("not_found", f"nothing called {asked.words} is known")


async def break_down(call: Call, asked: Words) -> Page[Said]:
    raise ZeroDivisionError


async def hang(call: Call, asked: Words) -> Page[Said]:
    await asyncio.Event().wait()
    raise AssertionError


REPEAT: AnyTool = Tool("repeat", "Repeats words.", "low", Words, Said, repeat, items="said")
WHOLE: AnyTool = Tool("repeat-whole", "Repeats words, all at once.", "low", Words, Said, repeat)
INSPECT: AnyTool = Tool("inspect", "Looks into a device.", "medium", Words, Said, repeat, items="said")
FAIL: AnyTool = Tool("fail", "Finds nothing.", "low", Words, Said, fail)
BREAK: AnyTool = Tool("break", "Has a defect.", "low", Words, Said, break_down)
HANG: AnyTool = Tool("hang", "Never answers.", "low", Words, Said, hang, timeout_seconds=0.05)
SOME_TOOLS = (REPEAT, WHOLE, INSPECT, FAIL, BREAK, HANG)


def in_force(policy: Policy = TOOL_POLICY) -> InForce:
    believed = InForce(ROOT, SITE)
    believed.offer(envelope(policy).encode(), NOW)
    return believed


class Rig:
    """A broker with the streams of tools and audit; each `door` is another process under the same name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.broker = MemoryBroker()
        self.broker.add_stream("AGENT", ["agent.*.*.*"])
        self.broker.add_stream("AUDIT", ["audit.*.*"])
        self.now = NOW
        self._auditing: list[asyncio.Task[None]] = []

    def context(self) -> Context:
        bus, signer = self.broker.bus("tools"), Signer("tools", key("tools"))
        journal = Journal(self.folder / f"{len(self._auditing)}.journal", signer.key)
        return Context(
            site=SITE,
            name="tools",
            bus=bus,
            signer=signer,
            in_force=in_force(),
            plant=PLANT,
            state=self.folder,
            auditor=Auditor(SITE, bus, signer, journal, lambda: self.now, is_shared=True),
            now=lambda: self.now,
        )

    def door(self, settings: ToolSettings = SHIPPED, tools: tuple[AnyTool, ...] = SOME_TOOLS) -> Door:
        """A process that has just started."""
        context = self.context()
        assert context.auditor is not None
        self._auditing.append(asyncio.create_task(context.auditor.run()))
        return door_of(context, self.broker.bus("tools-audit"), settings, self.folder / "served", tools)

    async def close(self) -> None:
        for task in self._auditing:
            await stop(task)

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def events(self) -> list[Event]:
        """Everything in AGENT, believed as every reader believes it."""
        believed = in_force()
        told = [read_event(stored, believed) for stored in self.broker.stream("AGENT").messages.values()]
        assert {signer for _event, signer in told} <= {"tools"}
        return [event for event, _signer in told]

    async def audited(self, count: int) -> list[tuple[str, Any]]:
        """Kind and body of all records, once there are `count`."""
        await until(lambda: len(records(self.broker, TRUSTED)) >= count)
        found = records(self.broker, TRUSTED)
        assert len(found) == count
        return [(record.kind, msgspec.json.decode(record.body)) for record in found]


async def ask(
    door: Door, verb: str, body: Mapping[str, Any] | bytes = b"", *, login: str = "alice", name: str = ""
) -> Any:
    """What the door answers a request of `login`, with everything in it as JSON."""
    info = json.dumps({"kind": "Client", "acc": "CLIENTS", "user": f"LOGIN-{login}"})
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    message = Message(f"door.tool.{SITE}.{name or login}.{verb}", data, {"Nats-Request-Info": info})
    kind: type[ToolTold] | type[CatalogueTold] = ToolTold if verb == "call" else CatalogueTold
    return read_answer(await door.answer(message), kind)


async def call(door: Door, tool: str = "repeat", *, login: str = "alice", **asked: Any) -> ToolTold:
    told = await ask(door, "call", {"tool": tool, **asked}, login=login)
    assert isinstance(told, ToolTold), told
    return told


async def refused(door: Door, code: str, tool: str = "repeat", *, login: str = "alice", **asked: Any) -> str:
    told = await ask(door, "call", {"tool": tool, **asked}, login=login)
    assert isinstance(told, ProblemDetail), told
    assert told.code == code, told
    return told.message


def names(told: CatalogueTold) -> list[str]:
    return [tool.name for tool in told.tools]


def for_person(*chain: str) -> tuple[PrincipalName, ...]:
    return tuple(map(PrincipalName, chain))


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    made = Rig(tmp_path)
    await serve_heads(made.broker, TRUSTED)
    yield made
    await made.close()
