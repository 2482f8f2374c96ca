"""Runs processes of a site in this operating-system process, each with its own keys and connection."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from plantops.adapters.host.process import process_name
from plantops.adapters.host.rules import PolicyRules
from plantops.adapters.host.source_host import SourceHost
from plantops.agent.specs import AGENT_HOST
from plantops.archive.specs import ARCHIVE, ARCHIVE_AUDIT
from plantops.audit.notary_process import NotaryProcess
from plantops.audit.specs import NOTARY, WITNESS
from plantops.audit.witness_process import run_witness
from plantops.deployment.broker import connect
from plantops.deployment.front import Front
from plantops.deployment.own_folder import held, high_water
from plantops.deployment.policies import moment_for, read_envelope
from plantops.deployment.processes import process_names
from plantops.deployment.roots import standing_root
from plantops.deployment.runtime_file import overrides, read_running
from plantops.deployment.secret_store import resolver
from plantops.deployment.site import Site, Source, own_settings
from plantops.events.base import SiteName
from plantops.flow.audited import keep_auditing
from plantops.flow.auditing import Auditor
from plantops.flow.context import Context
from plantops.flow.jetstream import JetStreamBus
from plantops.flow.journal import Journal
from plantops.flow.observing import Observer
from plantops.flow.policies import first, follow, refresh
from plantops.flow.signing import Signer
from plantops.gate.process import run_gate
from plantops.gateway.specs import GATEWAY
from plantops.ledger.keys import SigningKey
from plantops.policy.in_force import InForce
from plantops.policy.roots import load_root, newer_root
from plantops.runtime.errors import BrokerError, PolicyRejected, SettingsError
from plantops.runtime.heartbeat import beat
from plantops.runtime.nkey import NKey
from plantops.runtime.tracing import SPANS
from plantops.timer.process import run_timer
from plantops.tools.specs import TOOLS
from plantops.twin.process import run_twin

POLICY_PATIENCE_SECONDS = 30.0
STOP_SECONDS = 3.5
LAST_SECONDS = 0.5

log = structlog.get_logger("plantops.runner")


def _give_up() -> None:
    """Whatever still waits for a broker that is gone: what is stored is whole, as after a crash."""
    log.warning("process.abandoned", after_seconds=STOP_SECONDS + LAST_SECONDS)
    os._exit(1)


@dataclass(frozen=True)
class Runner:
    """Makes and runs processes of one site. `stopping` ends all of them in good order.

    `heartbeat` is a file that is renewed every second while all of them are connected, restored and at work.
    `replica` tells this Runner from others on this machine that run processes of the same names.
    """

    site: Site
    stopping: asyncio.Event
    heartbeat: Path | None = None
    replica: int = 1
    _buses: dict[str, JetStreamBus] = field(default_factory=dict)
    _ready: set[str] = field(default_factory=set)

    async def run(self, names: Sequence[str]) -> None:
        """Until `stopping`, or until one of them fails; then all end and the failure is raised.

        Raises: SettingsError, Fenced, IntegrityError and whatever else ends a process.
        """
        SPANS.start(names[0], self.site.settings.traces)
        tasks = [asyncio.create_task(self._run(name), name=name) for name in names]
        beating = [
            asyncio.create_task(beat(file, self._are_well(names))) for file in (self.heartbeat,) if file
        ]
        stop = asyncio.create_task(self.stopping.wait())
        last: asyncio.TimerHandle | None = None
        try:
            await asyncio.wait([*tasks, *beating, stop], return_when=asyncio.FIRST_COMPLETED)
            if self.stopping.is_set():
                last = asyncio.get_running_loop().call_later(STOP_SECONDS + LAST_SECONDS, _give_up)
                await asyncio.wait(tasks, timeout=STOP_SECONDS)
        finally:
            for task in (*tasks, *beating, stop):
                task.cancel()
            results = await asyncio.gather(*tasks, *beating, return_exceptions=True)
            await asyncio.to_thread(SPANS.stop)
            if last is not None:
                last.cancel()
        for result in results:
            if isinstance(result, Exception):
                raise result

    def _are_well(self, names: Sequence[str]) -> Callable[[], bool]:
        """Whether all of them have restored what they know and reach the broker."""
        return lambda: self._ready.issuperset(names) and all(bus.is_connected for bus in self._buses.values())

    async def _run(self, name: str) -> None:
        if self.replica > 1 and (taken := f"{name}-{self.replica}") in process_names(self.site):
            raise SettingsError(f"{taken!r} is a process of its own: take another number", setting="replica")
        with held(self.site.folder.state(name, self.replica), name):
            context = await self._context(name)
            try:
                await self._until_stopped(self._work(name, context), is_host=_winds_down(name))
            finally:
                await context.bus.close()

    async def _until_stopped(self, work: Coroutine[Any, Any, None], *, is_host: bool) -> None:
        """Who talks to devices or callers winds down by himself; the rest is cancelled and writes its last
        snapshot."""
        task = asyncio.create_task(work)
        stop = asyncio.create_task(self.stopping.wait())
        try:
            await asyncio.wait([task, stop], return_when=asyncio.FIRST_COMPLETED)
            if not task.done() and not is_host:
                task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        finally:
            stop.cancel()
            task.cancel()
            await asyncio.gather(task, stop, return_exceptions=True)

    def _work(self, name: str, context: Context) -> Coroutine[Any, Any, None]:
        folder = self.site.folder
        if name.startswith("adapter-"):
            return self._host(self.site.sources[name.removeprefix("adapter-")], context)
        works: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
            "twin": lambda: run_twin(context),
            "gate": lambda: run_gate(context, load_root(folder.trust_root)),
            "timer": lambda: run_timer(context),
            NOTARY: lambda: self._with_policy_file(NotaryProcess(context).run(), context),
            WITNESS: lambda: self._with_policy_file(run_witness(context), context),
            ARCHIVE: lambda: self._archive(context),
            TOOLS: lambda: self._front().tools(context),
            AGENT_HOST: lambda: self._front().agent(context),
            GATEWAY: lambda: self._with_policy_file(self._front().gateway(context, self.replica), context),
        }
        if name not in works:
            raise SettingsError(
                f"no process {name!r}; there are {', '.join(process_names(self.site))}", setting="process"
            )
        return works[name]()

    async def _context(self, name: str) -> Context:
        site, folder = self.site, self.site.folder
        identity = folder.identity(name)
        state = folder.state(name, self.replica)
        signer = Signer(name, SigningKey.load(identity.signing))
        in_force = InForce(
            load_root(folder.trust_root), site.name, plant=site.plant, floor=standing_root(folder)
        )
        if name == "gate" or name.startswith("adapter-"):
            in_force.highwater = high_water(folder, name, self.replica)
        open_bus = partial(connect, site, name, NKey.load(identity.login), on_fatal=self._fatal)
        bus = await open_bus()
        self._buses[name] = bus
        if name in (NOTARY, WITNESS, GATEWAY):
            # Their accounts do not see the plant's streams: these read the envelope's file.
            in_force.root = standing_root(folder)
            envelope = read_envelope(folder)
            in_force.offer(envelope, moment_for(envelope, datetime.now(UTC)))
        else:
            await first(bus, in_force, patience_seconds=POLICY_PATIENCE_SECONDS)
        auditor = None
        if name in ("gate", ARCHIVE, TOOLS, AGENT_HOST) or name.startswith("adapter-"):
            journal = Journal(state / "audit.journal", signer.key)
            # Of these any number runs at the same time, and they write one chain.
            auditor = Auditor(site.name, bus, signer, journal, is_shared=name in (TOOLS, AGENT_HOST))
        return Context(
            site=SiteName(site.name),
            name=name,
            bus=bus,
            signer=signer,
            in_force=in_force,
            plant=site.plant,
            state=state,
            auditor=auditor,
            ready=partial(self._ready.add, name),
            connect=open_bus,
        )

    def _front(self) -> Front:
        return Front(self.site, self.stopping, self._fatal, self._buses.__setitem__)

    async def _archive(self, context: Context) -> None:
        # DuckDB and Arrow take 90 MB, which only the process that archives shall pay.
        from plantops.archive.process import run_archive  # noqa: PLC0415

        login = NKey.load(self.site.folder.identity(ARCHIVE_AUDIT).login)
        audit = await connect(self.site, ARCHIVE_AUDIT, login, on_fatal=self._fatal)
        self._buses[ARCHIVE_AUDIT] = audit
        try:
            await run_archive(context, audit, self.site.settings.archive)
        finally:
            await audit.close()

    async def _with_policy_file(self, work: Coroutine[Any, Any, None], context: Context) -> None:
        async with asyncio.TaskGroup() as group:
            following = group.create_task(_follow_file(self.site, context.in_force))
            await group.create_task(work)
            following.cancel()

    def _fatal(self, error: BrokerError) -> None:
        log.error("broker.refuses", error=str(error))
        self.stopping.set()

    async def _host(self, source: Source, context: Context) -> None:
        assert context.auditor is not None
        running = read_running(self.site.folder)
        special = overrides(source.settings.adapter, running) if self.site.settings.simulation.enabled else {}

        async def look_again() -> bool:
            return await refresh(context.bus, context.in_force)

        observer = Observer(context.site, context.bus, context.plant, context.in_force, context.now)

        host = SourceHost(
            definition=source.definition,
            settings=source.settings,
            adapter=source.adapter,
            connection=own_settings(source, special, context.state),
            secrets=resolver(self.site),
            bus=context.bus,
            signer=context.signer,
            trust=context.in_force,
            rules=PolicyRules(context.plant, context.in_force, look_again),
            auditor=context.auditor,
            observe=observer.observe,
            state=context.state,
            owner=f"{process_name(source.name)}.{os.getpid()}.{secrets.token_hex(4)}",
            stopping=self.stopping,
        )
        auditing = asyncio.create_task(keep_auditing(context))
        following = asyncio.create_task(follow(context.bus, context.in_force))
        hosting = asyncio.create_task(host.run())
        context.ready()  # whether its device answers, or another host has the source: it does what it can
        try:
            await asyncio.wait([auditing, following, hosting], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (hosting, auditing, following):
                task.cancel()
            results = await asyncio.gather(hosting, auditing, following, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result


def _winds_down(name: str) -> bool:
    return name == GATEWAY or name.startswith("adapter-")


async def _follow_file(site: Site, in_force: InForce) -> None:
    """Audit and clients do not see the plant's streams: notary, witness and gateway follow the file."""
    told = ""
    while True:
        await asyncio.sleep(1.0)
        try:
            in_force.root = newer_root(standing_root(site.folder), in_force.root)
            envelope = read_envelope(site.folder)
            if in_force.offer(envelope, moment_for(envelope, datetime.now(UTC))):
                log.info("policy.in_force", digest=in_force.verified.digest if in_force.verified else "")
        except (PolicyRejected, SettingsError) as error:
            if str(error) != told:
                told = str(error)
                log.warning("policy.rejected", reason=told)
