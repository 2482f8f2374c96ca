"""The agent on a real broker, between a scripted model, scripted tools and a gate that remembers intents."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from plantops.agent.port import ModelReply, ModelRequest, OnText, PersonSaid
from plantops.agent.process import AgentProcess
from plantops.agent.settings import AgentSettings
from plantops.agent.specs import AGENT, AGENT_HOST, agent_spec
from plantops.events import Event, decode
from plantops.events.base import CommandId, Record, SiteName, encode_json
from plantops.events.chatting import ChatAsked, ChatTaken, TurnAskedFor, TurnTold
from plantops.events.command_parts import Intent, command_id
from plantops.events.conversation import ToolCall
from plantops.events.envelope import Message
from plantops.events.provenance import Provenance
from plantops.events.queries import (
    CommandAsked,
    CommandStatus,
    IntentTaken,
    ProblemDetail,
    problem,
    read_answer,
)
from plantops.events.tooling import CatalogueAsked, CatalogueTold, ToolAsked, ToolListed, ToolTold
from plantops.flow.bus import Bus
from plantops.flow.context import Context
from plantops.flow.declaration import ProcessSpec
from plantops.flow.jetstream import JetStreamBus
from plantops.flow.signing import Signer
from plantops.gate.process import gate_spec
from plantops.policy.document import Policy, Principal
from plantops.policy.in_force import InForce
from plantops.policy.keyring import Keyring
from plantops.tools.specs import tools_spec
from support.gate_samples import PLANT, POLICY, PUMP, ROOT, SITE, VALVE, envelope
from support.nats import Broker
from support.plant_samples import NOW, key

CLIENTS = ("alice", "bob", "gateway", AGENT)
# Nobody here asks the twin, and nobody keeps an audit.
SPECS: tuple[ProcessSpec, ...] = tuple(
    replace(spec, asks=(), audits=False) for spec in (agent_spec(SITE), gate_spec(SITE), tools_spec(SITE))
)

T = TypeVar("T", bound=Record)

# Words for the model


def says(text: str, **more: Any) -> ModelReply:
    return ModelReply(text=text, provider="script", model="script-1", **more)


def wants(*calls: tuple[str, dict[str, Any]], text: str = "") -> ModelReply:
    made = tuple(ToolCall(id="x", tool=tool, arguments=arguments) for tool, arguments in calls)
    return ModelReply(text=text, calls=made, provider="script", model="script-1")


SPEED = ("pump-001__SetSpeed", {"RPM": 1200.0})
STOP: tuple[str, dict[str, Any]] = ("pump-001__StopPump", {})
READ = ("twin-get", {"tag": "plc1.setpoint"})


@dataclass
class ScriptedModel:
    """Says `replies[question][step - 1]`, in pieces. `requests` is what it was shown. `before` may wait, die
    or raise."""

    replies: Mapping[str, Sequence[ModelReply]] = field(default_factory=dict)
    most_tools: int = 0
    before: Callable[[ModelRequest, OnText], Any] | None = None
    requests: list[ModelRequest] = field(default_factory=list)
    name: str = "script"

    async def complete(self, request: ModelRequest, on_text: OnText) -> ModelReply:
        self.requests.append(request)
        if self.before is not None:
            waited = self.before(request, on_text)
            if asyncio.iscoroutine(waited):
                await waited
        question = next(part.text for part in reversed(request.parts) if isinstance(part, PersonSaid))
        script = self.replies.get(question, (says(f"you said: {question}"),))
        reply = script[min(request.step, len(script)) - 1]
        for word in reply.text.split(" "):
            on_text(word)
        return reply

    async def close(self) -> None:
        """Nothing is open."""


# The services beside the agent


def _schema(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def operation(asset: str, name: str, *, safe: bool = False, **properties: Any) -> ToolListed:
    return ToolListed(
        name=f"{asset}__{name}",
        kind="operation",
        description=f"{name} of {asset}.",
        risk="low",
        arguments=_schema(**properties, simulate={"type": "boolean"}, reason={"type": "string"}),
        asset=asset,
        operation=name,
        safe_direction=safe,
    )


TOOLS = (
    operation(PUMP, "SetSpeed", RPM={"type": "number", "minimum": 0, "maximum": 3600}),
    operation(PUMP, "StopPump", safe=True),
    operation(VALVE, "SetPosition", PERCENT={"type": "number"}),
    ToolListed(
        name="twin-get",
        kind="read",
        description="The value of a tag.",
        risk="low",
        arguments=_schema(tag={"type": "string"}),
        result={},
    ),
)


@dataclass
class ScriptedTools:
    """The tool service: lists `tools`, `page` of them at once, and answers reads with `results`."""

    bus: Bus
    tools: tuple[ToolListed, ...] = TOOLS
    page: int = 1000
    results: dict[str, ToolTold] = field(default_factory=dict)
    asked: list[tuple[str, Record]] = field(default_factory=list)
    meeting: asyncio.Barrier | None = None

    async def start(self) -> None:
        await self.bus.serve(f"door.tool.{SITE}.>", self._answer)

    async def _answer(self, message: Message) -> bytes:
        verb = message.subject.rpartition(".")[2]
        if verb in ("list", "search"):
            asked = msgspec.json.decode(message.data, type=CatalogueAsked)
            self.asked.append((verb, asked))
            tools = self.tools if verb == "list" else self.tools[: asked.limit]
            begin, rest = int(asked.cursor or "0"), len(tools)
            end = min(rest, begin + (self.page if verb == "list" else rest))
            following = str(end) if end < rest else ""
            return encode_json(CatalogueTold(tools=tools[begin:end], revision="r1", next=following))
        called = msgspec.json.decode(message.data, type=ToolAsked)
        self.asked.append((verb, called))
        if self.meeting is not None:
            await self.meeting.wait()
        told = self.results.get(called.tool)
        if told is None:
            return problem("not_found", f"there is no {called.tool}")
        return encode_json(told)


def tag_told(value: float, sequence: int = 7) -> ToolTold:
    seen = Provenance(channel="tag", name="plc1.setpoint", stream="TAGS", sequence=sequence, quality=192)
    return ToolTold(tool="twin-get", result={"value": value}, provenance=(seen,))


@dataclass
class ScriptedGate:
    """A gate's door that takes every intent it can believe, and ends it as `course` says.

    `intents` are the commands, `handed_in` how often each came. `first` may do something when an intent
    comes, before it is answered.
    """

    bus: Bus
    keyring: Keyring
    course: dict[str, dict[str, str]] = field(default_factory=dict)
    intents: dict[CommandId, Intent] = field(default_factory=dict)
    words: dict[CommandId, bytes] = field(default_factory=dict)
    handed_in: Counter[CommandId] = field(default_factory=Counter)
    first: Callable[[Intent], None] | None = None
    refuses: str = ""

    async def start(self) -> None:
        await self.bus.serve(f"door.intent.{SITE}.>", self._take)
        await self.bus.serve(f"command.{SITE}.get", self._tell)

    async def _take(self, message: Message) -> bytes:
        if self.refuses:
            return problem(self.refuses, "the gate wants it not")
        intent, _signer = self.keyring.open_intent(message.data)
        command = command_id(intent.actor, intent.key)
        is_known = command in self.intents
        if is_known and self.words[command] != message.data:
            return problem("key_conflict", "key already used for other words")
        self.intents[command], self.words[command] = intent, message.data
        self.handed_in[command] += 1
        if self.first is not None and not is_known:
            self.first(intent)
        return encode_json(IntentTaken(command=command, handle=self._handle(command), repeated=is_known))

    async def _tell(self, message: Message) -> bytes:
        asked = msgspec.json.decode(message.data, type=CommandAsked)
        command = CommandId(asked.command)
        intent = self.intents.get(command)
        if intent is None:
            return problem("unknown_command", "nobody asked for it")
        told = {"phase": "permitted", "outcome": "command.executed", "reason": ""}
        if intent.mode == "simulate":
            told = {"phase": "simulated", "outcome": "", "next": "nothing"}
        told |= self.course.get(intent.operation, {})
        status = CommandStatus(
            command=command,
            handle=self._handle(command),
            asset=intent.asset,
            operation=intent.operation,
            arguments=intent.arguments,
            actor=intent.actor,
            asked_at=datetime.now(UTC),
            **{"reason": "", **told},  # type: ignore[arg-type]  # each test names real fields
        )
        return encode_json(status)

    def _handle(self, command: CommandId) -> str:
        return f"c{list(self.intents).index(command) + 1}"


# All of it


def policy_of(broker: Broker) -> Policy:
    """The gate's samples with this broker's logins, and the agent's parts."""

    def login(name: str) -> tuple[str, ...]:
        return (broker.keys[name].public,)

    known = {
        name: msgspec.structs.replace(principal, logins=login(name) if name in CLIENTS else ())
        for name, principal in POLICY.principals.items()
    }
    more = {
        "gateway": Principal(kind="agent", roles=("gateway",), logins=login("gateway")),
        AGENT_HOST: Principal(kind="process", roles=("agent",), keys=(key(AGENT_HOST).public.to_base64(),)),
    }
    return msgspec.structs.replace(POLICY, principals={**known, **more})


async def connect(broker: Broker, name: str) -> JetStreamBus:
    return await JetStreamBus.connect(broker.url, name, seed=broker.keys[name].seed)


def context_of(bus: Bus, policy: Policy, state: Path, now: Callable[[], datetime] | None = None) -> Context:
    in_force = InForce(ROOT, SITE)
    assert in_force.offer(envelope(policy).encode(), NOW)
    return Context(
        site=SiteName(SITE),
        name=AGENT_HOST,
        bus=bus,
        signer=Signer(AGENT_HOST, key(AGENT_HOST)),
        in_force=in_force,
        plant=PLANT,
        state=state,
        now=now or (lambda: datetime.now(UTC)),
    )


@dataclass
class AgentRig:
    """One site's agent. Use `open_rig`."""

    broker: Broker
    policy: Policy
    tools: ScriptedTools
    gate: ScriptedGate
    state: Path
    people: dict[str, JetStreamBus] = field(default_factory=dict)

    @asynccontextmanager
    async def host(
        self,
        model: ScriptedModel,
        settings: AgentSettings | None = None,
        now: Callable[[], datetime] | None = None,
    ) -> AsyncIterator[AgentProcess]:
        """One host at work."""
        bus = await connect(self.broker, AGENT_HOST)
        client = await connect(self.broker, AGENT)
        ready = asyncio.Event()
        context = replace(context_of(bus, self.policy, self.state, now), ready=ready.set)
        process = AgentProcess(context, client, key(AGENT), settings or AgentSettings(), model)
        task = asyncio.create_task(process.run())
        waiting = asyncio.create_task(ready.wait())
        try:
            await asyncio.wait((task, waiting), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
            yield process
            if task.done():
                task.result()
        finally:
            task.cancel()
            waiting.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await bus.close()
            await client.close()

    async def request(
        self, verb: str, question: Record, kind: type[T], by: str = "alice"
    ) -> T | ProblemDetail:
        if by not in self.people:
            self.people[by] = await connect(self.broker, by)
        reply = await self.people[by].request(f"chat.{SITE}.{by}.{verb}", encode_json(question), timeout=10.0)
        return read_answer(reply.data, kind)

    async def ask(self, message: str, by: str = "alice", **more: Any) -> ChatTaken:
        taken = await self.request("ask", ChatAsked(message=message, **more), ChatTaken, by)
        assert isinstance(taken, ChatTaken), taken
        return taken

    async def refused(self, verb: str, question: Record, by: str = "alice") -> ProblemDetail:
        told = await self.request(verb, question, TurnTold, by)
        assert isinstance(told, ProblemDetail), told
        return told

    async def watch(
        self, taken: ChatTaken, by: str = "alice", *, after: int = 0, wait: float = 5.0, **more: Any
    ) -> TurnTold:
        asked = TurnAskedFor(
            conversation=taken.conversation, turn=taken.turn, after=after, wait_seconds=wait, **more
        )
        told = await self.request("watch", asked, TurnTold, by)
        assert isinstance(told, TurnTold), told
        return told

    async def answered(self, taken: ChatTaken, by: str = "alice", **more: Any) -> TurnTold:
        """The turn, once it has ended."""
        async with asyncio.timeout(30):
            told = await self.watch(taken, by, **more)
            while told.status == "open":
                told = await self.watch(taken, by, after=told.revision, **more)
            return told

    async def chat(self, message: str, by: str = "alice", **more: Any) -> TurnTold:
        chain = {"on_behalf_of": more["on_behalf_of"]} if "on_behalf_of" in more else {}
        return await self.answered(await self.ask(message, by, **more), by, **chain)

    async def stored(self, subject: str = f"agent.{SITE}.*.*") -> list[Event]:
        """What stands in AGENT, in order."""
        bus = self.tools.bus
        return [decode(stored.data) for stored in await bus.history("AGENT", subject, 1, 1000)]

    async def kinds(self) -> list[str]:
        """The types of what stands in conversations, in order; accounts left out."""
        names = [type(event).__name__ for event in await self.stored()]
        return [name for name in names if not name.startswith("Budget")]


@asynccontextmanager
async def open_rig(broker: Broker, state: Path) -> AsyncIterator[AgentRig]:
    """On a broker that was started with `SPECS` and `CLIENTS`."""
    policy = policy_of(broker)
    tools_bus, gate_bus = await connect(broker, "tools"), await connect(broker, "gate")
    tools = ScriptedTools(tools_bus, results={"twin-get": tag_told(900.0)})
    gate = ScriptedGate(gate_bus, Keyring(policy))
    await tools.start()
    await gate.start()
    rig = AgentRig(broker, policy, tools, gate, state)
    try:
        yield rig
    finally:
        for bus in (*rig.people.values(), tools_bus, gate_bus):
            await bus.close()
