"""Where a bench takes place: a real site in a temporary folder, its broker, and its processes."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import secrets
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from plantops.deployment.identities import AUDIT_PROVISIONER, PLANT_PROVISIONER, POLICY_OFFICE, logins
from plantops.deployment.initialise import initialise, make_identity
from plantops.deployment.policies import (
    publish_policy,
    read_document,
    read_envelope,
    sign_policy,
    verify_envelope,
    write_policy,
)
from plantops.deployment.provisioning import stream_settings
from plantops.deployment.runtime_file import Running, write_running
from plantops.deployment.site import Site, load_site
from plantops.deployment.supervisor import free_port
from plantops.flow.accounts import ServerOptions, configuration
from plantops.flow.declaration import ProcessSpec
from plantops.flow.jetstream import JetStreamBus
from plantops.flow.processor import Reads
from plantops.flow.provision import provision
from plantops.flow.server import EmbeddedServer
from plantops.flow.signing import Signer
from plantops.ledger.keys import SigningKey
from plantops.policy.document import Principal
from plantops.runtime.errors import PlantOpsError
from plantops.runtime.nkey import NKey

READER = "bench-reader"
SOURCE = "bench"
STOP_SECONDS = 8.0


def reader_spec(site: str) -> ProcessSpec:
    """The second reader: a plain fold over all frames, with the rights of a fold and no more."""
    return ProcessSpec(
        name=READER,
        reads=(Reads("TAGS", (f"tag.{site}.*",)),),
        writes=(),
        lookups=("DEFINITIONS", "POLICY"),
        snapshots=True,
    )


@asynccontextmanager
async def temporary_folder() -> AsyncIterator[Path]:
    """Gone when the bench ends."""
    with TemporaryDirectory(prefix="plantops-bench-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def make_site(
    root: Path,
    source: str = "",
    *,
    simulated: bool = False,
    edits: Mapping[str, Sequence[tuple[str, str]]] = {},
    front: bool = False,
) -> Site:
    """The demo site, and beside it the source `bench` from a TOML text.

    With `front` it has tools, agent and gateway, which listens on a free port.
    `edits` are replacements in the site's files. The policy is signed anew for what the site then is.
    """
    site = initialise(root, front=front).site
    folder, settings = site.folder, site.folder.settings
    if front:
        _replace(settings, [("port = 8080", "port = 0   ")])
    if not simulated:
        _replace(settings, [("enabled = true", "enabled = false")])
    for name, replacements in edits.items():
        _replace(root / name, replacements)
    added = [READER]
    if source:
        (root / "sources" / f"{SOURCE}.toml").write_text(source)
        _replace(settings, [("[sources]\n", f'[sources]\n{SOURCE} = "sources/{SOURCE}.toml"\n')])
        added.append(f"adapter-{SOURCE}")
    principals = {}
    for name in added:
        key, login = make_identity(folder.identity(name))
        roles = ("executor",) if name.startswith("adapter-") else ()
        principals[name] = Principal(kind="process", keys=(key,), logins=(login,), roles=roles)
    site = load_site(root)
    policy, _payload = read_document(folder)
    policy = msgspec.structs.replace(
        policy, model=site.plant.digest, principals={**policy.principals, **principals}
    )
    write_policy(folder, policy)
    sign_policy(folder, [SigningKey.load(folder.root_key)])
    return site


def _replace(path: Path, replacements: Sequence[tuple[str, str]]) -> None:
    text = path.read_text()
    for old, new in replacements:
        if old not in text:
            raise PlantOpsError(f"{path.name} no longer contains {old!r}: adapt the bench to the demo site")
        text = text.replace(old, new)
    path.write_text(text)


@asynccontextmanager
async def running_broker(site: Site) -> AsyncIterator[EmbeddedServer]:
    """The site's broker with its own permission files, streams and policy, and the second reader's login."""
    folder = site.folder
    policy = verify_envelope(folder, read_envelope(folder)).policy
    options = ServerOptions(
        folder=folder.broker_data, port=free_port(), monitor_port=free_port(), name="bench"
    )
    folder.broker_data.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    known = logins(site, policy)
    reader = reader_spec(site.name)
    plant = dataclasses.replace(
        known,
        processes=(*known.processes, reader),
        keys={**known.keys, reader.name: NKey.load(folder.identity(reader.name).login).public},
    )
    server = EmbeddedServer(options)
    await server.start(configuration(plant, options))
    try:
        await provision(
            options.url,
            plant.processes,
            plant_key=NKey.load(folder.office / f"{PLANT_PROVISIONER}.nk"),
            audit_key=NKey.load(folder.office / f"{AUDIT_PROVISIONER}.nk"),
            settings=stream_settings(site.settings.broker),
        )
        await publish_policy_of(site, options.url)
        write_running(folder, Running(pid=os.getpid(), url=options.url, monitor_port=options.monitor_port))
        yield server
    finally:
        folder.runtime_file.unlink(missing_ok=True)
        await server.stop()


async def publish_policy_of(site: Site, url: str) -> None:
    """What stands signed in the site's folder, by its policy office."""
    office = site.folder.office / POLICY_OFFICE
    bus = await JetStreamBus.connect(url, POLICY_OFFICE, seed=NKey.load(office / "login.nk").seed)
    try:
        await publish_policy(bus, Signer(POLICY_OFFICE, SigningKey.load(office / "signing.key")), site.folder)
    finally:
        await bus.close()


@asynccontextmanager
async def plain_broker(folder: Path) -> AsyncIterator[str]:
    """A server without logins, on the same disk and with the same syncs: the ground of the ceilings."""
    options = ServerOptions(folder=folder, port=free_port(), monitor_port=free_port(), name="bench-plain")
    server = EmbeddedServer(options)
    settings = {
        "server_name": options.name,
        "host": options.host,
        "port": options.port,
        "http": f"{options.host}:{options.monitor_port}",
        "log_file": str(folder / "nats.log"),
        "jetstream": {"store_dir": str(folder), "sync_interval": options.sync_interval},
    }
    await server.start(msgspec.json.encode(settings).decode())
    try:
        yield options.url
    finally:
        await server.stop()


@asynccontextmanager
async def child(
    words: Sequence[str], log: Path, *, pipe: bool = False, environment: Mapping[str, str] = {}
) -> AsyncIterator[Process]:
    """`python -m` with these words, in a session of its own; stopped by SIGTERM, after 8 s by SIGKILL."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE if pipe else file,
            stderr=file,
            env={**os.environ, **environment},
            start_new_session=True,
        )
    try:
        yield process
    finally:
        await _stop(process)


async def _stop(process: Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        # The pipe must be read to its end, or a child that still writes never ends.
        try:
            async with asyncio.timeout(STOP_SECONDS):
                if process.stdout is not None:
                    await process.stdout.read()
                await process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def plant_process(site: Site, *names: str) -> list[str]:
    """The words that run real processes of a site."""
    return ["plantops.cli.main", "run", *names, "--folder", str(site.folder.root)]


@dataclasses.dataclass(frozen=True)
class Ground:
    """A running site: broker, and the processes that were asked for."""

    site: Site
    server: EmbeddedServer
    processes: Mapping[str, Process]

    def log_tail(self) -> str:
        """The last lines of all logs, for an error message."""
        tails = []
        for path in sorted(self.site.folder.logs.glob("*.log")):
            lines = path.read_text(errors="replace").splitlines()[-3:]
            tails += [f"{path.stem}: {line[:400]}" for line in lines]
        return "\n".join(tails)


@asynccontextmanager
async def ground(source: str, *, names: Sequence[str] = ("twin",)) -> AsyncIterator[Ground]:
    """A site with the source `bench`, its broker, and each of `names` as a process of its own."""
    async with AsyncExitStack() as stack:
        folder = await stack.enter_async_context(temporary_folder())
        site = make_site(folder / "site", source)
        server = await stack.enter_async_context(running_broker(site))
        processes = {}
        for name in names:
            log = site.folder.logs / f"{name}.log"
            processes[name] = await stack.enter_async_context(child(plant_process(site, name), log))
        yield Ground(site, server, processes)


def tail(log: Path) -> str:
    """The end of a log, for an error message."""
    return log.read_text(errors="replace")[-400:] if log.exists() else "no log"


def fresh_token() -> str:
    """A name that was never used."""
    return secrets.token_hex(6)
