"""The demo site with its processes grouped as a bench wants them, and a source of counters beside."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from plantops.bench.demo import FASTER, START_SECONDS, Desk, well
from plantops.bench.ground import (
    SOURCE,
    child,
    make_site,
    plant_process,
    running_broker,
    tail,
    temporary_folder,
)
from plantops.bench.observer import PERSON, person
from plantops.deployment.processes import process_names
from plantops.deployment.runtime_file import SimulationPorts, read_running, write_running
from plantops.deployment.secret_store import secret_store
from plantops.deployment.site import Site
from plantops.deployment.supervisor import grouped
from plantops.flow.server import EmbeddedServer
from plantops.ledger.keys import SigningKey
from plantops.runtime.errors import BrokerUnavailable, SettingsError

# Some groups start twice, which on a small machine takes its time.
GROUPS_SECONDS = 120.0
LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class Grouped(Desk):
    """`processes` by the name of their group."""

    server: EmbeddedServer
    processes: dict[str, Process]


def names_of(site: Site) -> list[str]:
    """All processes of the demo site; the host of the source `bench` is played by the publisher."""
    return [name for name in process_names(site) if name != f"adapter-{SOURCE}"]


@asynccontextmanager
async def grouped_site(source: str, groups: Mapping[str, Sequence[str]] | None) -> AsyncIterator[Grouped]:
    """Both devices are seen well and the gate answers. `groups` None: as the site is shipped.

    Raises: BrokerUnavailable when it does not come up.
    """
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        folder = await enter(temporary_folder())
        site = make_site(folder / "site", source, simulated=True, edits=FASTER)
        server = await enter(running_broker(site))
        plant = await enter(_simulated(site))
        running = read_running(site.folder)
        assert running is not None
        running = msgspec.structs.replace(running, simulation=plant)
        write_running(site.folder, running)
        groups = site.settings.groups if groups is None else groups
        members = grouped(names_of(site), groups)
        bus = await enter(person(site))
        key = SigningKey.load(site.folder.identity(PERSON, person=True).signing)
        desk = Grouped(site, running, bus, key, server, {})
        starting = asyncio.create_task(_keep(stack, desk, members))
        try:
            async with asyncio.timeout(GROUPS_SECONDS):
                await well(desk)
        except TimeoutError as error:
            logs = "\n".join(f"{name}: {tail(site.folder.logs / f'{name}.log')}" for name in members)
            raise BrokerUnavailable(f"the demo site did not come up:\n{logs}") from error
        finally:
            starting.cancel()
            await asyncio.wait([starting])
            if not starting.cancelled():
                starting.result()
        yield desk


async def _keep(stack: AsyncExitStack, desk: Grouped, members: Mapping[str, Sequence[str]]) -> None:
    """Start each group, and again when it ends, as `plantops up` does; until cancelled."""
    while True:
        for name, words in members.items():
            known = desk.processes.get(name)
            if known is None or known.returncode is not None:
                log = desk.site.folder.logs / f"{name}.log"
                made = child(plant_process(desk.site, *words), log)
                desk.processes[name] = await stack.enter_async_context(made)
        await asyncio.sleep(LOOK_SECONDS)


@asynccontextmanager
async def _simulated(site: Site) -> AsyncIterator[SimulationPorts]:
    """The simulated plant on free ports. Raises: SettingsError when it does not start."""
    certificates = site.folder.root / "data" / "simulation"
    certificates.mkdir(parents=True, exist_ok=True, mode=0o700)
    store = secret_store(site)
    assert store is not None
    words = ["plantops.simulation", "--modbus-port", "0", "--opcua-port", "0", "--control-port", "0"]
    words += ["--seed", "1", "--counters", "8", "--certificates", str(certificates)]
    log = site.folder.logs / "simulation.log"
    password = {"PLANTOPS_SIMULATION_PASSWORD": str(store.get("opc1"))}
    async with child(words, log, pipe=True, environment=password) as process:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), START_SECONDS)
        if not line:
            raise SettingsError(f"the simulated plant did not start: {tail(log)}")
        told = msgspec.json.decode(line)
        yield SimulationPorts(
            modbus=told["modbus"],
            opcua=told["opcua"],
            control=told["control"],
            certificate=str(_certificate(Path(told["certificates"]))),
        )


def _certificate(folder: Path) -> Path:
    [found] = [path for path in folder.iterdir() if path.suffix == ".der" and "key" not in path.name]
    return found
