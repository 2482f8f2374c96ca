"""A whole demo site in a folder of its own: `plantops up` as a real process, and means to hurt it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from plantops.cli.following import Follower
from plantops.cli.plant_control import tell_plant
from plantops.cli.session import Session, session_of
from plantops.deployment.broker import connect
from plantops.deployment.folder import Identity
from plantops.deployment.identities import PLANT_PROVISIONER, POLICY_OFFICE
from plantops.deployment.initialise import initialise
from plantops.deployment.runtime_file import Running, read_running
from plantops.deployment.site import Site, load_site
from plantops.events.base import Scalar, TagName
from plantops.events.command_parts import Intent, Mode
from plantops.events.quality import is_good
from plantops.events.queries import CommandAsked, CommandStatus, IntentTaken, TagsAsked, TagState, TagsTold
from plantops.flow.accounts import PROVISIONER
from plantops.flow.bus import Bus
from plantops.flow.jetstream import JetStreamBus
from plantops.flow.signing import Signer
from plantops.ledger.keys import SigningKey
from plantops.runtime.errors import BrokerError, PlantOpsError, Refused
from plantops.runtime.nkey import NKey

GROUPS = ("field", "core", "gate", "notary", "witness", "archive")
# One tag of each source, each moving or confirmed all the time.
WATCHED = ("plc1.pump.motor_temperature", "opc1.valve.position", "opc1.tank.level")
PATIENCE_SECONDS = 60.0
# The promise is 5 seconds; the rest is for a busy machine to end the interpreter.
STOP_SECONDS = 5.0 + 15.0

T = TypeVar("T")


async def until(
    look: Callable[[], Awaitable[T]],
    holds: Callable[[T], bool],
    what: str,
    *,
    seconds: float = PATIENCE_SECONDS,
) -> T:
    """Look again and again until it holds. Raises: AssertionError with what was seen last."""
    deadline = time.monotonic() + seconds
    while True:
        found = await look()
        if holds(found):
            return found
        assert time.monotonic() < deadline, f"waited in vain: {what}; the last was {found!r}"
        await asyncio.sleep(0.05)


@dataclass
class RunningSite:
    """A site folder and, between `start` and `stop`, the `plantops up` that runs it."""

    root: Path
    process: subprocess.Popen[bytes] | None = None
    gates: int = 1
    seen: set[int] = field(default_factory=set)

    @property
    def site(self) -> Site:
        return load_site(self.root)

    @property
    def running(self) -> Running:
        found = read_running(self.site.folder)
        assert found is not None, f"nothing runs in {self.root}: {self.told()}"
        return found

    @property
    def broker_pid(self) -> int:
        return int((self.root / "data" / "nats" / "nats.pid").read_text())

    def told(self) -> str:
        """What `up` printed."""
        path = self.root / "up.out"
        return path.read_text(errors="replace") if path.exists() else "(nothing)"

    def launch(self) -> subprocess.Popen[bytes]:
        """Start `plantops up`, ready or not."""
        command = [sys.executable, "-m", "plantops.cli.main", "up", "--folder", str(self.root)]
        command += ["--gates", str(self.gates)]
        with (self.root / "up.out").open("ab") as out:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        return self.process

    async def start(self) -> None:
        """Returns when both sources deliver good values."""
        process = self.launch()
        while read_running(self.site.folder) is None:
            assert process.poll() is None, f"`plantops up` ended with {process.returncode}: {self.told()}"
            await asyncio.sleep(0.05)
        more = [f"gate-{number}" for number in range(2, self.gates + 1)]
        await until(self._groups, lambda here: set(here) >= {*GROUPS, *more}, "all groups run")
        await self.healthy()

    async def _groups(self) -> Mapping[str, int]:
        return self.running.processes

    async def healthy(self) -> None:
        """Returns when the watched tags are good."""
        async with self.session("carol") as carol:
            await self.good(carol, *WATCHED)

    def stop(self) -> None:
        """SIGTERM; asserts a clean end within the promise, and that nothing of the site is left."""
        process = self.process
        if process is None:
            return
        self.process = None
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.clear(process)
            raise
        left = self.processes()
        self.clear(process)
        assert process.returncode == 0, f"ended with {process.returncode}: {self.told()}"
        assert not left, f"left behind: {left}"

    def clear(self, process: subprocess.Popen[bytes]) -> None:
        """End by force what a failed test left."""
        if process.poll() is None:
            process.kill()
            process.wait()
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)

    def processes(self) -> dict[int, str]:
        """All processes that have this site's folder in their command, by id."""
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                except OSError:
                    continue  # it ended while we looked
                if f"{self.root}/" in words or f"{self.root} " in words:
                    found[int(entry.name)] = words
        return found

    # Hurting it

    async def kill(self, part: str) -> None:
        """`kill -9` of a group or of the broker; returns when the Supervisor has started another."""
        if part == "broker":
            before = self.broker_pid
            os.kill(before, signal.SIGKILL)
            await until(self._broker, lambda pid: pid != before, "the broker runs again")
            return
        before = self.running.processes[part]
        os.kill(before, signal.SIGKILL)
        await until(self._groups, lambda here: here[part] != before, f"{part} runs again")

    async def _broker(self) -> int:
        return self.broker_pid

    @asynccontextmanager
    async def paused(self, part: str) -> AsyncIterator[None]:
        """SIGSTOP a group or the broker for the length of the block."""
        pid = self.broker_pid if part == "broker" else self.running.processes[part]
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    async def plant(self, request: dict[str, Any]) -> dict[str, Any]:
        """One request to the simulated plant's control port."""
        simulation = self.running.simulation
        assert simulation is not None
        return await tell_plant(simulation.control, request)

    # Talking to it

    @asynccontextmanager
    async def session(self, name: str) -> AsyncIterator[Session]:
        async with session_of(self.site, name) as opened:
            yield opened

    @asynccontextmanager
    async def people(self, *names: str) -> AsyncIterator[list[Session]]:
        async with AsyncExitStack() as stack:
            yield [await stack.enter_async_context(self.session(name)) for name in names]

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[Bus]:
        """Reads every stream of the plant, with the provisioner's rights."""
        key = NKey.load(self.site.folder.office / f"{PLANT_PROVISIONER}.nk")
        bus = await JetStreamBus.connect(self.running.url, PROVISIONER, seed=key.seed)
        try:
            yield bus
        finally:
            await bus.close()

    @asynccontextmanager
    async def auditor(self) -> AsyncIterator[Bus]:
        site = self.site
        bus = await connect(site, "auditor", NKey.load(site.folder.identity("auditor").login))
        try:
            yield bus
        finally:
            await bus.close()

    @asynccontextmanager
    async def policy_office(self) -> AsyncIterator[tuple[Bus, Signer]]:
        """The policy office's connection and its voice."""
        office = Identity(self.site.folder.office / POLICY_OFFICE)
        bus = await JetStreamBus.connect(self.running.url, POLICY_OFFICE, seed=NKey.load(office.login).seed)
        try:
            yield bus, Signer(POLICY_OFFICE, SigningKey.load(office.signing))
        finally:
            await bus.close()

    async def good(self, here: Session, *names: str) -> None:
        """Returns when all these tags are good."""
        for name in names:
            await self.tag(here, name, lambda tag: is_good(tag.quality), "is good")

    async def tag(self, here: Session, name: str, holds: Callable[[TagState], bool], what: str) -> TagState:
        """The tag, once it holds."""

        async def look() -> TagState | None:
            try:
                told = await here.ask("twin", "get", TagsAsked(tags=(TagName(name),)), TagsTold)
            except PlantOpsError:
                return None  # the twin may be starting
            return told.tags[0] if told.tags else None

        found = await until(look, lambda tag: tag is not None and holds(tag), f"{name} {what}")
        assert found is not None
        return found

    async def standing(self, here: Session) -> None:
        """Returns when the pump has come to a stand, and the twin knows it: what the twin told before it
        heard that the pump turns is low as well."""
        await until(
            lambda: self.plant({"state": True}), lambda state: state["speed_rpm"] < 95, "the pump stands"
        )
        await self.tag(here, "plc1.pump.speed", lambda tag: float(tag.value or 0) < 95, "is below 95")


async def ask(
    here: Session,
    operation: str,
    arguments: Mapping[str, Scalar] | None = None,
    *,
    confirms: str = "",
    mode: Mode = "execute",
) -> CommandStatus:
    """Ask for `asset.Operation` once, and follow it until nothing happens without a person."""
    asset, _, name = operation.partition(".")
    simulated = await status_of(here, confirms) if confirms else None
    return await follow(here, here.intent(asset, name, arguments or {}, confirms=simulated, mode=mode))


async def follow(here: Session, intent: Intent) -> CommandStatus:
    """Send an intent and follow it to its rest. Raises: Refused at the door."""
    async with Follower(here, intent, lambda _told: None) as follower:
        await here.send(intent)
        return await follower.until_rest(PATIENCE_SECONDS)


async def status_of(here: Session, command: str) -> CommandStatus | None:
    """Where a command stands; None while the gate has stored it and not yet folded it."""
    try:
        return await here.ask("command", "get", CommandAsked(command=command), CommandStatus)
    except Refused as error:
        if error.reason != "unknown_command":
            raise
        return None


async def send_patiently(here: Session, intent: Intent, *, seconds: float = PATIENCE_SECONDS) -> IntentTaken:
    """Send the same words until the door has answered, whatever is down meanwhile."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return await here.send(intent)
        except (BrokerError, Refused) as error:
            is_down = isinstance(error, BrokerError) or error.reason in ("unavailable", "no_policy")
            if not is_down or time.monotonic() > deadline:
                raise
        await asyncio.sleep(0.05)


def make_site(root: Path, *, front: bool = False) -> RunningSite:
    """A demo site that does not run yet. With `front` tools, agent and gateway run too, on a free port."""
    initialise(root, front=front)
    settings = root / "plantops.toml"
    settings.write_text(settings.read_text().replace("port = 8080 ", "port = 0 "))
    return RunningSite(root)


def running(folder: Path) -> Iterator[RunningSite]:
    """A site that runs until the fixture ends; its clean end is asserted then."""
    site = make_site(folder)
    try:
        asyncio.run(site.start())
        yield site
        site.stop()
    finally:
        if site.process is not None:
            site.clear(site.process)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSite]:
    """One running demo site for the tests of a file that leave it as they found it: a start takes long.

    Not for the whole session: a site that runs to its end slows every other test down.
    """
    yield from running(tmp_path_factory.mktemp("site") / "demo")


@pytest.fixture
def own_site(tmp_path: Path) -> Iterator[RunningSite]:
    """A demo site of one test alone, not started; ended behind the test."""
    site = make_site(tmp_path / "demo")
    try:
        yield site
        site.stop()
    finally:
        if site.process is not None:
            site.clear(site.process)
