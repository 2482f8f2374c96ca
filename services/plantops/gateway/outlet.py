"""What waits for one client of the live events: bounded, and cut with a reason when it is not fetched."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, Literal, NamedTuple, TypeAlias

MAX_BYTES: Final = 512 * 1024
"""A client that is this far behind cannot follow."""

Cut: TypeAlias = Literal["slow", "missed", "behind", "away", "stopping"]
"""`slow`: it did not fetch what waited. `missed`: the gateway itself missed something. `behind`: there is
more to catch up with than is told at once. `away`: who is asked for what was missed does not answer.
`stopping`: the gateway ends. To each the answer is to come again with the last identity that was heard."""

Log: TypeAlias = Literal["commands", "tags", "beat"]


class Chunk(NamedTuple):
    """An encoded event. `number` is its place in `log`, the same bytes for all who want the same."""

    log: Log
    number: int
    data: bytes


class Outlet:
    """One client's queue. `put` never waits; `take` waits for something."""

    __slots__ = ("_bell", "_chunks", "_limit", "_size", "cut_for")

    def __init__(self, limit: int = MAX_BYTES) -> None:
        self._chunks: deque[Chunk] = deque()
        self._size = 0
        self._limit = limit
        self._bell = asyncio.Event()
        self.cut_for: Cut | None = None

    def put(self, chunk: Chunk) -> None:
        """Nothing more is kept once it is cut."""
        if self.cut_for is not None:
            return
        self._size += len(chunk.data)
        if self._size > self._limit:
            self.cut("slow")
            return
        self._chunks.append(chunk)
        self._bell.set()

    def cut(self, reason: Cut) -> None:
        """End it; what waited is dropped, since the client will ask for it again."""
        if self.cut_for is None:
            self.cut_for = reason
            self._chunks.clear()
            self._size = 0
            self._bell.set()

    @property
    def is_idle(self) -> bool:
        return not self._chunks

    async def take(self) -> list[Chunk]:
        """All that waits, at least one; nothing when it was cut."""
        await self._bell.wait()
        if self.cut_for is not None:
            return []
        self._bell.clear()
        chunks = list(self._chunks)
        self._chunks.clear()
        self._size = 0
        return chunks
