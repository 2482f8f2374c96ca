"""What it takes to prove any record without reading the whole log again.

It is made from the log alone, and thrown away with the process: nothing is believed for standing here, since
a proof is held against the notary's signed root before it is given away.
"""

from __future__ import annotations

import asyncio
import hashlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final
from weakref import WeakKeyDictionary

from plantops.flow.bus import Bus, Stored
from plantops.ledger.record import read_unverified
from plantops.ledger.tiles import TILE_WIDTH
from plantops.ledger.tree import leaf_hash, perfect_root
from plantops.runtime.errors import MalformedEnvelope
from plantops.tools.contract import ToolError

# Of what a call may take, this share goes into reading on; the rest is for the answer.
_SHARE: Final = 0.6


@dataclass
class LeafIndex:
    """The first `size` records of one AUDIT stream: `roots` of full tiles, and 8 bytes for each record that
    tell which command it is about."""

    bus: Bus
    created: str = ""
    size: int = 0
    roots: list[bytes] = field(default_factory=list)
    _pending: list[bytes] = field(default_factory=list)
    _commands: array[int] = field(default_factory=lambda: array("Q"))
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def reach(self, size: int, seconds: float) -> None:
        """Read on to `size` records. What was read in time stays, also when the caller gives up.

        Raises: ToolError `unavailable` when there is more to read than that takes, `not_kept` when a record
        is missing; BrokerError.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds * _SHARE
        async with self._lock:
            created = (await self.bus.state("AUDIT")).created
            if created != self.created:
                self._forget(created)
            while self.size < size:
                if loop.time() > until:
                    read = f"{self.size} of {size} audit records are read for proofs so far"
                    raise ToolError("unavailable", f"{read}: ask again, it goes on there")
                page = await self.bus.history("AUDIT", ">", self.size + 1, min(TILE_WIDTH, size - self.size))
                self._take(page)

    def about(self, command: str, size: int) -> Iterator[int]:
        """Which of the first `size` records may be about a command: each that is, and rarely another."""
        mark = _mark(command)
        return (index for index, found in enumerate(self._commands[:size]) if found == mark)

    def _forget(self, created: str) -> None:
        self.created, self.size = created, 0
        self.roots, self._pending, self._commands = [], [], array("Q")

    def _take(self, page: Sequence[Stored]) -> None:
        """A page behind what is known, all of it or up to a record that is missing."""
        for stored in page:
            if stored.sequence != self.size + 1:
                break
            self._pending.append(leaf_hash(stored.data))
            self._commands.append(_mark(_command(stored.data)))
            self.size += 1
            if len(self._pending) == TILE_WIDTH:
                self.roots.append(perfect_root(self._pending))
                self._pending = []
        if not page or page[-1].sequence != self.size:
            raise ToolError("not_kept", f"record {self.size} of AUDIT is gone: run `plantops audit verify`")


async def leaves_of(bus: Bus, tile: int, size: int) -> tuple[list[bytes], list[bytes]]:
    """The records of a level-0 tile of a log of `size`, and their leaf hashes.

    Raises: ToolError `not_kept` when one is missing; BrokerError.
    """
    first = tile * TILE_WIDTH
    width = min(TILE_WIDTH, size - first)
    page = await bus.history("AUDIT", ">", first + 1, width)
    if [stored.sequence for stored in page] != list(range(first + 1, first + width + 1)):
        raise ToolError("not_kept", f"a record of AUDIT behind {first} is gone: run `plantops audit verify`")
    entries = [stored.data for stored in page]
    return entries, list(map(leaf_hash, entries))


def index_of(bus: Bus) -> LeafIndex:
    """The index of a connection; it lives as long as that does."""
    found = _INDEXES.get(bus)
    if found is None:
        found = _INDEXES[bus] = LeafIndex(bus)
    return found


# No knowledge, only work that was done already: without it each proof reads the log from its beginning.
_INDEXES: Final[WeakKeyDictionary[Bus, LeafIndex]] = WeakKeyDictionary()


def _command(entry: bytes) -> str:
    try:
        return read_unverified(entry).command
    except MalformedEnvelope:
        return ""


def _mark(command: str) -> int:
    return int.from_bytes(hashlib.blake2b(command.encode(), digest_size=8).digest())
