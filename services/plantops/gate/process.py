"""The gate as a process: the fold that decides, the doors before it, and the audit behind it.

Any number of gates may run. One is at work; the others are connected, follow the policy, and wait (see
`flow.standby`). The fold, the stops and everything else that clients send have a connection each, so that
none of them waits in the broker's buffer behind another.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog

from plantops.events import event_type
from plantops.events.base import Record, encode_json
from plantops.events.envelope import Message
from plantops.events.subjects import service
from plantops.flow.audited import keep_auditing
from plantops.flow.auditing import Auditor
from plantops.flow.bus import Bus, Subscription
from plantops.flow.context import Context
from plantops.flow.declaration import ProcessSpec, Writes
from plantops.flow.observing import Observer
from plantops.flow.policies import follow
from plantops.flow.processor import Reads
from plantops.flow.shell import Shell
from plantops.flow.standby import take_turns
from plantops.gate.core import EMITS, Gate, inputs_of
from plantops.gate.door import Door
from plantops.gate.services import VERBS, services
from plantops.gate.state import GateState
from plantops.gate.stops import StopLane, safe_operations
from plantops.policy.document import TrustRoot
from plantops.runtime.errors import Fenced

NAME = "gate"

log = structlog.get_logger("plantops.gate")
# A stop waits for the batch that is folded when it comes: keep that short.
FETCH_LIMIT = 32


def gate_spec(site: str) -> ProcessSpec:
    """What the gate may do on the broker."""
    emitted = tuple(event_type(kind) for kind in EMITS)
    return ProcessSpec(
        name=NAME,
        reads=(*inputs_of(site, NAME), own_events(site)),
        writes=(
            Writes("INTENTS", (f"intent.{site}.*.*.*",), ("command.requested",)),
            Writes("APPROVALS", (f"approval.{site}.*.*",), ("approval.received",)),
            Writes("COMMANDS", (f"cmd.{site}.*.{NAME}.*",), emitted),
            Writes("DEAD", (f"dead.{NAME}",), ("message.buried",)),
        ),
        lookups=("POLICY", "DEFINITIONS", "TAGS"),
        public=tuple(service("command", site, verb) for verb in VERBS),
        door=(f"door.intent.{site}.>", f"door.approval.{site}.>"),
        asks=(service("twin", site, "sightings"),),
        audits=True,
        snapshots=True,
        standby=True,
    )


def own_events(site: str) -> Reads:
    """The gate's own words, read once more to put each into the audit."""
    return Reads("COMMANDS", (f"cmd.{site}.*.{NAME}.*",), kind="effect", name="audit")


async def run_gate(context: Context, root: TrustRoot) -> None:
    """Until cancelled: at work, or standing by. Raises: what ends a gate for good."""
    async with _ways(context) as (crowd, stops):
        context.ready()
        async with asyncio.TaskGroup() as group:
            group.create_task(follow(context.bus, context.in_force))
            group.create_task(take_turns(context.bus, lambda: GateAtWork(context, root, crowd, stops).run()))


@asynccontextmanager
async def _ways(context: Context) -> AsyncIterator[tuple[Bus, Bus]]:
    """The connections of the common doors and of the stops."""
    if context.connect is None:
        yield context.bus, context.bus
        return
    crowd = await context.connect()
    try:
        stops = await context.connect()
        try:
            yield crowd, stops
        finally:
            await stops.close()
    finally:
        await crowd.close()


class GateAtWork:
    """One reign: from the claim of the fold to the moment when another gate has it."""

    def __init__(self, context: Context, root: TrustRoot, crowd: Bus, stops: Bus) -> None:
        assert context.auditor is not None
        # A chain that went on without us cannot be picked up where we left it: each reign asks where it is.
        old = context.auditor
        auditor = Auditor(old.site, old.bus, old.signer, old.journal, old.now)
        self._context = dataclasses.replace(context, auditor=auditor)
        self._crowd = crowd
        self._shell = Shell(
            Gate(context.site, context.plant, root),
            context.bus,
            context.signer,
            context.in_force,
            site=context.site,
            fetch_limit=FETCH_LIMIT,
            ahead=2 * FETCH_LIMIT,
        )
        lane = self._door(stops)
        # Not the group of the common door, or only one of the two would hear a stop.
        self._lane = StopLane(context.site, stops, lane.intent, self._safe, f"{self._shell.token}-stops")
        self._common = self._door(crowd)
        self._common.is_heard_twice = self._lane.serves
        self._serving: list[Subscription] = []

    async def run(self) -> None:
        """Raises: Fenced when another gate has taken over; its doors are closed then."""
        await self._shell.restore()
        log.info("gate.restored")
        try:
            await self._open()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._shell.run())
                group.create_task(self._shell.hold())
                group.create_task(self._lane.follow())
                group.create_task(keep_auditing(self._context, own_events(self._context.site)))
        finally:
            await self._close()

    async def _open(self) -> None:
        """In groups of this run alone: a gate that hangs still has its place in its own, and takes nothing
        from this one."""
        site, group = self._context.site, self._shell.token
        await self._lane.open()
        handlers = {service("command", site, verb): answer for verb, answer in self._services().items()}
        handlers[f"door.intent.{site}.>"] = self._common.intent
        handlers[f"door.approval.{site}.>"] = self._common.approval
        for subject, handler in handlers.items():
            self._serving.append(await self._crowd.serve(subject, handler, group=group))

    async def _close(self) -> None:
        await self._lane.close()
        while self._serving:
            await self._serving.pop().stop()

    def _services(self) -> dict[str, Callable[[Message], Awaitable[bytes | None]]]:
        return {
            verb: self._while_owner(answer)
            for verb, answer in services(self._state, self._context.now).items()
        }

    def _while_owner(
        self, answer: Callable[[Message], Awaitable[bytes]]
    ) -> Callable[[Message], Awaitable[bytes | None]]:
        async def guarded(message: Message) -> bytes | None:
            try:
                await self._shell.confirm()
            except Fenced:
                return None  # the other one has heard it too
            return await answer(message)

        return guarded

    def _door(self, bus: Bus) -> Door:
        context = self._context
        observer = Observer(context.site, bus, context.plant, context.in_force, context.now)
        return Door(
            site=context.site,
            bus=bus,
            signer=context.signer,
            plant=context.plant,
            state=self._state,
            observe=observer.observe,
            refuse=self._refuse,
            now=context.now,
            owns=self._shell.confirm,
        )

    def _state(self) -> GateState:
        return self._shell.state

    def _safe(self) -> frozenset[tuple[str, str]]:
        verified = self._shell.state.verified
        return safe_operations(self._context.plant, verified.policy) if verified else frozenset()

    async def _refuse(self, login: str, subject: str, reason: str) -> None:
        assert self._context.auditor is not None
        body = encode_json(DoorRefused(login=login, subject=subject[:256], reason=reason[:1024]))
        self._context.auditor.note("door.refused", body)


class DoorRefused(Record, frozen=True):
    """Audit body of what the door turned away."""

    login: str
    subject: str
    reason: str
