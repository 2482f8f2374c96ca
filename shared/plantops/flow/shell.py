"""The one shell around every fold: what the core says becomes stored exactly once, whatever dies when.

`restore` brings the state back to where the log stands; `run` goes on from there. The order is always:
fetch, step, store the answers as one batch, snapshot now and then, and only then acknowledge. A snapshot
is of one moment between two batches; it is encoded and written while the fold goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final, Generic, TypeAlias, TypeVar

import structlog

from plantops.flow.bus import Bus, Stored
from plantops.flow.dead import DeadLetters
from plantops.flow.inlet import Inlet
from plantops.flow.order import Order
from plantops.flow.outlet import Outlet, Produced
from plantops.flow.processor import Awaits, Processor, Recorded, Reigns
from plantops.flow.reading import EventReader
from plantops.flow.restore import Restorer, read_input
from plantops.flow.saving import Moment, Saver
from plantops.flow.signing import Signer
from plantops.flow.snapshot import SnapshotStore
from plantops.flow.step import step
from plantops.flow.trust import Trust
from plantops.runtime.errors import BrokerUnavailable, Fenced

log = structlog.get_logger()

S = TypeVar("S")
OnBatch: TypeAlias = Callable[[S, Sequence[Recorded]], None]
OnOutputs: TypeAlias = Callable[[Sequence[Recorded]], None]

_PAUSE_SECONDS: Final = 0.5
_LOOK_SECONDS: Final = 0.2
# Below what a standby waits before it takes over from a process that hangs.
_SURE_SECONDS: Final = 0.4
_STOP_SECONDS: Final = 3.0


class Shell(Generic[S]):
    """Runs one core under one identity; of several runs of the same one the youngest owns the work.

    `on_batch` gets the state and the inputs after each batch whose answers are stored, `on_outputs` the
    answers; neither may raise or change anything. `linger_seconds` lets messages pile up between fetches.
    `ahead` is how many messages of each input may be on their way before they are fetched (0: none), which
    costs a busy process fewer turns.
    """

    def __init__(
        self,
        processor: Processor[S],
        bus: Bus,
        signer: Signer,
        trust: Trust,
        *,
        site: str,
        fetch_limit: int = 500,
        snapshot_inputs: int = 10_000,
        snapshot_seconds: float = 60.0,
        linger_seconds: float = 0.0,
        ahead: int = 0,
        on_batch: OnBatch[S] | None = None,
        on_outputs: OnOutputs | None = None,
    ) -> None:
        self.processor: Final = processor
        self.dead: Final = DeadLetters(bus, signer, processor.name)
        self._bus = bus
        self._reader = EventReader(bus, trust, site=site)
        self._fetch_limit, self._linger = fetch_limit, linger_seconds
        self._snapshot_inputs, self._snapshot_seconds = snapshot_inputs, snapshot_seconds
        self._on_batch, self._on_outputs = on_batch, on_outputs
        self._store = SnapshotStore(bus, processor.name, processor.version, signer.key)
        self._outlet = Outlet(
            bus,
            signer,
            processor.output_stream,
            processor.output_filter,
            token=self._store.token,
            began=processor.began(self._store.token) if isinstance(processor, Reigns) else None,
        )
        self._inlets = [
            Inlet(processor.name, reads, most=ahead) for reads in processor.consumes if reads.kind == "fold"
        ]
        self._order = (
            Order(processor, bus, self._reader, self._inlets) if isinstance(processor, Awaits) else None
        )
        self._created: dict[str, str] = {}
        self._state = processor.initial()
        self._lock = asyncio.Lock()
        self._saver = Saver(processor, self._store, self._inlets, self.reached)
        self._since = 0
        self._saved_at = 0.0
        self._due: asyncio.Queue[Moment] = asyncio.Queue()
        self._is_saving = False
        self._is_whole = False
        self._owned_at = 0.0

    @property
    def token(self) -> str:
        """Names this run among all of the same identity."""
        return self._store.token

    @property
    def state(self) -> S:
        """The state as it is at this moment; to read it between awaits use `locked`."""
        return self._state

    @property
    def positions(self) -> Mapping[str, int]:
        """How far each input is folded."""
        return {inlet.key: inlet.position for inlet in self._inlets}

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[S]:
        """The state, with all its answers stored, and unchanged until the block ends."""
        async with self._lock:
            yield self._state

    async def restore(self) -> None:
        """Take over the work and bring the state to where the log stands; nothing is decided yet.

        Raises: IntegrityError when a stream is not the one that was folded; Fenced; StreamMissing;
        BrokerUnavailable.
        """
        restorer = Restorer(self.processor, self._bus, self._reader, self._store, self._outlet, self._inlets)
        self._state = await restorer.restore()
        self._created = restorer.created
        self._saved_at = self._owned_at = asyncio.get_running_loop().time()
        self._is_whole = True

    async def hold(self) -> None:
        """Look five times a second whether this run still owns the work. Raises: Fenced when it does not.

        Without it a replaced run notices at its next answer or snapshot, which may be never.
        """
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                await self._check_owner()
            except BrokerUnavailable:
                continue  # then nobody can take over either

    async def confirm(self) -> None:
        """Returns when this run owned the work at most 0.4 s ago, by a clock that goes on while it sleeps.

        For whoever speaks beside the fold, whose own words are fenced by the broker. Raises: Fenced,
        BrokerUnavailable.
        """
        if asyncio.get_running_loop().time() - self._owned_at > _SURE_SECONDS:
            await self._check_owner()

    async def run(self) -> None:
        """Follow the inputs until cancelled; then a last snapshot is written and acknowledged.

        Raises: Fenced when another run took over, and whatever else ends the work.
        """
        tasks = [asyncio.create_task(self._follow(inlet)) for inlet in self._inlets]
        tasks.append(asyncio.create_task(self._keep()))
        try:
            done, _rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                await task
        except asyncio.CancelledError:
            await self._finish(tasks)
            raise
        finally:
            for task in tasks:
                task.cancel()
            for result in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(result, Exception):
                    log.warning("input.ended", processor=self.processor.name, error=repr(result))

    async def _finish(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        try:
            async with asyncio.timeout(_STOP_SECONDS), self._lock, self._saver.idle:
                # Here no batch is half done and no snapshot half written: those that wait lose nothing.
                for task in tasks:
                    task.cancel()
                if self._is_whole and self._since:
                    await self._saver.save_last(self._moment())
        except (TimeoutError, BrokerUnavailable, Fenced) as error:
            log.warning("shell.stopped_without_snapshot", processor=self.processor.name, error=repr(error))

    async def _follow(self, inlet: Inlet) -> None:
        is_lost = False
        while True:
            try:
                delivered = await self._turn(inlet)
            except BrokerUnavailable as error:
                inlet.is_adrift = True
                if not is_lost:
                    log.warning("input.waiting", input=inlet.key, reason=error.message)
                is_lost = True
                await asyncio.sleep(_PAUSE_SECONDS)
            else:
                is_lost = False
                if self._linger and delivered < self._fetch_limit:
                    await asyncio.sleep(self._linger)

    async def _turn(self, inlet: Inlet) -> int:
        """Fetch, fold, snapshot when due; gives the number of messages. Raises: BrokerUnavailable, Fenced."""
        if inlet.needs_rewind():
            async with self._lock:
                await self._check_owner()
                await inlet.rewind()
        delivered = await inlet.fetch(self._fetch_limit)
        self.reached("fetched")
        if self._order is not None:
            await self._order.wait(inlet, delivered)
        async with self._lock:
            if fresh := inlet.accept(delivered):
                await self._fold(inlet, fresh)
            self._begin_when_due()
        return len(delivered)

    async def _check_owner(self) -> None:
        """A run that was replaced neither takes the new one's messages away nor answers for it.

        Raises: Fenced, BrokerUnavailable.
        """
        asked_at = asyncio.get_running_loop().time()
        await self._store.require_owner()
        self._owned_at = asked_at

    async def _fold(self, inlet: Inlet, fresh: Sequence[Stored]) -> None:
        """Read all, step all, store the answers. Raises: BrokerUnavailable only before the first step."""
        facts = [await read_input(self._reader, self.processor, stored, self.dead) for stored in fresh]
        self._is_whole = False
        inputs: list[Recorded] = []
        produced: list[Produced] = []
        for stored, read in zip(fresh, facts, strict=True):
            time_ns = inlet.time_of(stored)
            inlet.folded(stored)
            if read is None:
                continue
            recorded = read.at(time_ns)
            self._state, own = step(self.processor, self._state, recorded)
            inputs.append(recorded)
            if own:
                produced.append(Produced(stored, own, self.positions))
        self._since += len(fresh)
        self.reached("stepped")
        await self._outlet.store(produced)
        self._is_whole = True
        self.reached("stored")
        if self._order is not None:
            self._order.moved()
        self._tell(inputs, produced)

    def _tell(self, inputs: Sequence[Recorded], produced: Sequence[Produced]) -> None:
        if self._on_batch is not None and inputs:
            self._on_batch(self._state, inputs)
        if self._on_outputs is not None and produced:
            self._on_outputs([event for part in produced for event in part.events])

    def _begin_when_due(self) -> None:
        """Under the lock. One snapshot at a time; what is folded meanwhile is for the next one."""
        is_late = asyncio.get_running_loop().time() - self._saved_at >= self._snapshot_seconds
        if not self._is_saving and (self._since >= self._snapshot_inputs or (is_late and self._since)):
            self._is_saving = True
            self._due.put_nowait(self._moment())

    def _moment(self) -> Moment:
        return self._saver.moment(self._state, self._created, self._outlet.last, self._since)

    async def _keep(self) -> None:
        """Save what is due, beside the fold. Raises: Fenced."""
        while True:
            moment = await self._due.get()
            begun_at = asyncio.get_running_loop().time()
            try:
                await self._saver.save(moment)
            except BrokerUnavailable as error:
                log.warning("snapshot.waiting", processor=self.processor.name, reason=error.message)
                await asyncio.sleep(_PAUSE_SECONDS)
            else:
                self._since -= moment.since
                self._saved_at = begun_at
            self._is_saving = False

    def reached(self, point: str) -> None:
        """A place where a crash must do no harm; the kill harness dies here, everybody else goes on."""
