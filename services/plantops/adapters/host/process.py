"""One adapter process: what it declares, and one source put together and kept running."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from plantops.adapters.contract import AdapterSpec, Connection, Secrets, SourceSettings
from plantops.adapters.host.away import AWAY
from plantops.adapters.host.changes import Changes
from plantops.adapters.host.claims import Claims
from plantops.adapters.host.clock import Clock, SystemClock
from plantops.adapters.host.deeds import Deeds
from plantops.adapters.host.executor import Executor, Place
from plantops.adapters.host.framing import Framer
from plantops.adapters.host.gaps import GapTeller
from plantops.adapters.host.lanes import Device
from plantops.adapters.host.lease import DEFAULT_TTL_SECONDS, Lease
from plantops.adapters.host.notices import Notices, publish_definition
from plantops.adapters.host.outbox import Outbox
from plantops.adapters.host.outcomes import Outcomes
from plantops.adapters.host.ports import Auditor, Observe, Rules
from plantops.adapters.host.services import browse_service, read_service
from plantops.adapters.host.session import Session
from plantops.adapters.host.standing import Generations
from plantops.events import event_type, subjects
from plantops.events.base import SiteName, SourceName
from plantops.events.commands import (
    CommandClaimed,
    CommandExecuted,
    CommandFailed,
    DryRunDone,
    OutcomeUnknown,
)
from plantops.events.operations import MessageBuried
from plantops.events.sources import GapRecorded, LeaseTaken, SourceLost, SourceUp
from plantops.events.tags import SourceDefined, TagFrame
from plantops.flow.bus import Bus, Subscription
from plantops.flow.declaration import ProcessSpec, Writes
from plantops.flow.processor import Reads
from plantops.flow.signing import Signer
from plantops.flow.trust import Trust
from plantops.runtime.errors import Fenced

log = structlog.get_logger()

# A slow disk under the broker must not turn live data into history.
MIN_LIVE_SECONDS = 1.0
_WIND_DOWN_SECONDS = 2.0
_DRAIN_SECONDS = 1.5
_RETRY_SECONDS = 0.5
_SAID = (CommandClaimed, CommandExecuted, CommandFailed, OutcomeUnknown, DryRunDone)


def process_name(source: str) -> str:
    """The identity under which a source's host logs in and signs."""
    return f"adapter-{source}"


def spec(site: str, source: str) -> ProcessSpec:
    """All that the host of one source may read, write, ask and answer."""
    me = process_name(source)
    told = tuple(event_type(kind).removeprefix("command.") for kind in _SAID)
    services = (subjects.service("read", site, source), subjects.service("browse", site, source))
    return ProcessSpec(
        name=me,
        reads=(
            Reads(
                "COMMANDS",
                (f"cmd.{site}.permitted.gate.*", f"cmd.{site}.simulation_ordered.gate.*"),
                kind="effect",
                name="normal",
            ),
            Reads("COMMANDS", (f"cmd.{site}.safe_permitted.gate.*",), kind="effect", name="safe"),
        ),
        writes=(
            Writes("TAGS", (subjects.tag(site, source),), (event_type(TagFrame),)),
            Writes(
                "SOURCES",
                tuple(subjects.source(site, source, verb) for verb in ("lease", "up", "lost", "gap")),
                tuple(event_type(kind) for kind in (LeaseTaken, SourceUp, SourceLost, GapRecorded)),
            ),
            Writes("DEFINITIONS", (f"definition.{site}.{source}.*",), (event_type(SourceDefined),)),
            Writes(
                "COMMANDS",
                tuple(f"cmd.{site}.{verb}.{me}.*" for verb in told),
                tuple(event_type(kind) for kind in _SAID),
            ),
            Writes("DEAD", (subjects.dead(me),), (event_type(MessageBuried),)),
        ),
        lookups=("POLICY",),
        public=services,
        asks=(subjects.service("twin", site, "sightings"),),
        audits=True,
    )


@dataclass(frozen=True)
class SourceHost:
    """Everything that one source needs, checked and opened by nobody yet.

    `owner` must differ for each run of each process. `state` is a folder of this source alone: it holds
    outcomes that the broker does not have yet. `stopping` ends `run` in good order.
    """

    definition: SourceDefined
    settings: SourceSettings
    adapter: AdapterSpec
    connection: Any
    """The adapter's own settings struct."""
    secrets: Secrets
    bus: Bus
    signer: Signer
    trust: Trust
    rules: Rules
    auditor: Auditor
    observe: Observe
    state: Path
    owner: str
    clock: Clock = field(default_factory=SystemClock)
    random: Callable[[], float] = random.random
    lease_seconds: float = DEFAULT_TTL_SECONDS
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def site(self) -> SiteName:
        """The site of the source."""
        return self.definition.site

    @property
    def source(self) -> SourceName:
        """The source's name."""
        return self.definition.source

    def build(self) -> Connection:
        """A connection that has opened nothing. Raises: SettingsError."""
        return self.adapter.build(
            self.definition, self.connection, self.settings.timeout_seconds, self.secrets
        )

    async def run(self) -> None:
        """Own the source whenever it is free, until `stopping`.

        When another host takes it over, everything stops at once and this one becomes its standby.
        Raises: SettingsError, and whatever means that this process must not go on.
        """
        encoder = self.build()
        while not self.stopping.is_set():
            lease = Lease(
                self.bus,
                self.signer,
                self.clock,
                site=self.site,
                source=self.source,
                owner=self.owner,
                ttl_seconds=self.lease_seconds,
            )
            if not await _unless(self.stopping, lease.acquire()):
                break
            log.info("source.owned", source=self.source, epoch=lease.epoch)
            try:
                await Reign(self, lease, encoder).run()
            except Fenced as error:
                lease.drop()
                log.warning("source.fenced", source=self.source, cause=error.message)
            finally:
                await lease.release()


class Reign:
    """One epoch: from the lease taken to the lease gone."""

    def __init__(self, host: SourceHost, lease: Lease, encoder: Connection) -> None:
        self._host, self._lease = host, lease
        site, source, definition = host.site, host.source, host.definition
        epoch = lease.epoch
        bus, signer, clock = host.bus, host.signer, host.clock
        self._device = Device(
            source,
            encoder,
            timeout_seconds=host.settings.timeout_seconds,
            concurrent=host.adapter.capabilities.concurrent,
        )
        self._changes = Changes(definition, host.settings.heartbeat_seconds)
        self._gaps = GapTeller(bus, signer, clock, site=site, source=source, epoch=epoch)
        self._notices = Notices(bus, signer, clock, site=site, source=source, epoch=epoch)
        shortest = min(group.period_ms for group in definition.groups) / 1000
        self._outbox = Outbox(
            bus,
            signer,
            clock,
            self._gaps,
            site=site,
            source=source,
            epoch=epoch,
            limit=host.settings.outbox_frames,
            live_seconds=max(2 * shortest, MIN_LIVE_SECONDS),
            is_held=self._is_ours,
            on_break=self._changes.forget,
        )
        self._session = Session(
            definition=definition,
            build=host.build,
            is_subscribed=host.adapter.capabilities.subscribe,
            device=self._device,
            changes=self._changes,
            framer=Framer(definition, epoch),
            outbox=self._outbox,
            gaps=self._gaps,
            notices=self._notices,
            clock=clock,
            random=host.random,
            connect_seconds=host.settings.timeout_seconds + 1.0,
        )
        me = process_name(source)
        claims = Claims(bus, signer, clock, site=site, executor=me, epoch=epoch)
        self._outcomes = Outcomes(bus, clock, claims, host.state / "outcomes.jsonl")
        self._executor = Executor(
            Place(site, source, me),
            bus=bus,
            signer=signer,
            trust=host.trust,
            rules=host.rules,
            auditor=host.auditor,
            deeds=Deeds(
                definition=definition,
                device=self._device,
                rules=host.rules,
                observe=host.observe,
                clock=clock,
                seen=self._changes.newest,
            ),
            claims=claims,
            outcomes=self._outcomes,
            generations=Generations(),
            clock=clock,
            is_ours=self._is_ours,
        )
        if lease.inherited:
            # Whoever owned it before ended without a word; nobody can say what it still had.
            self._gaps.unnumbered(0, "restart", epoch=lease.inherited)

    def _is_ours(self) -> bool:
        return self._lease.is_held

    async def run(self) -> None:
        """Until the host stops. Raises: Fenced, SettingsError, IntegrityError."""
        works = [
            asyncio.create_task(work)
            for work in (self._lease.keep(), self._tell(), self._notices.run(), self._command())
        ]
        services: list[Subscription] = []
        stopping = asyncio.create_task(self._host.stopping.wait())
        try:
            services = await self._serve()
            await asyncio.wait([*works, stopping], return_when=asyncio.FIRST_COMPLETED)
            if stopping.done():
                with suppress(TimeoutError):
                    async with asyncio.timeout(_WIND_DOWN_SECONDS):
                        await self._executor.wind_down()
        finally:
            for service in services:
                await service.stop()
            await _end([*works, stopping])
        _raise_first(works)
        await self._drain()

    async def _tell(self) -> None:
        """The definition first: no frame may name a layout that nobody can look up."""
        await publish_definition(self._host.bus, self._host.signer, self._host.clock, self._host.definition)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._session.run())
            tasks.create_task(self._outbox.run())

    async def _command(self) -> None:
        """What an earlier run left unsaid is said before anything new is carried out."""
        if not self._host.adapter.capabilities.write:
            # Permits for it are refused nevertheless, with a reason.
            log.debug("source.read_only", source=self._host.source)
        await self._outcomes.recover()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._executor.run("safe"))
            tasks.create_task(self._executor.run("normal"))

    async def _serve(self) -> list[Subscription]:
        host = self._host
        answers = {
            "read": read_service(host.definition, self._device, host.clock),
            "browse": browse_service(host.adapter.capabilities, self._device),
        }
        while True:
            try:
                return [
                    await host.bus.serve(subjects.service(area, host.site, host.source), answer)
                    for area, answer in answers.items()
                ]
            except AWAY:
                await host.clock.sleep(_RETRY_SECONDS)

    async def _drain(self) -> None:
        """Deliver what is left, as far as the broker takes it soon; the rest is told as a gap."""
        publishing = asyncio.create_task(self._outbox.run())
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                await self._outbox.drained()
        except TimeoutError:
            log.warning("outbox.abandoned", source=self._host.source, frames=self._outbox.waiting)
        finally:
            await _end([publishing])
        self._outbox.abandon()
        with suppress(TimeoutError):
            async with asyncio.timeout(_RETRY_SECONDS):
                await self._gaps.tell()


async def _unless(stopping: asyncio.Event, work: Coroutine[Any, Any, object]) -> bool:
    """Whether `work` ended before `stopping` was set; else it is cancelled."""
    tasks = [asyncio.ensure_future(work), asyncio.ensure_future(stopping.wait())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await _end(tasks[1:] if tasks[0].done() else tasks)
    if tasks[0].cancelled():
        return False
    tasks[0].result()
    return True


async def _end(tasks: list[asyncio.Future[Any]] | list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


def _raise_first(works: list[asyncio.Task[None]]) -> None:
    """The error that ended a work; being fenced counts most, since it says to stop at once."""
    errors = [error for work in works if not work.cancelled() and (error := work.exception()) is not None]
    flat = [leaf for error in errors for leaf in _leaves(error)]
    for error in sorted(flat, key=lambda leaf: not isinstance(leaf, Fenced)):
        raise error


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]
