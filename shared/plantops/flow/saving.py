"""Writing a fold's snapshot beside the fold: taken at one moment, encoded and stored while it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from plantops.flow.bus import Stored
from plantops.flow.inlet import Inlet
from plantops.flow.processor import InPieces, Processor
from plantops.flow.snapshot import Cutter, Snapshot, SnapshotStore

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Moment:
    """A fold between two batches: `snapshot` without its state, which `pieces` give once.

    `last` is what may be acknowledged of each input when the snapshot is stored, `since` how many inputs
    it covers that the one before did not.
    """

    snapshot: Snapshot
    pieces: Iterator[bytes]
    last: Sequence[Stored | None]
    since: int


class Saver(Generic[S]):
    """Takes moments and stores them, one at a time. While somebody holds `idle`, nothing is being stored."""

    def __init__(
        self,
        processor: Processor[S],
        store: SnapshotStore,
        inlets: Sequence[Inlet],
        reached: Callable[[str], None],
    ) -> None:
        self._processor, self._store, self._inlets, self._reached = processor, store, inlets, reached
        self.idle: Final = asyncio.Lock()

    def moment(self, state: S, created: Mapping[str, str], own: int, since: int) -> Moment:
        """Of now, when the answers to all that was folded are stored."""
        snapshot = Snapshot(
            positions={inlet.key: inlet.position for inlet in self._inlets},
            clocks={inlet.key: inlet.clock_ns for inlet in self._inlets},
            created=dict(created),
            own=own,
        )
        last = [inlet.unacknowledged for inlet in self._inlets]
        return Moment(snapshot, self._pieces(state), last, since)

    def _pieces(self, state: S) -> Iterator[bytes]:
        if isinstance(self._processor, InPieces):
            return self._processor.dump_in_pieces(state)
        return iter((self._processor.dump(state),))

    async def save(self, moment: Moment) -> None:
        """Encode with as much time for others as for itself, then write it.

        Raises: Fenced, BrokerUnavailable.
        """
        chunks = await _encoded(moment, share=1.0)
        async with self.idle:
            await self._write(moment, chunks)

    async def save_last(self, moment: Moment) -> None:
        """Without waiting for anybody, for who holds `idle`. Raises: Fenced, BrokerUnavailable."""
        await self._write(moment, await _encoded(moment, share=0.0))

    async def _write(self, moment: Moment, chunks: Sequence[bytes]) -> None:
        await self._store.save(moment.snapshot, chunks)
        self._reached("saved")
        for inlet, last in zip(self._inlets, moment.last, strict=True):
            await inlet.acknowledge(last)
        self._reached("acknowledged")


async def _encoded(moment: Moment, *, share: float) -> list[bytes]:
    """Others get at least a turn after each piece, and `share` times what the piece took."""
    loop, cutter = asyncio.get_running_loop(), Cutter()
    begun_at = loop.time()
    for piece in moment.pieces:
        cutter.add(piece)
        await asyncio.sleep(share * (loop.time() - begun_at))
        begun_at = loop.time()
    return cutter.chunks()
