"""A plant behind the gateway, in memory: the gate's own door and core, and what else answers, as scripts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from plantops.events import Event, event_type
from plantops.events.base import CommandId, PrincipalName, Scalar, SiteName, TagName, encode_json
from plantops.events.command_parts import Observation
from plantops.events.commands import CommandPermitted, SafePermitted, SimulationOrdered
from plantops.events.envelope import Message
from plantops.events.queries import (
    AssetListed,
    SourceState,
    TagsAsked,
    TagState,
    TagsTold,
    TwinListed,
    problem,
)
from plantops.events.tooling import ToolAsked, ToolTold
from plantops.flow.memory import MemoryBroker, MemoryBus
from plantops.flow.reading import read_event
from plantops.flow.results import SEQUENCE, STREAM
from plantops.flow.signing import Signer
from plantops.gate.door import Door
from plantops.gate.services import VERBS, services
from plantops.gateway.desk import Desk
from plantops.gateway.live import Live
from plantops.gateway.process import Place, Served, run_gateway
from plantops.gateway.routes import routes
from plantops.gateway.routes.delegate import Delegates
from plantops.gateway.settings import DemoSettings, GatewaySettings, LimitSettings, RateSettings
from plantops.policy.document import Delegated, Policy, Principal, Role
from plantops.policy.in_force import InForce
from plantops.policy.keyring import Keyring
from plantops.runtime.http_signing import SigningKey as HmacKey
from support.gate_samples import PLANT, POLICY, ROOT, SITE, Story, envelope, well
from support.gateway_chat import Chat
from support.gateway_tools import Tools
from support.plant_samples import key

WAIT_SECONDS = 20.0
SECRET = "0123456789abcdef0123456789abcdef"
_CLIENT = json.dumps({"kind": "Client", "acc": "CLIENTS", "user": "LOGIN-gateway"})
_ACTS = ("*.act-cancel", "*.act-undo")
_LIMITS = LimitSettings(caller=RateSettings(per_minute=600_000, burst=10_000))
SETTINGS = GatewaySettings(port=0, demo=DemoSettings(enabled=True), limits=_LIMITS)


def policy_now(**changed: object) -> Policy:
    """In force at this very moment, with a gateway whose word counts up to critical."""
    now = datetime.now(UTC)
    gateway = Principal(
        kind="agent",
        roles=("gateway",),
        keys=(key("gateway").public.to_base64(),),
        logins=("LOGIN-gateway",),
    )
    fields: dict[str, Any] = {
        "not_before": now - timedelta(hours=1),
        "expires": now + timedelta(hours=1),
        "principals": {
            **POLICY.principals,
            "gateway": gateway,
            "aas": Principal(kind="agent", person="Alice", roles=("operator",)),
        },
        "roles": {
            **POLICY.roles,
            "operator": Role(operations=("pump-001.*", "valve-001.*", *_ACTS)),
            "gateway": Role(operations=("*", *_ACTS)),
        },
        "delegated": Delegated(confirm_risk="high", approve_risk="critical"),
    }
    return msgspec.structs.replace(POLICY, **{**fields, **changed})


class GatePlant:
    """The gate with its door on the broker, an executor that does what it is told, and a small twin."""

    def __init__(self, broker: MemoryBroker, policy: Policy) -> None:
        self.broker = broker
        for stream in ("INTENTS", "APPROVALS"):
            broker.add_stream(stream, (f"{stream.removesuffix('S').lower()}.>",))
        self.story = Story(policy=None)
        self.story.now = datetime.now(UTC)
        self.story.publish(policy)
        self.keyring = Keyring(policy)
        self.executes = True
        self.outputs: dict[str, Scalar] = {}
        self.held: list[Event] = []
        self.log: list[tuple[int, str, bytes]] = []
        self.tags: dict[str, tuple[TagState, int]] = {}
        self.revision = 100
        self.changed = asyncio.Event()
        self.tools: list[ToolAsked] = []
        self.answers: dict[str, Callable[[ToolAsked], Any]] = {"events-read": self._events_read}
        self.chat = Chat()
        self.catalogue = Tools()
        self._bus: MemoryBus = broker.bus("plant")
        self._gate: MemoryBus = broker.bus("gate")
        self._folded = {"INTENTS": 0, "APPROVALS": 0}
        self.door = Door(
            site=SITE,
            bus=self._gate,
            signer=Signer("gate", key("gate")),
            plant=PLANT,
            state=lambda: self.story.state,
            observe=self._observe,
            refuse=self._refuse,
        )
        for name in ("plc1.setpoint", "plc1.temperature", "opc1.command"):
            self.set_tag(name, 1.0)

    async def start(self) -> None:
        served: dict[str, Callable[[Message], Any]] = {
            f"intent.{SITE}.>": self._intent,
            f"approval.{SITE}.>": self._approval,
            f"twin.{SITE}.get": self._get,
            f"twin.{SITE}.watch": self._watch,
            f"twin.{SITE}.list": self._list,
            f"chat.{SITE}.gateway.ask": self.chat.ask,
            f"chat.{SITE}.gateway.watch": self.chat.watch,
            f"chat.{SITE}.gateway.list": self.chat.list,
            f"chat.{SITE}.gateway.reset": self.chat.reset,
            f"tool.{SITE}.gateway.call": self._call,
            f"tool.{SITE}.gateway.list": self.catalogue.answer,
            f"tool.{SITE}.gateway.search": self.catalogue.answer,
        }
        for verb, handler in services(lambda: self.story.state).items():
            assert verb in VERBS
            served[f"command.{SITE}.{verb}"] = handler
        for subject, handler in served.items():
            await self._bus.serve(subject, handler)

    async def close(self) -> None:
        await self._bus.close()
        await self._gate.close()

    # The gate

    async def _observe(self, _tags: tuple[TagName, ...]) -> Observation:
        return well(at=datetime.now(UTC))

    async def _refuse(self, _login: str, _subject: str, _reason: str) -> None: ...

    async def _intent(self, message: Message) -> bytes | None:
        answer = await self.door.intent(_from_gateway(message))
        self._fold("INTENTS")
        return answer

    async def _approval(self, message: Message) -> bytes | None:
        answer = await self.door.approval(_from_gateway(message))
        self._fold("APPROVALS")
        return answer

    def _fold(self, stream: str) -> None:
        stored = list(self.broker.stream(stream).messages.values())
        for each in stored[self._folded[stream] :]:
            event, signer = read_event(each, self.keyring)
            assert isinstance(event, Event)
            self.story.now = datetime.now(UTC)
            self._happen(self.story.tell(stream, each.subject, event, signer))
        self._folded[stream] = len(stored)

    def _happen(self, events: list[Event]) -> None:
        for event in events:
            self.publish(event, "gate")
            if self.executes:
                self.execute(event)
            else:
                self.held.append(event)

    def release(self) -> None:
        """Let the executor do what it was told meanwhile."""
        held, self.held, self.executes = self.held, [], True
        for event in held:
            self.execute(event)

    def execute(self, event: Event) -> None:
        """What an executor does upon the gate's word."""
        match event:
            case SimulationOrdered():
                self._happen(
                    self.story.dry_run(CommandId(event.command), by=f"adapter-{event.permit.source}")
                )
            case CommandPermitted() | SafePermitted():
                by = f"adapter-{event.permit.source}"
                self.story.claim(event.command, by)
                self.publish(self.story.history[-1].fact, by)
                self._happen(self.story.execute(event.command, event.decision, by, outputs=self.outputs))
                self.publish(self.story.history[-1].fact, by)

    def publish(self, event: Any, writer: str) -> None:
        """As COMMANDS repeats what it has stored."""
        subject = f"cmd.{SITE}.{event_type(event).partition('.')[2]}.{writer}.{event.command}"
        data = encode_json(event)
        sequence = 1 + len(self.log)
        self.log.append((sequence, subject, data))
        self.broker.deliver(Message(subject, data, {STREAM: "COMMANDS", SEQUENCE: str(sequence)}))

    # The twin

    def set_tag(self, name: str, value: float) -> None:
        self.revision += 1
        source = SiteName(name.partition(".")[0])
        tag = TagState(
            tag=TagName(name),
            source=source,  # type: ignore[arg-type]
            value=value,
            quality=192,
            quality_name="good",
            age_seconds=0.1,
            revision=self.revision,
        )
        self.tags[name] = (tag, self.revision)
        self.changed.set()
        self.changed = asyncio.Event()

    async def _get(self, message: Message) -> bytes:
        asked = msgspec.json.decode(message.data, type=TagsAsked)
        names = [str(name) for name in asked.tags]
        names = names or sorted(name for name in self.tags if name.startswith(asked.prefix))
        known = [self.tags[name][0] for name in names if name in self.tags]
        page = tuple(known[asked.offset : asked.offset + max(1, asked.limit)])
        unknown = tuple(TagName(name) for name in names if name not in self.tags)
        return encode_json(TagsTold(tags=page, revision=self.revision, total=len(known), unknown=unknown))

    async def _watch(self, message: Message) -> bytes:
        asked = msgspec.json.decode(message.data, type=TagsAsked)
        bell = self.changed
        if not self._since(asked) and asked.wait_seconds:
            try:
                # A service may answer early: no test waits long for nothing.
                async with asyncio.timeout(min(asked.wait_seconds, 0.5)):
                    await bell.wait()
            except TimeoutError:
                pass
        found = self._since(asked)
        return encode_json(TagsTold(tags=tuple(found), revision=self.revision, total=len(found)))

    def _since(self, asked: TagsAsked) -> list[TagState]:
        return [
            tag
            for name, (tag, at) in self.tags.items()
            if at > asked.after and (name in asked.tags if asked.tags else name.startswith(asked.prefix))
        ]

    async def _list(self, _message: Message) -> bytes:
        source = SourceState(
            source="plc1",  # type: ignore[arg-type]
            epoch=1,
            is_up=True,
            cause="",
            tags=6,
            frames=1,
            samples=1,
            gaps=0,
            lost_samples=0,
            age_seconds=0.1,
        )
        assets = {"pump-001": AssetListed(description="", properties={}, operations={})}
        told = TwinListed(sources=(source,), assets=assets, position={"TAGS": self.revision})
        return encode_json(told)

    # The tools

    async def _call(self, message: Message) -> bytes:
        asked = msgspec.json.decode(message.data, type=ToolAsked)
        self.tools.append(asked)
        answer = self.answers.get(asked.tool)
        if answer is None:
            return problem("unknown_tool", f"there is no tool {asked.tool!r}")
        told = answer(asked)
        return told if isinstance(told, bytes) else encode_json(told)

    def _events_read(self, asked: ToolAsked) -> ToolTold:
        after = int(asked.cursor or asked.arguments["after"])
        rows = [
            {
                "sequence": sequence,
                "stored_at": "2026-01-01T00:00:00Z",
                "subject": subject,
                "type": json.loads(data)["type"],
                "signer": "gate",
                "body": json.loads(data),
            }
            for sequence, subject, data in self.log
            if sequence > after
        ]
        last = len(self.log)
        page, rest = rows[:3], rows[3:]
        result = {
            "events": page,
            "first": 1,
            "last": last,
            "looked_to": page[-1]["sequence"] if rest else max(last, after),
        }
        return ToolTold(tool=asked.tool, result=result, next=str(page[-1]["sequence"]) if rest else "")


def _from_gateway(message: Message) -> Message:
    """As the broker's border gives it to the door."""
    return Message(f"door.{message.subject}", message.data, {"Nats-Request-Info": _CLIENT}, message.reply)


@dataclass
class Gateway:
    """A running gateway before a `GatePlant`."""

    url: str
    desk: Desk
    live: Live
    plant: GatePlant
    running: asyncio.Task[None]

    def client(self, role: str = "operator", **headers: str) -> httpx.AsyncClient:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        if role:
            names["X-Roles"] = role
        return httpx.AsyncClient(base_url=self.url, headers=names, timeout=WAIT_SECONDS)

    async def stop(self) -> None:
        """As SIGTERM does it."""
        self.desk.stopping.set()
        await asyncio.wait_for(self.running, WAIT_SECONDS)


@asynccontextmanager
async def gateway_of(
    folder: Path,
    *,
    policy: Policy | None = None,
    settings: GatewaySettings = SETTINGS,
    broker: MemoryBroker | None = None,
    plant: GatePlant | None = None,
) -> AsyncIterator[Gateway]:
    """A gateway with all its routes on a free port. Another one may stand before the same plant."""
    policy = policy or policy_now()
    broker = broker or MemoryBroker(clock=lambda: int(datetime.now(UTC).timestamp() * 1e9))
    is_own = plant is None
    plant = plant or GatePlant(broker, policy)
    if is_own:
        await plant.start()
    in_force = InForce(ROOT, SITE)
    in_force.offer(envelope(policy).encode(), datetime.now(UTC))
    bus = broker.bus("gateway")
    desk = Desk(
        site=SITE,
        name=PrincipalName("gateway"),
        bus=bus,
        key=key("gateway"),
        in_force=in_force,
        plant=PLANT,
        settings=settings,
    )
    live = Live(desk)
    delegates = Delegates.of({"aas-1": (HmacKey("aas-1", SECRET), "alice")})
    served, ready = Served(), asyncio.Event()
    served.ready = ready.set
    place = Place(folder, folder / "shared")
    running = asyncio.create_task(
        run_gateway(desk, place, served, lambda _desk, _place: routes(desk, live, delegates))
    )
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            await asyncio.wait(
                [running, asyncio.create_task(ready.wait())], return_when=asyncio.FIRST_COMPLETED
            )
        if running.done():
            await running
        yield Gateway(f"http://127.0.0.1:{served.port}", desk, live, plant, running)
    finally:
        desk.stopping.set()
        await asyncio.gather(running, return_exceptions=True)
        await live.close()
        await bus.close()
        if is_own:
            await plant.close()


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    """In demo mode, before a plant that does what the gate lets it."""
    async with gateway_of(tmp_path) as made:
        yield made
