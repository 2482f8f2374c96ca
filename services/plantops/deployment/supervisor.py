"""`plantops up`: the broker, the simulated plant and all processes of a site on one machine.

Each group of processes is an operating-system process of its own; one that ends is started again with a
growing pause, and so is the embedded broker. SIGTERM and SIGINT stop everything within 5 seconds.
"""

from __future__ import annotations

import asyncio
import fnmatch
import os
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import structlog

from plantops.deployment.broker_logins import BrokerLogins
from plantops.deployment.processes import process_names
from plantops.deployment.provisioning import prepare
from plantops.deployment.runtime_file import Running, SimulationPorts, read_running, write_running
from plantops.deployment.secret_store import secret_store
from plantops.deployment.site import Site
from plantops.flow.accounts import ServerOptions
from plantops.flow.server import EmbeddedServer
from plantops.gateway.specs import GATEWAY
from plantops.runtime.errors import BrokerUnavailable, SettingsError
from plantops.runtime.parent import end_with_parent

# Together below the 5 seconds that are promised: the processes, then what they talked to.
STOP_SECONDS = 3.5
LAST_STOP_SECONDS = 1.0
BROKER_LOOK_SECONDS = 0.1
FIRST_PAUSE_SECONDS = 0.5
LAST_PAUSE_SECONDS = 15.0
STEADY_SECONDS = 30.0
SIMULATION_SECONDS = 30.0

log = structlog.get_logger("plantops.up")

Tell = Callable[[str], None]


MOST_GATES = 8


def replicated(
    groups: Mapping[str, tuple[str, ...]], gates: int, workers: int = 1
) -> dict[str, tuple[str, ...]]:
    """The groups, that of the gate `gates` times: `gate`, `gate-2`, `gate-3` ..., and that of the gateway
    `workers` times.

    Raises: SettingsError when the number is none, a group has such a name already, or something else runs
    in the group of a gateway with several workers.
    """
    if not 1 <= gates <= MOST_GATES:
        raise SettingsError(f"gates is {gates}: 1 to {MOST_GATES} can run", setting="gates")
    result = dict(groups)
    for group, members in groups.items():
        copies = gates if "gate" in members else 1
        if workers > 1 and GATEWAY in members:
            if members != (GATEWAY,):
                raise SettingsError(
                    f"the gateway has {workers} workers: let it stand alone in the group {group!r}",
                    setting="groups",
                )
            copies = workers
        for number in range(2, copies + 1):
            if (name := f"{group}-{number}") in result:
                raise SettingsError(f"{name!r} is already a group: rename it", setting="groups")
            result[name] = members
    return result


def replica_of(name: str, first: Mapping[str, object]) -> int:
    """Which of its kind a group of `replicated` is; those in `first` are the first ones."""
    return 1 if name in first else int(name.rpartition("-")[2])


def grouped(names: Sequence[str], groups: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Operating-system processes and what runs in each; a process that no group names runs alone.

    Raises: SettingsError when a process stands in two groups.
    """
    result: dict[str, tuple[str, ...]] = {}
    taken: dict[str, str] = {}
    for group, patterns in groups.items():
        members = tuple(name for name in names if any(fnmatch.fnmatch(name, p) for p in patterns))
        for name in members:
            if name in taken:
                raise SettingsError(f"process {name!r} stands in the groups {taken[name]!r} and {group!r}")
            taken[name] = group
        if members:
            result[group] = members
    result.update({name: (name,) for name in names if name not in taken})
    return result


@dataclass
class Supervisor:
    """Starts and keeps a site running until `stopping` is set. `tell` is given one line per step."""

    site: Site
    stopping: asyncio.Event
    tell: Tell = lambda _text: None
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    _server: EmbeddedServer | None = None
    _logins: BrokerLogins | None = None
    _children: dict[str, Process] = field(default_factory=dict)
    _running: Running | None = None

    async def run(self) -> None:
        """Raises: SettingsError for what a person must mend; nothing is left running then."""
        if (running := read_running(self.site.folder)) is not None:
            raise SettingsError(f"this site runs already, as process {running.pid}: stop it first, or use it")
        # Beside the broker: each of the two takes seconds on a small machine.
        simulating = asyncio.create_task(self._simulate())
        try:
            url, monitor = await self._broker()
            await prepare(self.site, url, self.tell)
            plant = await simulating
            self._running = Running(
                pid=os.getpid(), url=url, monitor_port=monitor, simulation=plant, gateway=self._gateway()
            )
            write_running(self.site.folder, self._running)
            await self._keep()
        finally:
            simulating.cancel()
            await asyncio.gather(simulating, return_exceptions=True)
            await self._stop()

    async def _broker(self) -> tuple[str, int]:
        settings = self.site.settings.broker
        if settings.url:
            return settings.url, 0
        folder = self.site.folder
        options = ServerOptions(
            folder=folder.broker_data,
            port=settings.port or free_port(),
            monitor_port=settings.monitor_port or free_port(),
            name=f"plantops-{self.site.name}",
        )
        folder.broker_data.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.tell(f"broker: nats-server on {options.url}")
        self._server = EmbeddedServer(options, ends_with_parent=True)
        self._logins = BrokerLogins(self.site, options)
        await self._server.start(self._logins.text)
        return options.url, options.monitor_port

    async def _simulate(self) -> SimulationPorts | None:
        settings, folder = self.site.settings.simulation, self.site.folder
        if not settings.enabled:
            return None
        certificates = folder.root / "data" / "simulation"
        certificates.mkdir(parents=True, exist_ok=True, mode=0o700)
        store = secret_store(self.site)
        password = str(store.get("opc1")) if store is not None and "opc1" in store.names() else "plantops"
        arguments = {
            "--modbus-port": settings.modbus_port,
            "--opcua-port": settings.opcua_port,
            "--control-port": settings.control_port,
            "--seed": settings.seed,
            "--counters": settings.counters,
            "--certificates": certificates,
        }
        words = [str(word) for pair in arguments.items() for word in pair]
        process = await self._spawn(
            "simulation",
            ["-m", "plantops.simulation", *words],
            environment={"PLANTOPS_SIMULATION_PASSWORD": password},
            pipe=True,
        )
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), SIMULATION_SECONDS)
        if not line:
            raise SettingsError(f"the simulated plant did not start: see {folder.logs / 'simulation.log'}")
        told = msgspec.json.decode(line)
        self.tell(f"simulated plant: Modbus on port {told['modbus']}, OPC UA on {told['opcua']}")
        return SimulationPorts(
            modbus=told["modbus"],
            opcua=told["opcua"],
            control=told["control"],
            certificate=str(_certificate(Path(told["certificates"]))),
        )

    def _gateway(self) -> int:
        """Its port; it keeps it when it is started again."""
        settings = self.site.settings.gateway
        if not settings.enabled:
            return 0
        port = settings.port or free_port()
        self.tell(f"HTTP gateway: {'https' if settings.tls else 'http'}://{settings.host}:{port}")
        return port

    async def _keep(self) -> None:
        settings = self.site.settings
        first = grouped(process_names(self.site), settings.groups)
        groups = replicated(first, settings.gates, settings.gateway.workers)
        keepers = [
            asyncio.create_task(self._guard(name, members, replica_of(name, first)))
            for name, members in groups.items()
        ]
        if self._server is not None and self._logins is not None:
            keepers.append(asyncio.create_task(self._guard_broker(self._server, self._logins)))
            keepers.append(asyncio.create_task(self._logins.follow(self._server)))
        if "simulation" in self._children:
            keepers.append(asyncio.create_task(self._watch_plant(self._children["simulation"])))
        self.ready.set()
        self.tell(f"processes: {', '.join(f'{name} ({len(m)})' for name, m in groups.items())}")
        await self.stopping.wait()
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)

    async def _watch_plant(self, process: Process) -> None:
        code = await process.wait()
        log.warning("simulation.ended", code=code)

    async def _guard(self, name: str, members: Sequence[str], replica: int) -> None:
        """Start one group again whenever it ends."""
        pause = FIRST_PAUSE_SECONDS
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            words = ["-m", "plantops.cli.main", "run", *members, "--folder", str(self.site.folder.root)]
            words += ["--replica", str(replica)] if replica > 1 else []
            process = await self._spawn(name, words)
            self._note(name, process.pid)
            code = await process.wait()
            pause = FIRST_PAUSE_SECONDS if loop.time() - started > STEADY_SECONDS else pause
            log.warning("process.ended", name=name, code=code, again_in_seconds=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LAST_PAUSE_SECONDS)

    async def _guard_broker(self, server: EmbeddedServer, known: BrokerLogins) -> None:
        """Start the broker again whenever it ends, on its port and folder; the processes find it again."""
        pause = FIRST_PAUSE_SECONDS
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            while server.is_running:  # noqa: ASYNC110 - the end of a process is no event
                await asyncio.sleep(BROKER_LOOK_SECONDS)
            pause = FIRST_PAUSE_SECONDS if loop.time() - started > STEADY_SECONDS else pause
            log.warning("broker.ended", again_in_seconds=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LAST_PAUSE_SECONDS)
            try:
                await server.start(known.text)
            except (SettingsError, BrokerUnavailable) as error:
                log.error("broker.not_started", cause=str(error))  # noqa: TRY400 - the cause says it all

    def _note(self, name: str, pid: int) -> None:
        assert self._running is not None
        processes = {**self._running.processes, name: pid}
        self._running = msgspec.structs.replace(self._running, processes=processes)
        write_running(self.site.folder, self._running)

    async def _spawn(
        self,
        name: str,
        words: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        pipe: bool = False,
    ) -> Process:
        self.site.folder.logs.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self.site.folder.logs / f"{name}.log").open("ab") as file:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE if pipe else file,
                stderr=file,
                # One heartbeat cannot speak for several processes.
                env={**os.environ, "PLANTOPS_HEARTBEAT": "", **(environment or {})},
                start_new_session=True,  # Ctrl-C reaches us alone; we end the others in order
                preexec_fn=end_with_parent,
            )
        self._children[name] = process
        return process

    async def _stop(self) -> None:
        """The processes first: they take leave of devices and broker while those still answer."""
        plant = self._children.pop("simulation", None)
        await _end(self._children.values(), STOP_SECONDS)
        ends = [_end([plant] if plant else [], LAST_STOP_SECONDS)]
        if self._server is not None:
            ends.append(self._server.stop(timeout=LAST_STOP_SECONDS))
        await asyncio.gather(*ends)
        self.site.folder.runtime_file.unlink(missing_ok=True)


async def _end(processes: Iterable[Process], seconds: float) -> None:
    """In order, and after `seconds` by force."""
    alive = [process for process in processes if process.returncode is None]
    for process in alive:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
    waits = [asyncio.create_task(process.wait()) for process in alive]
    if waits:
        await asyncio.wait(waits, timeout=seconds)
    for process in alive:
        if process.returncode is None:
            log.warning("process.killed", pid=process.pid)
            with suppress(ProcessLookupError):
                process.kill()
    await asyncio.gather(*waits)


def _certificate(folder: Path) -> Path:
    found = [
        path
        for path in sorted(folder.iterdir())
        if path.suffix in (".der", ".pem") and "key" not in path.name
    ]
    if not found:
        raise SettingsError(f"the simulated plant wrote no certificate into {folder}")
    return found[0]


def free_port() -> int:
    """A port that nobody listens on at this moment, on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
