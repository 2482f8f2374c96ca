"""A toy core with its inputs on a broker in memory, and a shell that dies where it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from plantops.events import decode, encode
from plantops.flow.bus import Stored
from plantops.flow.declaration import consumer_name, snapshot_stream, snapshot_subject
from plantops.flow.memory import MemoryBroker, MemoryBus
from plantops.flow.processor import Processor, Recorded
from plantops.flow.replay import replay
from plantops.flow.shell import Shell
from plantops.flow.signing import Signer
from plantops.flow.trust import TrustAll
from plantops.ledger.keys import SigningKey
from support.counter import Counter, Tally, came_up
from support.nats import until

SIGNER = Signer("counter", SigningKey.from_seed(bytes(32)))


class Plant:
    """A memory broker with everything that the counter needs."""

    def __init__(self, processor: Processor[Tally] | None = None) -> None:
        self.processor = processor or Counter()
        self.broker = MemoryBroker()
        self.feeder = self.broker.bus("feeder")
        for name, subject in (
            ("SOURCES", "source.>"),
            ("EXTRA", "extra.>"),
            ("FINDINGS", "finding.>"),
            ("DEAD", "dead.>"),
        ):
            self.broker.add_stream(name, [subject])
        for reads in self.processor.consumes:
            self.broker.add_consumer(reads.stream, consumer_name(self.processor.name, reads), reads.subjects)
        name = self.processor.name
        self.broker.add_stream(snapshot_stream(name), [snapshot_subject(name, ">")], max_per_subject=1)

    async def feed(self, count: int, *, first: int = 0) -> None:
        for number in range(first, first + count):
            stream, subject = ("EXTRA", "extra.demo") if number % 5 == 0 else ("SOURCES", "source.demo.a.up")
            message = SIGNER.message(
                subject, came_up(f"s{number % 3}", number), id=f"in{number}", time=self.broker.now_ns
            )
            await self.feeder.publish(message, stream=stream)
            self.broker.advance(0.01)

    def shell(self, bus: MemoryBus | None = None, **options: Any) -> Shell[Tally]:
        return Shell(
            self.processor, bus or self.broker.bus("counter"), SIGNER, TrustAll(), site="demo", **options
        )

    @asynccontextmanager
    async def running(self, shell: Shell[Tally]) -> AsyncIterator[asyncio.Task[None]]:
        await shell.restore()
        task = asyncio.create_task(shell.run())
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def settle(self, shell: Shell[Tally]) -> None:
        """Run until every input is folded, then stop in order."""
        async with self.running(shell) as task:
            await until(lambda: task.done() or self.is_folded(shell))
        if not task.cancelled():
            task.result()

    async def end(self, shell: Shell[Tally]) -> None:
        """Run until it ends by itself."""
        async with self.running(shell) as task:
            await until(task.done)
        task.result()

    def is_folded(self, shell: Shell[Tally]) -> bool:
        return all(self.broker.streams[stream].last == at for stream, at in shell.positions.items())

    def answers(self) -> list[Stored]:
        """What the core said; not the words with which its runs began."""
        stored = self.broker.stream("FINDINGS").messages.values()
        return [message for message in stored if message.subject == "finding.demo.counter"]

    def findings(self) -> list[bytes]:
        return [message.data for message in self.answers()]

    def expected(self) -> tuple[Tally, list[bytes]]:
        """One clean fold over the streams, one after the other."""
        history = []
        for stream in ("SOURCES", "EXTRA"):
            for stored in self.broker.streams[stream].messages.values():
                fact = decode(stored.data)
                history.append(
                    Recorded(stream, stored.sequence, stored.subject, stored.time_ns, fact, "", "")
                )
        state, outputs = replay(self.processor, history)
        return state, [encode(output.event) for output in outputs]

    def check(self, shell: Shell[Tally] | None = None) -> None:
        state, outputs = self.expected()
        assert sorted(self.findings()) == sorted(outputs)
        if shell is not None:
            assert self.processor.dump(shell.state) == self.processor.dump(state)


class Dies(Exception):
    """The process is gone."""


def mortal(plant: Plant, point: str, **options: Any) -> Shell[Tally]:
    """A shell that dies when it reaches `point` for the first time."""

    class Mortal(Shell[Tally]):
        def reached(self, place: str) -> None:
            if place == point:
                raise Dies(point)

    return Mortal(plant.processor, plant.broker.bus("counter"), SIGNER, TrustAll(), site="demo", **options)
