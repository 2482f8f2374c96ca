"""The whole demo site under `plantops up`, in a temporary folder, and what a person at it sees and does."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path

import msgspec

from plantops.bench.ground import child, make_site, tail, temporary_folder
from plantops.bench.observer import PERSON, person
from plantops.deployment.processes import process_names
from plantops.deployment.runtime_file import Running, read_running
from plantops.deployment.site import Site
from plantops.deployment.supervisor import grouped
from plantops.events import subjects
from plantops.events.base import PrincipalName, Scalar, SiteName, TagName, encode_json
from plantops.events.command_parts import Intent, Mode
from plantops.events.commands import CommandSimulated
from plantops.events.quality import is_good
from plantops.events.queries import (
    CommandsAsked,
    CommandsListed,
    IntentTaken,
    ProblemDetail,
    TagsAsked,
    TagsTold,
    read_answer,
)
from plantops.flow.bus import Bus
from plantops.flow.client import Client
from plantops.flow.words import new_intent, sealed
from plantops.ledger.keys import SigningKey
from plantops.runtime.errors import BrokerUnavailable, NobodyAnswers, Refused

START_SECONDS = 60.0
ANSWER_SECONDS = 10.0
INTENT_LIFE = timedelta(minutes=5)
POLL_MS = 100
# A device that is watched at 100 ms; the gap and everything else stays as the demo has it.
FASTER = {
    "sources/plc1.toml": [("period_ms = 500", f"period_ms = {POLL_MS}")],
    "sources/opc1.toml": [("period_ms = 500", f"period_ms = {POLL_MS}")],
}
PLC_TAG, OPC_TAG = TagName("plc1.pump.speed_setpoint"), TagName("opc1.valve.command")


@dataclass(frozen=True)
class Desk:
    """A person's place at a running demo site."""

    site: Site
    running: Running
    bus: Bus
    key: SigningKey

    @cached_property
    def client(self) -> Client:
        """Asks in the person's name."""
        return Client(SiteName(self.site.name), PrincipalName(PERSON), self.bus, ANSWER_SECONDS)

    def intent(
        self,
        asset: str,
        operation: str,
        arguments: Mapping[str, Scalar],
        *,
        confirms: CommandSimulated | None = None,
        mode: Mode = "execute",
    ) -> Intent:
        """A complete intent in the person's name."""
        return new_intent(
            self.site.name,
            PERSON,
            asset,
            operation,
            arguments,
            model=self.site.plant.digest,
            mode=mode,
            confirms=confirms,
            life=INTENT_LIFE,
        )

    async def send(self, intent: Intent) -> IntentTaken:
        """Sign it and hand it in at the door, a stop too only once: what is measured is one answer.

        Raises: Refused, NobodyAnswers, BrokerUnavailable.
        """
        return await self.client.hand_in(intent, sealed(intent, self.key), is_safe=False)

    async def look(self, *tags: TagName) -> TagsTold:
        """Tags as the twin has them. Raises: as `send`."""
        return await self.client.ask("twin", "get", TagsAsked(tags=tags), TagsTold)


@dataclass(frozen=True)
class Demo(Desk):
    """The demo site under `plantops up`."""

    supervisor: Process


async def nothing(_site: Site) -> None:
    """Where nothing is to be done before."""


@asynccontextmanager
async def demo_site(
    gates: int = 1,
    *,
    front: bool = False,
    edits: Mapping[str, Sequence[tuple[str, str]]] = FASTER,
    before: Callable[[Site], Awaitable[None]] = nothing,
    seconds: float = START_SECONDS,
) -> AsyncIterator[Demo]:
    """The site is up: the twin sees both devices well, and the gate answers.

    With `front` there are tools, agent and gateway too, of which nobody waits for. `before` is done with the
    site's folder first.
    """
    async with AsyncExitStack() as stack:
        folder = await stack.enter_async_context(temporary_folder())
        site = make_site(folder / "site", simulated=True, edits=edits, front=front)
        await before(site)
        log = folder / "up.log"
        words = ["plantops.cli.main", "up", "--folder", str(site.folder.root), "--gates", str(gates)]
        supervisor = await stack.enter_async_context(child(words, log))
        try:
            async with asyncio.timeout(seconds):
                running = await _started(site, supervisor, log)
                bus = await stack.enter_async_context(person(site))
                key = SigningKey.load(site.folder.identity(PERSON, person=True).signing)
                demo = Demo(site, running, bus, key, supervisor)
                await well(demo)
        except TimeoutError as error:
            raise BrokerUnavailable(f"the demo site did not come up:\n{_logs(site, log)}") from error
        yield demo


async def _started(site: Site, supervisor: Process, log: Path) -> Running:
    groups = grouped(process_names(site), site.settings.groups)
    while True:
        running = read_running(site.folder)
        if running is not None and len(running.processes) >= len(groups):
            return running
        if supervisor.returncode is not None:
            raise BrokerUnavailable(f"`plantops up` ended:\n{_logs(site, log)}")
        await asyncio.sleep(0.1)


async def well(demo: Desk) -> None:
    """The twin sees both devices well, and the gate answers; the caller bounds how long that may take."""
    commands = subjects.service("command", demo.site.name, "list")
    while True:
        try:
            told = await demo.look(PLC_TAG, OPC_TAG)
            reply = await demo.bus.request(commands, encode_json(CommandsAsked(limit=1)), timeout=5.0)
        except (BrokerUnavailable, NobodyAnswers):
            await asyncio.sleep(0.2)
            continue
        is_answered = not isinstance(read_answer(reply.data, CommandsListed), ProblemDetail)
        if is_answered and len(told.tags) == 2 and all(is_good(tag.quality) for tag in told.tags):
            return
        await asyncio.sleep(0.2)


async def settled(desk: Desk, seconds: float) -> None:
    """The gate too knows every outcome: on a busy machine we hear one first, and an asset takes one command
    at a time. Raises: TimeoutError."""
    subject = subjects.service("command", desk.site.name, "list")
    question = encode_json(CommandsAsked(open_only=True))
    async with asyncio.timeout(seconds):
        while True:
            try:
                reply = await desk.bus.request(subject, question, timeout=5.0)
            except (BrokerUnavailable, NobodyAnswers):
                await asyncio.sleep(0.2)  # what a gate had heard when another one took over, nobody answers
                continue
            told = read_answer(reply.data, CommandsListed)
            if isinstance(told, CommandsListed) and not told.commands:
                return
            await asyncio.sleep(0.02)


def _logs(site: Site, log: Path) -> str:
    each = [f"{path.stem}: {tail(path)}" for path in sorted(site.folder.logs.glob("*.log"))]
    return "\n".join([tail(log), *each])


class Control:
    """The simulated plant's control port."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def command(self, name: str, value: float) -> None:
        """Write a command word at the device; returns when it stands there."""
        self._writer.write(msgspec.json.encode({"command": name, "value": value}) + b"\n")
        answer = msgspec.json.decode(await asyncio.wait_for(self._reader.readline(), 10.0))
        if not answer["ok"]:
            raise Refused(f"the simulated plant refused {name}: {answer['error']}", reason="refused")


@asynccontextmanager
async def control(demo: Desk) -> AsyncIterator[Control]:
    """Stand at the device."""
    assert demo.running.simulation is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", demo.running.simulation.control)
    try:
        yield Control(reader, writer)
    finally:
        writer.close()
        await writer.wait_closed()
