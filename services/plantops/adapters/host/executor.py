"""From permits on the stream to deeds on the device, in an order that a crash cannot turn round.

signature and permit → claim → audit acknowledged → (read → judged → deadline and generation → write →
verify) for each step → last word. A command with a claim is never written again, whoever asks; only a stop
is, as long as its permit stands, when the process died with it in hand.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal, TypeAlias

import structlog

from plantops.adapters.host.away import AWAY, UNAUDITED
from plantops.adapters.host.bounding import bounded_dry_run, bounded_outcome
from plantops.adapters.host.claims import Claimed, Claims
from plantops.adapters.host.clock import Clock
from plantops.adapters.host.course import Final
from plantops.adapters.host.deeds import Deeds
from plantops.adapters.host.execution import permit_problem
from plantops.adapters.host.orders import Order, Permission, decision_problem, is_safe, order_of
from plantops.adapters.host.outcomes import Outcomes
from plantops.adapters.host.ports import Auditor, Rules
from plantops.adapters.host.progress import Progress
from plantops.adapters.host.reconciling import Reconciler
from plantops.adapters.host.rehearsal import Rehearsals
from plantops.adapters.host.standing import Generations, Standing
from plantops.adapters.host.undoing import undo_problem
from plantops.events import EventUnreadable, event_type, subjects
from plantops.events.base import AssetName, CommandId, SiteName, SourceName
from plantops.events.command_parts import Permit
from plantops.events.commands import (
    CommandFailed,
    DryRunDone,
    OutcomeUnknown,
    SafePermitted,
    SimulationOrdered,
)
from plantops.events.envelope import TRACE, Message
from plantops.events.governance import ReconcileOrdered
from plantops.events.subjects import SubjectInvalid
from plantops.flow.bus import Bus, Reader, Stored
from plantops.flow.dead import DeadLetters
from plantops.flow.signing import Signer
from plantops.flow.trust import Trust
from plantops.runtime.errors import BrokerUnavailable, DeviceError, IntegrityError, TrustError
from plantops.runtime.tracing import SPANS, carried

log = structlog.get_logger()

LaneName: TypeAlias = Literal["normal", "safe"]

# The client may hold a message back until as many have come as an earlier request, given up since, had asked
# for: up to the redelivery, three seconds of a stop. A request for one message is over with it.
FETCH_LIMIT = 1
_FETCH_SECONDS = 5.0
_RETRY_SECONDS = 0.5
# Well below what the broker waits for a word (`process.SAFE_ACK_SECONDS` is the shortest).
_KEEP_SECONDS = 1.0
_RECONCILE_SECONDS = 60.0
_WIND_DOWN_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Place:
    """Where an executor stands, and the name under which it speaks."""

    site: SiteName
    source: SourceName
    name: str


class Executor:
    """Carries out the permits for one source under one lease. One non-safe command at a time for an asset."""

    def __init__(
        self,
        place: Place,
        *,
        bus: Bus,
        signer: Signer,
        trust: Trust,
        rules: Rules,
        auditor: Auditor,
        deeds: Deeds,
        rehearsals: Rehearsals,
        reconciler: Reconciler,
        claims: Claims,
        outcomes: Outcomes,
        generations: Generations,
        clock: Clock,
        is_ours: Callable[[], bool],
    ) -> None:
        self._dead = DeadLetters(bus, signer, place.name)
        self._place, self._bus, self._signer, self._trust = place, bus, signer, trust
        self._rules, self._auditor, self._deeds = rules, auditor, deeds
        self._rehearsals, self._reconciler = rehearsals, reconciler
        self._claims, self._outcomes, self._generations = claims, outcomes, generations
        self._clock, self._is_ours = clock, is_ours
        self._running: set[CommandId] = set()
        self._is_closing = False
        self._assets: defaultdict[AssetName, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def run(self, lane: LaneName) -> None:
        """Serve one lane for ever; its permits run beside each other. Waits for a policy that holds first."""
        while not self._rules.policy:
            await self._rules.refresh()
            if not self._rules.policy:
                await self._clock.sleep(_RETRY_SECONDS)
        reader = await self._reader(f"{self._place.name}-{lane}")
        async with asyncio.TaskGroup() as tasks:
            while True:
                try:
                    delivered = await reader.fetch(FETCH_LIMIT, _FETCH_SECONDS)
                except AWAY:
                    await self._clock.sleep(_RETRY_SECONDS)
                    continue
                for stored in () if self._is_closing else delivered:
                    tasks.create_task(self._handle(reader, stored))

    async def wind_down(self) -> None:
        """Begin nothing new; returns when what runs has ended."""
        self._is_closing = True
        while self._running:
            await self._clock.sleep(_WIND_DOWN_SECONDS)

    async def _reader(self, consumer: str) -> Reader:
        while True:
            try:
                return await self._bus.reader("COMMANDS", consumer)
            except AWAY:
                await self._clock.sleep(_RETRY_SECONDS)

    async def _handle(self, reader: Reader, stored: Stored) -> None:
        """Acknowledge when nothing is left to do; what is not acknowledged comes again."""
        try:
            order = await self._believed(stored)
            if isinstance(order, ReconcileOrdered):
                async with self._kept_alive(reader, stored):
                    await self._reconcile(order, stored)
            elif order is not None and not await self._serve(order, stored, reader):
                return
            await reader.ack(stored)
        except AWAY as error:
            log.info("permit.postponed", subject=stored.subject, cause=str(error))

    async def _serve(self, order: Order, stored: Stored, reader: Reader) -> bool:
        """Whether the order is done with."""
        permit = order.permit
        if isinstance(order, SafePermitted):
            # At once, and for permits of other sources too: what runs here on this asset is void now.
            self._generations.raise_to(permit.asset, permit.generation)
        if (permit.site, permit.source) != (self._place.site, self._place.source):
            return True
        if permit.command in self._running or self._outcomes.is_kept(permit.command):
            return False
        self._running.add(permit.command)
        try:
            async with self._kept_alive(reader, stored):
                with carried(stored.headers.get(TRACE, "")), SPANS.span(f"{event_type(order)} carried out"):
                    if isinstance(order, SimulationOrdered):
                        await self._dry_run(order, stored)
                    else:
                        await self._carry_out(order, stored)
        finally:
            self._running.discard(permit.command)
        return True

    async def _reconcile(self, order: ReconcileOrdered, stored: Stored) -> None:
        """A device that is away is asked again for a while; then a person must order it anew."""
        if (order.site, order.source) != (self._place.site, self._place.source):
            return
        try:
            problem = await self._once_readable(order)
        except DeviceError as error:
            problem = f"the device cannot be read: {error.message}"
        if problem:
            log.warning("reconcile.refused", command=order.target, cause=problem)
            await self._dead.bury(stored, problem)

    async def _once_readable(self, order: ReconcileOrdered) -> str:
        """The while begins when we have the order, not when it was given: a host that was down comes back
        before its devices do, and by then the order may be old. Raises: DeviceError, BrokerUnavailable."""
        until = self._clock.monotonic() + _RECONCILE_SECONDS
        while True:
            try:
                return await self._reconciler.carry_out(order)
            except DeviceError:
                if self._clock.monotonic() >= until:
                    raise
            await self._clock.sleep(_RETRY_SECONDS)

    async def _believed(self, stored: Stored) -> Order | ReconcileOrdered | None:
        """The order in a message, or None when it must not be believed: then it is buried."""
        try:
            try:
                return order_of(stored, self._trust)
            except TrustError:
                # The gate's key may stand in a policy that is not known here yet, and a stop comes once.
                await self._rules.refresh()
                return order_of(stored, self._trust)
        except (EventUnreadable, SubjectInvalid, TrustError) as error:
            log.warning("permit.refused", subject=stored.subject, sequence=stored.sequence, cause=str(error))
            await self._dead.bury(stored, str(error))
            return None

    def _standing(self, permit: Permit, stored: Stored) -> Standing:
        return Standing(
            permit,
            stored,
            bus=self._bus,
            trust=self._trust,
            clock=self._clock,
            generations=self._generations,
            is_ours=self._is_ours,
        )

    async def _problem(self, order: Order, standing: Standing) -> str:
        permit, is_rehearsal = order.permit, isinstance(order, SimulationOrdered)
        problem = decision_problem(order) or permit_problem(
            permit,
            self._rules,
            site=self._place.site,
            is_safe=is_safe(order),
            is_rehearsal=is_rehearsal,
            now=standing.now(),
        )
        if not problem and permit.undoes:
            problem = await undo_problem(permit, bus=self._bus, claims=self._claims, trust=self._trust)
        if problem or is_rehearsal:
            return problem
        return self._rules.evidence_problem(permit, standing.now())

    async def _carry_out(self, order: Permission, stored: Stored) -> None:
        """To the last word on the command, whatever happens on the way. Raises: BrokerUnavailable."""
        permit = order.permit
        said = await self._claims.said(permit.command)
        if said.is_final:
            return
        standing = self._standing(permit, stored)
        if permit.safe_direction and standing.now() > permit.not_after:
            await self._ask_the_time(standing)
        if permit.policy != self._rules.policy:
            await self._rules.refresh()
        if said.is_claim and not self._claims.is_unanswered(permit.command):
            await self._finish(permit, await self._again(order, standing))
            return
        problem = "" if said.is_claim else await self._problem(order, standing)
        if problem:
            if not await self._claims.is_taken(permit.command):
                await self._finish(permit, _not_done(permit, problem))
            return
        claim = await self._claims.take(permit)
        if claim is None:
            # Whoever was before us says how it ended; we, too, if it was an earlier run of ours.
            if (await self._claims.said(permit.command)).is_claim:
                await self._finish(permit, await self._again(order, standing))
            return
        await self._finish(permit, await self._perform(permit, claim, standing))

    async def _again(self, order: Permission, standing: Standing) -> Final:
        """What an earlier run of this executor claimed and said no more of.

        A stop is done again while its permit stands: to stop twice is to stop, and not to stop is the greater
        harm. Anything else is left alone, and a person must look. Raises: BrokerUnavailable.
        """
        permit = order.permit
        if not is_safe(order) or await self._problem(order, standing):
            return _crashed(permit)
        claim = await self._claims.standing(permit.command)
        if claim is None:
            return _crashed(permit)
        log.warning("command.again", command=permit.command, asset=permit.asset)
        final = await self._perform(permit, claim, standing, is_again=True)
        # That this run wrote nothing does not say that the one before did not.
        return _crashed(permit) if isinstance(final, CommandFailed) and not final.written else final

    async def _ask_the_time(self, standing: Standing) -> None:
        """A stop is not refused by our clock, which may be ahead: our lease was renewed a moment ago, and
        the broker wrote on it when that was."""
        lease = await self._bus.last(
            "SOURCES", subjects.source(self._place.site, self._place.source, "lease")
        )
        if lease is not None:
            standing.go_by(lease.time_ns)

    async def _perform(
        self, permit: Permit, claim: Claimed, standing: Standing, *, is_again: bool = False
    ) -> Final:
        kind = event_type(claim.event)
        if permit.safe_direction:
            try:
                await self._auditor.append_or_journal(kind, claim.event, command=permit.command)
            except IntegrityError as error:
                # No disk takes the record. The signed claim stands on COMMANDS, and a stop does not wait.
                log.error("audit.stop_without_record", command=permit.command, cause=error.message)  # noqa: TRY400
            return await self._deeds.safe(permit, standing, is_again=is_again)
        async with self._assets[permit.asset]:
            try:
                await self._auditor.append(kind, claim.event, command=permit.command)
            except UNAUDITED as error:
                return _not_done(permit, f"the audit did not acknowledge the claim: {error}")
            return await self._deeds.normal(permit, standing, self._progress(permit, claim))

    def _progress(self, permit: Permit, claim: Claimed) -> Progress:
        return Progress(
            permit,
            claim.sequence,
            bus=self._bus,
            signer=self._signer,
            claims=self._claims,
            clock=self._clock,
            name=self._place.name,
        )

    async def _finish(self, permit: Permit, final: Final) -> None:
        if permit.safe_direction and not self._is_ours():
            # The host that has the source now does it again and knows how it ended; ours would be too early.
            raise BrokerUnavailable(
                f"the stop {permit.command!r} is left to the host that has the source now"
            )
        final = bounded_outcome(final)
        await self._outcomes.say(permit.command, self._message(permit, final))
        log.info("command.ended", command=permit.command, outcome=event_type(final))
        try:
            await self._auditor.append(event_type(final), final, command=permit.command)
        except UNAUDITED as error:
            # The auditor keeps the record and stores it later; the outcome itself is on its stream.
            log.warning("audit.late", command=permit.command, cause=str(error))

    async def _dry_run(self, order: SimulationOrdered, stored: Stored) -> None:
        permit = order.permit
        if (await self._claims.said(permit.command)).sequence:
            return
        if permit.policy != self._rules.policy:
            await self._rules.refresh()
        standing = self._standing(permit, stored)
        done = await self._rehearsals.done(permit, await self._problem(order, standing), standing)
        await self._bus.publish(self._message(permit, bounded_dry_run(done)), stream="COMMANDS")

    def _message(self, permit: Permit, event: Final | DryRunDone) -> Message:
        kind = event_type(event).removeprefix("command.")
        return self._signer.message(
            subjects.command(self._place.site, kind, self._place.name, permit.command),
            event,
            id=f"{self._place.name}.{permit.command}.{kind}",
            time=self._clock.now_ns(),
            causation=permit.command,
        )

    @asynccontextmanager
    async def _kept_alive(self, reader: Reader, stored: Stored) -> AsyncIterator[None]:
        """While work on a message goes on, the broker does not deliver it again."""

        async def keep() -> None:
            while True:
                await self._clock.sleep(_KEEP_SECONDS)
                try:
                    await reader.in_progress(stored)
                except AWAY:
                    continue

        task = asyncio.create_task(keep())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])


def _not_done(permit: Permit, reason: str) -> CommandFailed:
    return CommandFailed(site=permit.site, command=permit.command, reason=reason, written=False)


def _crashed(permit: Permit) -> OutcomeUnknown:
    return OutcomeUnknown(
        site=permit.site,
        command=permit.command,
        reason="it was claimed by an earlier run of this executor, which said no more: look at the device",
    )
