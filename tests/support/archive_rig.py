"""Streams in this process and an archive on a real file, whose parts run or are stepped one by one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from plantops.archive.intake import Intake
from plantops.archive.projection import projections
from plantops.archive.rolling import Roller
from plantops.archive.series import known_series
from plantops.archive.specs import ARCHIVE, PLANT_STREAMS
from plantops.archive.store import Store
from plantops.archive.writer import Writer
from plantops.events import Event, encode
from plantops.events.base import Digest, SourceName, to_nanoseconds
from plantops.events.envelope import Message
from plantops.events.frames import Sample, pack
from plantops.events.operations import PolicyPublished
from plantops.events.sources import SourceUp
from plantops.events.subjects import definition, policy, source, tag
from plantops.events.tags import SourceDefined, layout_of
from plantops.flow.declaration import consumer_name
from plantops.flow.memory import MemoryBroker, MemoryBus
from plantops.flow.policies import first
from plantops.flow.signing import Signer
from plantops.policy.document import Policy
from plantops.policy.in_force import InForce
from support.gate_samples import PLC1, POLICY, ROOT, SITE, envelope
from support.plant_samples import NOW, key

STREAMS = {reads.stream: reads for reads in PLANT_STREAMS if reads.stream in ("TAGS", "SOURCES", "POLICY")}


@dataclass
class Archive:
    """One process's life; `intakes` by stream."""

    store: Store
    intakes: dict[str, Intake]
    writer: Writer

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Of what is stored."""
        cursor = self.store.cursor()
        try:
            return cursor.execute(query).fetchall()
        finally:
            cursor.close()

    def one(self, query: str) -> Any:
        """The first value of the first row."""
        return self.rows(query)[0][0]


class Rig:
    """Streams, and who speaks on them. Time stands still at `NOW` until `advance`."""

    def __init__(self) -> None:
        self.now_ns = to_nanoseconds(NOW)
        self.broker = MemoryBroker(clock=lambda: self.now_ns)
        self.broker.add_stream("DEFINITIONS", ("definition.>",))
        for stream in STREAMS:
            self.make(stream)
        self.bus: MemoryBus = self.broker.bus(ARCHIVE)
        self.feeder: MemoryBus = self.broker.bus("feeder")
        self.frames = 0

    def make(self, stream: str) -> None:
        """A stream and the archive's consumer on it; if there is one, it is another one from now on."""
        reads = STREAMS[stream]
        self.broker.add_stream(stream, reads.subjects)
        self.broker.add_consumer(stream, consumer_name(ARCHIVE, reads), reads.subjects)

    def advance(self, span: timedelta) -> None:
        self.now_ns += span // timedelta(microseconds=1) * 1000

    async def publish_policy(self, document: Policy = POLICY) -> None:
        event = PolicyPublished(
            site=SITE, revision=document.revision, digest=Digest(""), envelope=envelope(document)
        )
        await self.feeder.publish(Message(policy(SITE), encode(event)), stream="POLICY")

    async def define(self, defined: SourceDefined = PLC1, *, signer: str = "adapter-plc1") -> None:
        layout = layout_of(defined)
        message = self.signed(definition(SITE, defined.source, layout), defined, signer)
        await self.feeder.publish(message, stream="DEFINITIONS")

    def signed(self, subject: str, event: Event, signer: str, secret: str = "") -> Message:
        """`secret` is whose key it really is."""
        voice = Signer(signer, key(secret or signer))
        return voice.message(subject, event, id=f"{subject}.{self.now_ns}", time=self.now_ns)

    def frame(
        self, defined: SourceDefined = PLC1, *, signer: str = "adapter-plc1", secret: str = ""
    ) -> Message:
        """The next frame: its first tag is its number."""
        self.frames += 1
        samples = [Sample(0, float(self.frames), 192, self.now_ns)]
        packed = pack(
            defined,
            layout_of(defined),
            samples,
            epoch=1,
            sequence=self.frames,
            observed_at=self.now_ns,
            confirms=b"\0",
        )
        voice = Signer(signer, key(secret or signer))
        return voice.frame_message(tag(SITE, defined.source), packed)

    async def send(self, *messages: Message, stream: str = "TAGS") -> None:
        for message in messages:
            await self.feeder.publish(message, stream=stream)
            self.advance(timedelta(milliseconds=10))

    async def feed(self, count: int) -> None:
        """So many frames."""
        await self.send(*(self.frame() for _ in range(count)))

    async def up(self, count: int = 1, *, detail: str = "") -> None:
        """So many events of the plant's own stream."""
        for number in range(count):
            event = SourceUp(source=SourceName("plc1"), epoch=1, detail=detail or str(number))
            await self.send(self.signed(source(SITE, "plc1", "up"), event, "adapter-plc1"), stream="SOURCES")

    async def archive(
        self, path: Path, kind: type[Store] = Store, *, commit_seconds: float = 0.01
    ) -> Archive:
        """All parts, nothing running."""
        trust = InForce(ROOT, SITE)
        await first(self.bus, trust, patience_seconds=5)
        store = kind.open(path, SITE)
        made = projections(self.bus, self.bus, trust, known_series(store), site=SITE)
        positions = store.positions()
        intakes = {
            name: Intake(ARCHIVE, STREAMS[name], self.bus, made(name), positions.get(name))
            for name in STREAMS
        }
        writer = Writer(store, Roller(store), list(intakes.values()), commit_seconds=commit_seconds)
        return Archive(store, intakes, writer)

    @asynccontextmanager
    async def running(self, path: Path, *, commit_seconds: float = 0.01) -> AsyncIterator[Archive]:
        """As the process runs it, but for snapshots and Parquet."""
        archive = await self.archive(path, commit_seconds=commit_seconds)
        await archive.writer.roll()
        tasks = [
            asyncio.create_task(work)
            for work in (
                *(intake.run(archive.writer.more) for intake in archive.intakes.values()),
                archive.writer.run(),
            )
        ]
        try:
            yield archive
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            await archive.writer.commit()
            await archive.writer.roll()
            archive.store.close()
            # Here, so that a test which waits in vain shows who has died as well.
            assert all(isinstance(result, asyncio.CancelledError) for result in results), results


async def rig() -> Rig:
    """With a policy and a definition stored."""
    made = Rig()
    await made.publish_policy()
    await made.define()
    return made
