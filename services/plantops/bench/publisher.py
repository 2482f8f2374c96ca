"""A source of counter frames that goes the host's own way: lease, definition, outbox, signatures, batches."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from plantops.adapters.host.clock import SystemClock
from plantops.adapters.host.gaps import GapTeller
from plantops.adapters.host.lease import Lease
from plantops.adapters.host.notices import Notices, publish_definition
from plantops.adapters.host.outbox import Outbox
from plantops.bench.ground import SOURCE, fresh_token
from plantops.deployment.broker import connect
from plantops.deployment.site import Site
from plantops.events.base import SiteName, SourceName
from plantops.events.tags import MAX_SAMPLES, Column, SourceDefined, TagFrame, layout_of
from plantops.flow.signing import Signer
from plantops.ledger.keys import SigningKey
from plantops.runtime.nkey import NKey

SAMPLES = MAX_SAMPLES
# So far apart that a swapped counter never looks like its neighbour.
APART = 1_000_000_000
LIVE_SECONDS = 5.0


@dataclass
class Publisher:
    """Makes full frames, block after block of the source's tags. Every sample is its tag's next count; of a
    source of doubles, a noisy measurement. `made_at` holds the monotonic time of each frame, in order of
    their sequence."""

    definition: SourceDefined
    outbox: Outbox
    epoch: int
    made_at: list[float] = field(default_factory=list)
    breaks: int = 0

    def __post_init__(self) -> None:
        size = len(self.definition.tags)
        self._layout = layout_of(self.definition)
        self._blocks = [np.arange(start, start + SAMPLES, dtype="<u4") for start in range(0, size, SAMPLES)]
        self._indexes = [block.tobytes() for block in self._blocks]
        self._bases = [block.astype("<u8") * APART for block in self._blocks]
        self._kind = self.definition.tags[0].kind
        self._random = np.random.default_rng(1)

    def make(self, count: int) -> None:
        """Make `count` frames and hand them to the outbox."""
        self.outbox.add([self._frame() for _ in range(count)])

    def _frame(self) -> TagFrame:
        number = len(self.made_at)
        round_, block = divmod(number, len(self._blocks))
        self.made_at.append(time.monotonic())
        is_last = block == len(self._blocks) - 1
        return TagFrame(
            source=self.definition.source,
            epoch=self.epoch,
            sequence=number + 1,
            observed_at=time.time_ns(),
            layout=self._layout,
            columns=[Column(self._kind, self._indexes[block], self._values(block, round_), 192, 0)],
            confirms=b"\x00" if is_last else b"",
        )

    def _values(self, block: int, round_: int) -> bytes:
        if self._kind == "u8":
            return (self._bases[block] + np.uint64(round_ + 1)).tobytes()
        # Noise in every bit of the mantissa: nothing compresses worse.
        return self._random.normal(60.0, 0.2, SAMPLES).astype("<f8").tobytes()

    def expected(self, position: int) -> int:
        """The value that tag `position` has after all frames made so far."""
        rounds, rest = divmod(len(self.made_at), len(self._blocks))
        return position * APART + rounds + (1 if position // SAMPLES < rest else 0)


@asynccontextmanager
async def publisher(site: Site) -> AsyncIterator[Publisher]:
    """The host of the source `bench` without a device; it owns the lease while it lasts."""
    definition = site.sources[SOURCE].definition
    name = f"adapter-{SOURCE}"
    identity = site.folder.identity(name)
    signer = Signer(name, SigningKey.load(identity.signing))
    bus = await connect(site, name, NKey.load(identity.login))
    clock, place, source = SystemClock(), SiteName(site.name), SourceName(SOURCE)
    lease = Lease(bus, signer, clock, site=place, source=source, owner=fresh_token())
    tasks: list[asyncio.Task[None]] = []
    try:
        epoch = await lease.acquire()
        await publish_definition(bus, signer, clock, definition)
        gaps = GapTeller(bus, signer, clock, site=place, source=source, epoch=epoch)
        notices = Notices(bus, signer, clock, site=place, source=source, epoch=epoch)
        outbox = Outbox(
            bus,
            signer,
            clock,
            gaps,
            site=place,
            source=source,
            epoch=epoch,
            limit=10_000,
            live_seconds=LIVE_SECONDS,
            is_held=lambda: lease.is_held,
            on_break=lambda: _count_break(made),
        )
        made = Publisher(definition, outbox, epoch)
        notices.up()
        tasks = [asyncio.create_task(work) for work in (outbox.run(), notices.run(), lease.keep())]
        yield made
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
        await bus.close()


def _count_break(made: Publisher) -> None:
    made.breaks += 1


def source_file(tags: int, kind: Literal["uint64", "float64"] = "uint64") -> str:
    """A source of counters, or of noisy doubles. Its device is never connected: frames come from the
    publisher."""
    head = (
        'adapter = "modbus"\n[connection]\nhost = "127.0.0.1"\n[[groups]]\nname = "all"\nperiod_ms = 1000\n'
    )
    one = '[[tags]]\nname = "bench.c{0:05d}"\naddress = "holding:{0}:{1}"\n'
    return head + "".join(one.format(number, kind) for number in range(tags))
