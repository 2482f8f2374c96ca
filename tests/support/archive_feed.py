"""Everything that a busy site stores, under its processes' own keys: frames, sources, commands, audit, bad
messages. Nothing that this does is repeatable by itself; what the streams hold in the end is what counts."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from plantops.archive.entry import Entry
from plantops.deployment.broker import connect
from plantops.deployment.folder import Identity
from plantops.deployment.identities import PLANT_PROVISIONER, POLICY_OFFICE
from plantops.deployment.policies import publish_policy, revise_policy, sign_policy, write_policy
from plantops.deployment.runtime_file import read_running
from plantops.deployment.site import Site
from plantops.events import subjects
from plantops.events.base import CommandId, SiteName, SourceName, TagName
from plantops.events.envelope import Message
from plantops.events.frames import Sample, pack
from plantops.events.operations import MessageBuried, TimerFired
from plantops.events.sources import GapRecorded, LeaseTaken, SourceLost, SourceUp
from plantops.events.tags import ScanGroup, SourceDefined, TagDefinition, layout_of
from plantops.flow.accounts import PROVISIONER
from plantops.flow.auditing import Auditor
from plantops.flow.bus import Bus
from plantops.flow.jetstream import JetStreamBus
from plantops.flow.journal import Journal
from plantops.flow.signing import Signer
from plantops.ledger.keys import SigningKey
from plantops.runtime.nkey import NKey
from support.archive_story import log_of, morning

SOURCES: Final = ("plc1", "opc1")
COUNTERS: Final = 20
HOUR_NS: Final = 3_600_000_000_000
# A stream's consumer is set back to any place: redelivery, and a jump in the count of deliveries.
SET_BACK: Final = ("TAGS", "COMMANDS", "SOURCES", "INTENTS")


def definition(source: str, *, is_second: bool = False) -> SourceDefined:
    """Counters, and a tag of each other kind; the second one has another order and a tag more."""
    others = [
        TagDefinition(name=TagName(f"{source}.level"), kind="f8", unit="m"),
        TagDefinition(name=TagName(f"{source}.word"), kind="s"),
        TagDefinition(name=TagName(f"{source}.on"), kind="b1"),
        TagDefinition(name=TagName(f"{source}.huge"), kind="u8"),
    ]
    counters = [TagDefinition(name=TagName(f"{source}.counter{n}"), kind="i8") for n in range(COUNTERS)]
    if is_second:
        others = [*others, TagDefinition(name=TagName(f"{source}.late"), kind="f8", description="came later")]
    return SourceDefined(
        site=SiteName("demo"),
        source=SourceName(source),
        groups=(ScanGroup(name="all", period_ms=500 if is_second else 1000),),
        tags=tuple([*others, *counters] if is_second else [*counters, *others]),
    )


@dataclass
class Voice:
    """One identity: its connection and its signature."""

    bus: Bus
    signer: Signer


@dataclass
class Feed:
    """What was stored so far; `frames` counts the distinct frames of each source."""

    site: Site
    voices: dict[str, Voice]
    provisioner: Bus
    auditor: Auditor
    seed: int
    frames: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SOURCES, 0))
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    has_new_layout: bool = False

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)

    async def run(self) -> None:
        """Until `stopping` is set."""
        async with asyncio.TaskGroup() as group:
            for source in SOURCES:
                group.create_task(self._frames(source))
            for work in (self._commands, self._sources, self._bad, self._policy, self._set_back):
                group.create_task(work())

    async def _pause(self, seconds: float) -> bool:
        """Whether to go on."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), self.dice.uniform(0.2, 1.8) * seconds)
        return not self.stopping.is_set()

    # Tags

    async def _define(self, source: str, defined: SourceDefined) -> None:
        voice = self.voices[f"adapter-{source}"]
        layout = layout_of(defined)
        message = voice.signer.message(
            subjects.definition("demo", source, layout), defined, id=layout, time=time.time_ns()
        )
        await voice.bus.publish(message, stream="DEFINITIONS")

    async def _frames(self, source: str) -> None:
        for is_second in (False, True):
            await self._define(source, definition(source, is_second=is_second))
        voice = self.voices[f"adapter-{source}"]
        while await self._pause(0.25):
            messages = [self._frame(source) for _ in range(self.dice.randrange(1, 6))]
            await voice.bus.publish_batch(messages, stream="TAGS")
            if self.dice.random() < 0.1:  # the same frame twice: a true one, at a place of its own
                await voice.bus.publish(messages[-1], stream="TAGS", message_id=secrets.token_hex(8))
            if self.dice.random() < 0.1:  # the same message twice, as after a lost answer
                token = secrets.token_hex(8)
                for _ in range(2):
                    await voice.bus.publish(messages[0], stream="TAGS", message_id=token)

    def _frame(self, source: str) -> Message:
        defined = definition(source, is_second=self.has_new_layout)
        self.frames[source] += 1
        number = self.frames[source]
        is_late = self.dice.random() < 0.2
        observed_at = time.time_ns() - (self.dice.randrange(1, 5) * HOUR_NS if is_late else 0)
        samples = [
            Sample(index, *self._value(tag, number, observed_at)) for index, tag in enumerate(defined.tags)
        ]
        frame = pack(
            defined,
            layout_of(defined),
            samples,
            epoch=1,
            sequence=number,
            observed_at=observed_at,
            confirms=b"\0",
            historical=is_late,
        )
        return self.voices[f"adapter-{source}"].signer.frame_message(subjects.tag("demo", source), frame)

    def _value(
        self, tag: TagDefinition, number: int, observed_at: int
    ) -> tuple[float | int | bool | str | None, int, int]:
        if "counter" in tag.name:
            return number, 192, observed_at
        at = observed_at - self.dice.randrange(1_000_000_000)
        quality = self.dice.choice((192, 192, 64, 24))
        values: dict[str, float | int | bool | str] = {
            "f8": self.dice.choice((0.1, -0.0, 1e300, float("nan"), float("inf"), self.dice.random())),
            "s": self.dice.choice(("", "läuft", "x" * 40)),
            "b1": self.dice.random() < 0.5,
            "u8": self.dice.choice((0, 2**53 + 1, 2**61)),
        }
        return None if quality == 24 else values[tag.kind], quality, at

    # Everything else

    async def _commands(self) -> None:
        """The story again and again, each event signed by whom it is from."""
        entries = [
            entry
            for entry in log_of(morning()).entries
            if entry.stream in ("INTENTS", "COMMANDS", "APPROVALS")
        ]
        number = 0
        while await self._pause(0.15):
            entry = entries[number % len(entries)]
            number += 1
            await self._say(entry.signer, entry.stream, entry.subject, entry, number)
            self.auditor.note(entry.type, entry.event, command=entry.command)
            if number % 7 == 0:
                due = TimerFired(
                    site=SiteName("demo"),
                    command=CommandId(f"c{number}"),
                    due=datetime.now(UTC),
                    purpose="approval",
                )
                fired = replace(entry, event=due, stream="TIMERS")
                await self._say("timer", "TIMERS", subjects.timer("demo", "gate"), fired, number)

    async def _say(self, name: str, stream: str, subject: str, entry: Entry, number: int) -> None:
        voice = self.voices[name]
        message = voice.signer.message(
            subject,
            entry.event,
            id=f"{entry.id}.{number}",
            time=time.time_ns(),
            causation=entry.causation,
            correlation=entry.correlation,
        )
        await voice.bus.publish(message, stream=stream)

    async def _sources(self) -> None:
        while await self._pause(0.3):
            name = SourceName(self.dice.choice(SOURCES))
            voice = self.voices[f"adapter-{name}"]
            kind, event = self.dice.choice(
                (
                    ("lease", LeaseTaken(source=name, epoch=1, owner="a.1", ttl_seconds=5.0)),
                    ("up", SourceUp(source=name, epoch=1)),
                    ("lost", SourceLost(source=name, epoch=1, cause="no answer")),
                    (
                        "gap",
                        GapRecorded(
                            source=name, epoch=1, first=3, last=4, frames=2, samples=8, cause="outbox_full"
                        ),
                    ),
                )
            )
            subject = subjects.source("demo", name, kind)
            message = voice.signer.message(subject, event, id=secrets.token_hex(6), time=time.time_ns())
            await voice.bus.publish(message, stream="SOURCES")

    async def _bad(self) -> None:
        """What nobody can use: it has its row in `unread`."""
        voice, gate = self.voices["adapter-plc1"], self.voices["gate"]
        while await self._pause(0.5):
            good = self._frame("plc1")
            self.frames["plc1"] -= 1
            bad = self.dice.choice(
                (
                    Message(good.subject, b"\xff" + good.data, good.headers),
                    Message(good.subject, good.data, {}),
                    Message(good.subject, good.data, {**good.headers, "ce-type": "tag.future"}),
                    Message(good.subject, b"{}", {**good.headers, "content-type": "application/json"}),
                )
            )
            await voice.bus.publish(bad, stream="TAGS")
            buried = MessageBuried(
                process="gate", stream="INTENTS", sequence=1, subject="intent.x", reason="bad", data=""
            )
            message = gate.signer.message(
                subjects.dead("gate"), buried, id=secrets.token_hex(6), time=time.time_ns()
            )
            await gate.bus.publish(message, stream="DEAD")

    async def _policy(self) -> None:
        """A new revision now and then, and once another layout."""
        office, folder = self.voices[POLICY_OFFICE], self.site.folder
        while await self._pause(4.0):
            revised = revise_policy(folder, self.site.plant.digest, datetime.now(UTC), moc="kills")
            write_policy(folder, revised)
            sign_policy(folder, [SigningKey.load(folder.root_key)])
            await publish_policy(office.bus, office.signer, folder)
            self.has_new_layout = True

    async def _set_back(self) -> None:
        while await self._pause(1.5):
            stream = self.dice.choice(SET_BACK)
            last = (await self.provisioner.state(stream)).last
            reader = await self.provisioner.reader(stream, "archive")
            await reader.reset(self.dice.randrange(1, last + 2))


@asynccontextmanager
async def feed(site: Site, seed: int) -> AsyncIterator[Feed]:
    """A feed that is not running yet, with all its connections."""
    running = read_running(site.folder)
    assert running is not None
    async with AsyncExitStack() as stack:
        voices = {}
        for name in ("gate", "timer", *(f"adapter-{source}" for source in SOURCES)):
            identity = site.folder.identity(name)
            bus = await connect(site, name, NKey.load(identity.login))
            stack.push_async_callback(bus.close)
            voices[name] = Voice(bus, Signer(name, SigningKey.load(identity.signing)))
        office = Identity(site.folder.office / POLICY_OFFICE)
        for name, login in (
            (POLICY_OFFICE, office.login),
            (PROVISIONER, site.folder.office / f"{PLANT_PROVISIONER}.nk"),
        ):
            opened = await JetStreamBus.connect(running.url, name, seed=NKey.load(login).seed)
            stack.push_async_callback(opened.close)
            voices[name] = Voice(opened, Signer(POLICY_OFFICE, SigningKey.load(office.signing)))
        gate = voices["gate"]
        journal = Journal(site.folder.state("gate") / "audit.journal", gate.signer.key)
        auditor = Auditor("demo", gate.bus, gate.signer, journal)
        auditing = asyncio.create_task(auditor.run())
        try:
            yield Feed(site, voices, voices[PROVISIONER].bus, auditor, seed)
        finally:
            auditing.cancel()
            await asyncio.gather(auditing, return_exceptions=True)
