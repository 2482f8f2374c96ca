"""The observer believes the signed frame, never the one who told where it stands."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import msgspec
import pytest

from plantops.events.base import Scalar, SourceName, TagName, encode_json, from_nanoseconds
from plantops.events.command_parts import Observation, ObservedInput
from plantops.events.envelope import Message
from plantops.events.frames import Sample, pack
from plantops.events.queries import Sighting, SightingsAsked, SightingsTold, problem
from plantops.events.tags import SourceDefined, layout_of
from plantops.flow.memory import MemoryBroker, MemoryBus
from plantops.flow.observing import Observer
from plantops.flow.signing import Signer
from plantops.ledger.keys import SigningKey
from plantops.policy.keyring import Keyring
from support.gate_samples import OPC1, PLANT, PLC1, POLICY, SITE
from support.plant_samples import key

TEMPERATURE, LOCAL = TagName("plc1.temperature"), TagName("plc1.local")
PLACES = {tag.name: place for place, tag in enumerate(PLC1.tags)}


class Ground:
    """TAGS with signed frames, and a twin that says whatever the test wants."""

    def __init__(self) -> None:
        self.broker = MemoryBroker()
        self.broker.add_stream("TAGS", ("tag.>",))
        self.broker.add_stream("DEFINITIONS", ("definition.>",), max_per_subject=1)
        self.bus: MemoryBus = self.broker.bus("gate")
        self.twin: MemoryBus = self.broker.bus("twin")
        self.adapter: MemoryBus = self.broker.bus("adapter-plc1")
        self.sightings: dict[TagName, tuple[int, int]] = {}
        self.answer: Callable[[SightingsAsked], bytes] = self._told
        self.observer = Observer(
            SITE,
            self.bus,
            PLANT,
            Keyring(POLICY),
            now=lambda: from_nanoseconds(self.broker.now_ns),
            timeout_seconds=0.2,
        )

    async def start(self) -> None:
        for definition in (PLC1, OPC1):
            signer = Signer(f"adapter-{definition.source}", key(f"adapter-{definition.source}"))
            subject = f"definition.{SITE}.{definition.source}.{layout_of(definition)}"
            message = signer.message(subject, definition, id=subject, time=self.broker.now_ns)
            await self.adapter.publish(message, stream="DEFINITIONS")
        await self.twin.serve(f"twin.{SITE}.sightings", self._serve)

    async def close(self) -> None:
        for bus in (self.bus, self.twin, self.adapter):
            await bus.close()

    async def _serve(self, message: Message) -> bytes:
        return self.answer(msgspec.json.decode(message.data, type=SightingsAsked))

    def _told(self, asked: SightingsAsked) -> bytes:
        told = (
            Sighting(tag=tag, value_sequence=pair[0], confirmed_sequence=pair[1])
            for tag in asked.tags
            for pair in (self.sightings.get(tag, (0, 0)),)
        )
        return encode_json(SightingsTold(sightings=tuple(told)))

    async def send(
        self,
        sequence: int,
        *samples: tuple[TagName, Scalar | None, int],
        epoch: int = 1,
        confirms: tuple[int, ...] = (0,),
        historical: bool = False,
        definition: SourceDefined = PLC1,
        signing: SigningKey | None = None,
        name: str = "",
        spoil: Callable[[Message], Message] = lambda message: message,
    ) -> int:
        """Store a frame as the adapter does, or nearly so; gives its TAGS sequence."""
        places = {tag.name: place for place, tag in enumerate(definition.tags)}
        frame = pack(
            definition,
            layout_of(definition),
            [Sample(places[tag], value, quality) for tag, value, quality in samples],
            epoch=epoch,
            sequence=sequence,
            observed_at=self.broker.now_ns,
            confirms=confirms,
            historical=historical,
        )
        owner = name or f"adapter-{definition.source}"
        message = Signer(owner, signing or key(owner)).frame_message(f"tag.{SITE}.{definition.source}", frame)
        return await self.adapter.publish(spoil(message), stream="TAGS")

    async def see(self, tag: TagName = TEMPERATURE) -> ObservedInput:
        observation = await self.observer.observe((tag,))
        (seen,) = observation.inputs
        assert seen.tag == tag
        assert observation.at == self.observer.now()
        return seen

    async def is_unknown(self, note: str, tag: TagName = TEMPERATURE) -> None:
        seen = await self.see(tag)
        assert (seen.value, seen.quality, seen.age_seconds) == (None, 8, None)
        assert note in seen.note, seen.note


@pytest.fixture
async def ground() -> AsyncIterator[Ground]:
    ground = Ground()
    await ground.start()
    yield ground
    await ground.close()


async def test_takes_the_value_from_its_frame_and_the_age_from_the_confirming_one(ground: Ground) -> None:
    await ground.send(1, (TEMPERATURE, 61.5, 192), (LOCAL, False, 192))
    ground.broker.advance(30)
    await ground.send(2)
    ground.broker.advance(0.75)
    ground.sightings = {TEMPERATURE: (1, 2), LOCAL: (1, 2)}
    observation = await ground.observer.observe((TEMPERATURE, LOCAL))
    first, second = observation.inputs
    assert (first.value, first.quality, first.age_seconds, first.sequence) == (61.5, 192, 0.75, 1)
    assert first.source_time == observation.at - timedelta(seconds=30.75)
    assert (second.value, second.quality) == (False, 192)


async def test_a_source_that_fell_silent_is_old_and_bad(ground: Ground) -> None:
    await ground.send(1, (TEMPERATURE, 61.5, 192))
    ground.sightings = {TEMPERATURE: (1, 1)}
    ground.broker.advance(1.001)
    seen = await ground.see()
    assert (seen.quality, seen.age_seconds) == (24, 1.001)


@pytest.mark.parametrize("quality", [0, 20, 24, 64])
async def test_tells_the_quality_that_the_frame_tells(ground: Ground, quality: int) -> None:
    await ground.send(1, (TEMPERATURE, 61.5, quality))
    ground.sightings = {TEMPERATURE: (1, 1)}
    seen = await ground.see()
    assert seen.quality == quality
    assert seen.value == (61.5 if quality in (20, 64) else None)


@pytest.mark.parametrize("value", [math.nan, math.inf])
async def test_what_is_not_finite_has_no_value_and_is_bad(ground: Ground, value: float) -> None:
    await ground.send(1, (TEMPERATURE, value, 192))
    ground.sightings = {TEMPERATURE: (1, 1)}
    seen = await ground.see()
    assert (seen.value, seen.quality) == (None, 16)


def _unsigned(message: Message) -> Message:
    headers = {name: text for name, text in message.headers.items() if name != "plantops-signature"}
    return Message(message.subject, message.data, headers)


def _changed(message: Message) -> Message:
    return Message(message.subject, message.data[:-1] + b"\xc3", message.headers)


@pytest.mark.parametrize(
    "forged",
    [
        {"spoil": _unsigned},
        {"spoil": _changed},
        {"signing": key("mallory")},
        {"signing": key("alice"), "name": "alice"},
        {"signing": key("adapter-opc1"), "name": "adapter-opc1"},
    ],
    ids=["unsigned", "changed", "stranger", "person", "other adapter"],
)
async def test_a_frame_that_its_adapter_did_not_sign_says_nothing(
    ground: Ground, forged: dict[str, object]
) -> None:
    await ground.send(1, (TEMPERATURE, 20.0, 192), **forged)  # type: ignore[arg-type]
    await ground.send(2, (TEMPERATURE, 96.0, 192))
    for pair in ((1, 1), (1, 2), (2, 1)):
        ground.sightings = {TEMPERATURE: pair}
        await ground.is_unknown("")
    ground.sightings = {TEMPERATURE: (2, 2)}
    assert (await ground.see()).value == 96.0


async def test_the_twin_cannot_point_at_what_does_not_carry_the_tag(ground: Ground) -> None:
    await ground.send(1, (TEMPERATURE, 20.0, 192))
    await ground.send(1, definition=OPC1)
    await ground.send(2, (LOCAL, False, 192), confirms=())
    await ground.send(3, (TEMPERATURE, 5.0, 192), historical=True)
    await ground.send(4)
    for pair, note in {
        (0, 0): "never seen",
        (0, 1): "never seen",
        (1, 0): "gone",
        (99, 1): "gone",
        (1, 99): "gone",
        (-1, -1): "gone",
        (2, 2): "not of its source",
        (1, 2): "not of its source",
        (2, 1): "not of its source",
        (3, 3): "does not carry it",
        (1, 3): "does not carry it",
        (3, 1): "before it was sent",
        (4, 4): "does not carry it",
        (1, 4): "does not carry it",
        (4, 5): "does not carry it",
    }.items():
        ground.sightings = {TEMPERATURE: pair}
        await ground.is_unknown(note)
    ground.sightings = {TEMPERATURE: (1, 1)}
    assert (await ground.see()).value == 20.0


async def test_the_twin_cannot_pair_an_old_value_with_a_frame_that_carries_a_newer_one(
    ground: Ground,
) -> None:
    await ground.send(1, (TEMPERATURE, 20.0, 192))
    await ground.send(2, (TEMPERATURE, 120.0, 192))
    ground.sightings = {TEMPERATURE: (1, 2)}
    seen = await ground.see()
    assert (seen.value, seen.sequence) == (120.0, 2)


async def test_a_frame_of_another_source_says_nothing(ground: Ground) -> None:
    """Also when that source signs it itself, with a definition that has a tag of this name."""
    twin_source = msgspec.structs.replace(PLC1, source=SourceName("opc1"))
    signer = Signer("adapter-opc1", key("adapter-opc1"))
    subject = f"definition.{SITE}.opc1.{layout_of(twin_source)}"
    await ground.adapter.publish(
        signer.message(subject, twin_source, id="x", time=ground.broker.now_ns), stream="DEFINITIONS"
    )
    await ground.send(1, (TEMPERATURE, 20.0, 192), definition=twin_source)
    ground.sightings = {TEMPERATURE: (1, 1)}
    await ground.is_unknown("not of its source plc1")


async def test_a_frame_of_a_former_owner_confirms_nothing_of_the_newer(ground: Ground) -> None:
    await ground.send(1, (TEMPERATURE, 20.0, 192), epoch=2)
    await ground.send(9, epoch=1)
    ground.sightings = {TEMPERATURE: (1, 2)}
    await ground.is_unknown("before it was sent")


async def test_a_tag_that_no_source_of_the_plant_has_is_unknown(ground: Ground) -> None:
    await ground.send(1, (TEMPERATURE, 20.0, 192))
    ground.sightings = {TagName("ghost"): (1, 1)}
    await ground.is_unknown("", TagName("ghost"))


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"{",
        b"[]",
        b'{"sightings":[]}',
        b'{"sightings":[{"tag":"plc1.local","value_sequence":1,"confirmed_sequence":1}]}',
        b'{"sightings":[{"tag":"plc1.temperature","value_sequence":"1","confirmed_sequence":1}]}',
        problem("busy", "later"),
    ],
)
async def test_an_answer_that_makes_no_sense_leaves_everything_unknown(ground: Ground, answer: bytes) -> None:
    await ground.send(1, (TEMPERATURE, 20.0, 192))
    ground.answer = lambda _asked: answer
    await ground.is_unknown("no answer")


async def test_a_twin_that_is_silent_or_away_leaves_everything_unknown(ground: Ground) -> None:
    await ground.send(1, (TEMPERATURE, 20.0, 192))
    ground.sightings = {TEMPERATURE: (1, 1)}
    silent = asyncio.Event()

    async def say_nothing(_message: Message) -> bytes:
        await silent.wait()
        return b""

    await ground.close()
    other = ground.broker.bus("twin")
    ground.bus = ground.observer.bus = ground.broker.bus("gate")
    await ground.is_unknown("nobody answers")
    await other.serve(f"twin.{SITE}.sightings", say_nothing)
    await ground.is_unknown("no answer")
    await other.close()


async def test_a_broker_that_is_away_leaves_everything_unknown(ground: Ground) -> None:
    await ground.send(1, (TEMPERATURE, 20.0, 192))
    ground.sightings = {TEMPERATURE: (1, 1)}
    ground.bus.disconnect()
    await ground.is_unknown("no answer")
    ground.bus.reconnect()
    assert (await ground.see()).quality == 192


async def test_nothing_asked_is_nothing_observed(ground: Ground) -> None:
    ground.bus.disconnect()
    assert await ground.observer.observe(()) == Observation(at=ground.observer.now())
