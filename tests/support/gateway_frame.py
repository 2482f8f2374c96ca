"""The gateway's frame on a real socket, before a few routes of its own and a broker in memory."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from litestar import Response, WebSocket, get, post, websocket
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from litestar.response import Stream
from litestar.types import ControllerRouterHandler

from plantops.events.base import PrincipalName, SiteName, encode_json
from plantops.events.envelope import Message
from plantops.events.queries import CommandsListed
from plantops.flow.memory import MemoryBroker, MemoryBus
from plantops.gateway.caller import Caller
from plantops.gateway.desk import Desk
from plantops.gateway.process import Place, Served, run_gateway
from plantops.gateway.settings import DemoSettings, GatewaySettings
from plantops.policy.document import Principal
from plantops.policy.in_force import InForce
from support.gate_samples import PLANT, POLICY, ROOT, SITE, person
from support.gate_samples import envelope as policy_envelope
from support.plant_samples import NOW, key

WAIT_SECONDS = 20.0

GATEWAY_POLICY = msgspec.structs.replace(
    POLICY,
    principals={
        **POLICY.principals,
        "gateway": Principal(
            kind="agent",
            roles=("gateway",),
            keys=(key("gateway").public.to_base64(),),
            logins=("LOGIN-gateway",),
        ),
        "erin": person("erin", "Erin", "operator"),
    },
)


class Said(msgspec.Struct):
    """A body."""

    message: str


@dataclass
class Frame:
    """A running gateway. `hold` keeps `/v1/slow` waiting; `began` is set when somebody waits there."""

    desk: Desk
    folder: Path
    bus: MemoryBus
    broker: MemoryBroker
    served: Served = field(default_factory=Served)
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    began: asyncio.Event = field(default_factory=asyncio.Event)
    running: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        scheme = "https" if self.desk.settings.tls else "http"
        return f"{scheme}://127.0.0.1:{self.served.port}"

    def client(self, *, verify: ssl.SSLContext | bool = True, **headers: str) -> httpx.AsyncClient:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.AsyncClient(base_url=self.url, headers=names, verify=verify, timeout=WAIT_SECONDS)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A bare connection."""
        return await asyncio.open_connection("127.0.0.1", self.served.port)

    async def stop(self) -> None:
        """As SIGTERM does it; returns when the gateway has ended."""
        self.desk.stopping.set()
        assert self.running is not None
        await asyncio.wait_for(self.running, WAIT_SECONDS)

    def handlers(self, _desk: Desk, _place: Place) -> Sequence[ControllerRouterHandler]:
        """Routes that do what a test of the frame needs."""

        @get("/v1/me")
        async def me(caller: NamedDependency[Caller]) -> dict[str, Any]:
            return {"name": caller.name, "roles": caller.roles, "how": caller.how, "request": caller.request}

        @get("/v1/things/{name:str}")
        async def thing(name: FromPath[str], caller: NamedDependency[Caller]) -> dict[str, str]:
            return {"name": name}

        @post("/v1/echo")
        async def echo(data: JSONBody[Said], caller: NamedDependency[Caller]) -> Said:
            return data

        @post("/v1/commands")
        async def commands(
            data: JSONBody[dict[str, str]], caller: NamedDependency[Caller], desk: NamedDependency[Desk]
        ) -> dict[str, str]:
            made = desk.intent(caller, data["asset"], data["operation"], {})
            return {"actor": made.actor, "for": ",".join(made.on_behalf_of)}

        return [me, thing, echo, commands, *self._hindering(), *self._streaming()]

    def _hindering(self) -> list[ControllerRouterHandler]:
        @get("/v1/slow")
        async def slow(caller: NamedDependency[Caller]) -> dict[str, str]:
            self.began.set()
            await self.hold.wait()
            return {"done": "yes"}

        @get("/v1/broken")
        async def broken(caller: NamedDependency[Caller]) -> None:
            raise KeyError("a secret of the inside")

        @get("/v1/foreign")
        async def foreign(caller: NamedDependency[Caller]) -> Response[str]:
            return Response("<h1>no</h1>", status_code=404, media_type="text/html")

        return [slow, broken, foreign]

    def _streaming(self) -> list[ControllerRouterHandler]:
        @get("/v1/stream")
        async def stream(caller: NamedDependency[Caller], desk: NamedDependency[Desk]) -> Stream:
            async def parts() -> AsyncIterator[bytes]:
                yield b"event: hello\ndata: {}\n\n"
                self.began.set()
                await desk.stopping.wait()
                yield b"event: bye\ndata: {}\n\n"

            return Stream(parts(), media_type="text/event-stream")

        @get("/v1/large")
        async def large(caller: NamedDependency[Caller]) -> Stream:
            async def parts() -> AsyncIterator[bytes]:
                for _number in range(4000):
                    yield b"x" * 65536

            return Stream(parts(), media_type="application/octet-stream")

        @websocket("/v1/talk")
        async def talk(socket: WebSocket[Any, Any, Any]) -> None:
            await socket.accept()
            self.began.set()
            while True:
                text = await socket.receive_text()
                await socket.send_text(text[::-1])

        return [stream, large, talk]


@asynccontextmanager
async def frame_of(
    folder: Path,
    settings: GatewaySettings | None = None,
    *,
    site: str = SITE,
    worker: int = 1,
    handlers: Callable[[Desk, Place], Sequence[ControllerRouterHandler]] | None = None,
) -> AsyncIterator[Frame]:
    """A gateway on a free port, stopped at the end whatever happened."""
    settings = settings or GatewaySettings(port=0, demo=DemoSettings(enabled=True))
    in_force = InForce(ROOT, SITE)
    in_force.offer(policy_envelope(GATEWAY_POLICY).encode(), NOW + timedelta(seconds=1))
    broker = MemoryBroker()
    bus = broker.bus("gateway")
    desk = Desk(
        site=SiteName(site),
        name=PrincipalName("gateway"),
        bus=bus,
        key=key("gateway"),
        in_force=in_force,
        plant=PLANT,
        settings=settings,
    )
    frame = Frame(desk, folder, bus, broker)
    ready = asyncio.Event()
    frame.served.ready = ready.set
    place = Place(folder, folder / "shared", worker)
    frame.running = asyncio.create_task(run_gateway(desk, place, frame.served, handlers or frame.handlers))
    waiting = asyncio.create_task(ready.wait())
    try:
        await asyncio.wait(
            [waiting, frame.running], timeout=WAIT_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        if frame.running.done():
            await frame.running
        assert ready.is_set()
        yield frame
    finally:
        waiting.cancel()
        frame.hold.set()
        desk.stopping.set()
        await asyncio.gather(frame.running, return_exceptions=True)
        await bus.close()


@pytest.fixture
async def frame(tmp_path: Path) -> AsyncIterator[Frame]:
    """In demo mode."""
    async with frame_of(tmp_path) as made:
        yield made


async def serve_gate(frame: Frame) -> None:
    """A gate that answers."""

    async def listed(_message: Message) -> bytes:
        return encode_json(CommandsListed(commands=(), total=0))

    await frame.broker.bus("gate").serve(f"command.{SITE}.list", listed)


def problem(answer: httpx.Response) -> Mapping[str, Any]:
    """The one envelope, and nothing else."""
    told = answer.json()
    assert list(told) == ["error"], told
    assert set(told["error"]) <= {"code", "message", "details"}, told
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    found: Mapping[str, Any] = told["error"]
    return found
