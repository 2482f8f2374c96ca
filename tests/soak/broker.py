"""The broker in memory with hooks: quick streams, connections and clocks in the harness's hand."""

from __future__ import annotations

import asyncio
import heapq
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from plantops.events.base import to_nanoseconds
from plantops.events.envelope import Message
from plantops.flow.bus import Stored
from plantops.flow.memory import MemoryBroker, MemoryBus
from plantops.flow.memory_streams import MemoryStream
from plantops.flow.streams import streams
from soak.ground import START

Point = Callable[[str], Awaitable[None]]
"""Asked at each place where a process may die or hang; the name says which place."""

_WILD: Final = "*"


@dataclass
class QuickStream(MemoryStream):
    """Finds the last message of one command without looking through all."""

    by_end: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    told: Callable[[Stored], None] = lambda _stored: None

    def append(self, message: Message, time_ns: int) -> None:
        super().append(message, time_ns)
        self.by_end[message.subject.rpartition(".")[2]].append(self.last)
        self.told(self.messages[self.last])

    def last_on(self, subject: str) -> Stored | None:
        end = subject.rpartition(".")[2]
        if end in (_WILD, ">"):
            return super().last_on(subject)
        wanted = subject.split(".")
        for sequence in reversed(self.by_end.get(end, ())):
            found = self.messages[sequence]
            tokens = found.subject.split(".")
            if len(tokens) == len(wanted) and all(
                one in (_WILD, other) for one, other in zip(wanted, tokens, strict=True)
            ):
                return found
        return None


def broker_of(clock: HandClock, told: Callable[[Stored], None]) -> MemoryBroker:
    """All streams of the account PLANT, empty. `told` hears what is stored, at once."""
    broker = MemoryBroker(clock=clock.now_ns)
    for spec in streams():
        if spec.account == "PLANT":
            keeps = 1 if spec.keeps_last else 0
            made = QuickStream(spec.name, tuple(spec.subjects), "created-0", keeps, 120.0, told=told)
            broker.streams[spec.name] = made
    return broker


class HandClock:
    """Stands still until the harness moves it. See `adapters.host.clock.Clock`."""

    def __init__(self) -> None:
        self._now = 0.0
        self._serial = count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def monotonic(self) -> float:
        return self._now

    def now_ns(self) -> int:
        return to_nanoseconds(START) + round(self._now * 1e6) * 1000

    async def sleep(self, seconds: float) -> None:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._serial), woken))
        await woken

    async def advance(self, seconds: float) -> None:
        """Let time pass; whoever wakes runs as far as he can before the next one does."""
        end = self._now + seconds
        while self._sleepers and self._sleepers[0][0] <= end:
            due, _serial, woken = heapq.heappop(self._sleepers)
            if woken.done():
                continue
            self._now = max(self._now, due)
            woken.set_result(None)
            await calm()
        self._now = end
        await calm()


async def calm() -> None:
    """Let everything run that can run now."""
    ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]  # nothing else says it
    await asyncio.sleep(0)
    while ready:  # noqa: ASYNC110 - whoever is ready sets no event
        await asyncio.sleep(0)


class Feed:
    """A consumer in the harness's hand: what is put into it is delivered. See `flow.bus.Reader`."""

    def __init__(self, point: Point) -> None:
        self._point = point
        self._waiting: deque[Stored] = deque()
        self._filled = asyncio.Event()
        self.open: dict[int, Stored] = {}

    def put(self, stored: Stored) -> None:
        """Deliver it."""
        self._waiting.append(stored)
        self._filled.set()

    async def fetch(self, limit: int, timeout: float) -> list[Stored]:
        while not self._waiting:
            self._filled.clear()
            await self._filled.wait()
        await self._point("fetch")
        found = [self._waiting.popleft() for _each in range(min(limit, len(self._waiting)))]
        self.open |= {each.sequence: each for each in found}
        return found

    async def reset(self, sequence: int) -> int:
        raise AssertionError("an executor acknowledges one by one")

    async def ack(self, message: Stored) -> None:
        self.open.pop(message.sequence, None)

    async def in_progress(self, message: Stored) -> None:
        return


class HookedBus(MemoryBus):
    """A connection of an executor: the harness may stop it before and after whatever it asks for."""

    def __init__(self, broker: MemoryBroker, identity: str, point: Point) -> None:
        super().__init__(broker, identity)
        self._point = point
        self.feeds: dict[str, Feed] = {}
        self.on_claim: Callable[[str], None] = lambda _command: None
        self.on_said: Callable[[str], None] = lambda _command: None

    async def reader(  # type: ignore[override]
        self, stream: str, consumer: str, *, ahead: bool = False, most: int = 0
    ) -> Feed:
        return self.feeds.setdefault(consumer.rpartition("-")[2], Feed(self._point))

    async def last(self, stream: str, subject: str) -> Stored | None:
        parts = subject.split(".")
        if parts[0] == "cmd" and parts[2:4] == [_WILD, self.identity]:
            self.on_said(parts[4])
        await self._point("generation" if "generation_raised" in parts else "look")
        return await super().last(stream, subject)

    async def publish(
        self,
        message: Message,
        *,
        stream: str,
        message_id: str = "",
        expected_last: int | None = None,
        expected_subject: str = "",
    ) -> int:
        parts = message.subject.split(".")
        kind = parts[2] if parts[0] == "cmd" else parts[0]
        await self._point(f"{kind}-")
        sequence = await super().publish(
            message,
            stream=stream,
            message_id=message_id,
            expected_last=expected_last,
            expected_subject=expected_subject,
        )
        if kind == "claimed":
            self.on_claim(parts[4])
        await self._point(f"{kind}+")
        return sequence


def of_stream(broker: MemoryBroker, stream: str, after: int) -> Sequence[Stored]:
    """What stands behind a position."""
    found = broker.stream(stream)
    return [found.messages[each] for each in range(after + 1, found.last + 1)]
