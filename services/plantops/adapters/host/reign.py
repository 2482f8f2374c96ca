"""One epoch of a source: everything that runs while the lease is ours, and its end in good order."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import structlog

from plantops.adapters.contract import Connection
from plantops.adapters.host.away import AWAY
from plantops.adapters.host.changes import Changes
from plantops.adapters.host.claims import Claims
from plantops.adapters.host.deeds import Deeds
from plantops.adapters.host.executor import Executor, Place
from plantops.adapters.host.framing import Framer
from plantops.adapters.host.gaps import GapTeller
from plantops.adapters.host.hands import Hands
from plantops.adapters.host.invoking import Invocations
from plantops.adapters.host.lanes import Device
from plantops.adapters.host.lease import Lease
from plantops.adapters.host.notices import Notices, publish_definition
from plantops.adapters.host.outbox import Outbox
from plantops.adapters.host.outcomes import Outcomes
from plantops.adapters.host.process import process_name
from plantops.adapters.host.reconciling import Reconciler
from plantops.adapters.host.rehearsal import Rehearsals
from plantops.adapters.host.services import browse_service, read_service
from plantops.adapters.host.session import Session
from plantops.adapters.host.standing import Generations
from plantops.events import subjects
from plantops.flow.bus import Subscription
from plantops.runtime.errors import Fenced, IntegrityError

if TYPE_CHECKING:
    from plantops.adapters.host.source_host import SourceHost

log = structlog.get_logger()

# A slow disk under the broker must not turn live data into history.
MIN_LIVE_SECONDS = 1.0
_WIND_DOWN_SECONDS = 2.0
_DRAIN_SECONDS = 1.5
_RETRY_SECONDS = 0.5


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
            host.adapter.capabilities,
            timeout_seconds=host.settings.timeout_seconds,
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
        self._session = self._build_session()
        claims = Claims(bus, signer, clock, site=site, executor=process_name(source), epoch=epoch)
        self._outcomes = Outcomes(bus, clock, claims, host.state / "outcomes.jsonl")
        self._executor = self._build_executor(claims)
        if lease.inherited:
            # Whoever owned it before ended without a word; nobody can say what it still had.
            self._gaps.unnumbered(0, "restart", epoch=lease.inherited)

    def _build_session(self) -> Session:
        host = self._host
        return Session(
            definition=host.definition,
            build=host.build,
            is_subscribed=host.adapter.capabilities.subscribe,
            device=self._device,
            changes=self._changes,
            framer=Framer(host.definition, self._lease.epoch),
            outbox=self._outbox,
            gaps=self._gaps,
            notices=self._notices,
            clock=host.clock,
            random=host.random,
            connect_seconds=host.settings.timeout_seconds + 1.0,
        )

    def _build_executor(self, claims: Claims) -> Executor:
        host = self._host
        hands = Hands(definition=host.definition, device=self._device, observe=host.observe, clock=host.clock)
        return Executor(
            Place(host.site, host.source, process_name(host.source)),
            bus=host.bus,
            signer=host.signer,
            trust=host.trust,
            rules=host.rules,
            auditor=host.auditor,
            deeds=Deeds(hands, rules=host.rules, clock=host.clock, seen=self._changes.newest),
            rehearsals=Rehearsals(hands, Invocations(hands, rules=host.rules, clock=host.clock), host.rules),
            reconciler=Reconciler(
                site=host.site,
                name=process_name(host.source),
                bus=host.bus,
                signer=host.signer,
                trust=host.trust,
                auditor=host.auditor,
                hands=hands,
                claims=claims,
                clock=host.clock,
            ),
            claims=claims,
            outcomes=self._outcomes,
            generations=Generations(),
            clock=host.clock,
            is_ours=self._is_ours,
        )

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
            await end([*works, stopping])
        _raise_first(works)
        await self._drain()

    async def _tell(self) -> None:
        """The definition first: no frame may name a layout that nobody can look up."""
        await publish_definition(self._host.bus, self._host.signer, self._host.clock, self._host.definition)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._session.run())
            tasks.create_task(self._outbox.run())

    async def _command(self) -> None:
        """Stops at once; anything else after what an earlier run left unsaid is said."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._command_normal())
            tasks.create_task(self._executor.run("safe"))

    async def _command_normal(self) -> None:
        try:
            await self._outcomes.recover()
        except IntegrityError as error:
            log.error("outcomes.damaged", source=self._host.source, cause=error.message)  # noqa: TRY400
            return  # a person must look at the device; until then only stops are carried out
        await self._executor.run("normal")

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
            await end([publishing])
        self._outbox.abandon()
        with suppress(TimeoutError):
            async with asyncio.timeout(_RETRY_SECONDS):
                await self._gaps.tell()


async def end(tasks: list[asyncio.Future[Any]] | list[asyncio.Task[Any]]) -> None:
    """Cancel them and wait until they have ended."""
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
