"""What the bench sees from outside: the second reader's totals and the twin's revision, with their times."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec

from plantops.bench.counting import Totals
from plantops.bench.ground import Ground, child
from plantops.deployment.broker import connect
from plantops.deployment.site import Site
from plantops.events import subjects
from plantops.events.base import Record, TagName, encode_json
from plantops.events.queries import ProblemDetail, TagsAsked, TagsTold, TwinListed, read_answer
from plantops.flow.bus import Bus
from plantops.runtime.errors import BrokerUnavailable, NobodyAnswers, Refused
from plantops.runtime.nkey import NKey

PERSON = "alice"
START_SECONDS = 30.0


@asynccontextmanager
async def person(site: Site, name: str = PERSON) -> AsyncIterator[Bus]:
    """A client's connection, as any person has it."""
    bus = await connect(site, name, NKey.load(site.folder.identity(name, person=True).login))
    try:
        yield bus
    finally:
        await bus.close()


@dataclass
class TwinSeen:
    """Asks the twin as a client does. `revisions` holds (time of the answer, revision), both rising."""

    bus: Bus
    site: str
    tag: TagName
    revisions: list[tuple[float, int]] = field(default_factory=list)

    async def ask(self, verb: str, question: Record) -> bytes:
        """The bytes of an answer. Raises: BrokerUnavailable."""
        subject = subjects.service("twin", self.site, verb)
        return (await self.bus.request(subject, encode_json(question), timeout=10.0)).data

    async def get(self, *, offset: int = 0, limit: int = 1, prefix: str = "") -> TagsTold:
        """Raises: Refused, BrokerUnavailable."""
        tags = () if prefix else (self.tag,)
        told = read_answer(
            await self.ask("get", TagsAsked(tags=tags, prefix=prefix, limit=limit, offset=offset)), TagsTold
        )
        if isinstance(told, ProblemDetail):
            raise Refused(told.message, reason=told.code)
        return told

    async def listed(self) -> TwinListed:
        """Raises: Refused, BrokerUnavailable."""
        told = read_answer(await self.ask("list", TagsAsked()), TwinListed)
        if isinstance(told, ProblemDetail):
            raise Refused(told.message, reason=told.code)
        return told

    @property
    def revision(self) -> int:
        """The last one seen."""
        return self.revisions[-1][1] if self.revisions else 0

    async def watch(self, pause_seconds: float) -> None:
        """Look until cancelled: what an answer shows was visible at its time, or before."""
        while True:
            told = await self.get()
            self.revisions.append((time.monotonic(), told.revision))
            await asyncio.sleep(pause_seconds)

    async def ready(self) -> None:
        """Wait until the twin answers. Raises: TimeoutError."""
        async with asyncio.timeout(START_SECONDS):
            while True:
                try:
                    await self.listed()
                except (BrokerUnavailable, NobodyAnswers):
                    await asyncio.sleep(0.1)
                else:
                    return


class ReaderEnded(BrokerUnavailable):
    """The second reader's process is gone; its log says why."""


@dataclass
class ReaderSeen:
    """The second reader's process, and what it told last."""

    pid: int
    lines: asyncio.StreamReader
    totals: Totals = field(default_factory=Totals)
    told: asyncio.Event = field(default_factory=asyncio.Event)
    has_ended: bool = False

    async def follow(self) -> None:
        """Read its lines to the end."""
        while line := await self.lines.readline():
            self.totals = msgspec.json.decode(line, type=Totals)
            self.told.set()
        self.has_ended = True
        self.told.set()

    async def until(self, condition: Callable[[Totals], bool], seconds: float) -> Totals:
        """The first totals for which it holds. Raises: TimeoutError, ReaderEnded."""
        async with asyncio.timeout(seconds):
            while not condition(self.totals):
                self.told.clear()
                await self.told.wait()
                if self.has_ended:
                    raise ReaderEnded("the second reader ended: see its log")
        return self.totals


@asynccontextmanager
async def second_reader(
    here: Ground, *, prefix: str, step: int = 1, modulus: int = 1 << 62
) -> AsyncIterator[ReaderSeen]:
    """The counting reader on a site, ready to fold."""
    words = ["plantops.bench.reading", "--folder", str(here.site.folder.root), "--site", here.site.name]
    words += ["--prefix", prefix, "--step", str(step), "--modulus", str(modulus)]
    async with child(words, here.site.folder.logs / "reader.log", pipe=True) as process:
        assert process.stdout is not None
        seen = ReaderSeen(process.pid, process.stdout)
        following = asyncio.create_task(seen.follow())
        try:
            async with asyncio.timeout(START_SECONDS):
                await seen.told.wait()
            if seen.has_ended:
                raise ReaderEnded(f"the second reader did not start:\n{here.log_tail()}")
            yield seen
        finally:
            following.cancel()
            await asyncio.wait([following])
