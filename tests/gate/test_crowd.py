"""One login cannot fill the way to the gate, nor the audit, nor an event beyond what a stream takes."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import msgspec
import pytest

from plantops.events import encode
from plantops.events.base import SiteName, TagName
from plantops.events.command_parts import Observation
from plantops.events.commands import CommandPermitted
from plantops.events.envelope import Message
from plantops.events.queries import IntentTaken, ProblemDetail, read_answer
from plantops.flow.memory import MemoryBroker
from plantops.flow.refusals import MAX_REFUSALS, Quota
from plantops.flow.signing import Signer
from plantops.flow.streams import streams
from plantops.gate.crowd import MAX_UNDECIDED
from plantops.gate.door import Door
from plantops.gate.sizes import MAX_TEXTS
from plantops.model.assets import Argument, Asset, Model, Operation, Property, Step
from plantops.model.load import Plant
from support.gate_samples import MODEL, OPC1, PLANT, PLC1, POLICY, PUMP, SITE, Story, well
from support.plant_samples import NOW, key


class Ground:
    """A door whose gate folds nothing until it is told."""

    def __init__(self) -> None:
        self.story = Story()
        self.now = NOW
        broker = MemoryBroker()
        broker.add_stream("INTENTS", ("intent.>",))
        self.noted: list[str] = []
        self.door = Door(
            site=SiteName(SITE),
            bus=broker.bus("gate"),
            signer=Signer("gate", key("gate")),
            plant=PLANT,
            state=lambda: self.story.state,
            observe=self._observe,
            refuse=self._refuse,
            now=lambda: self.now,
        )

    async def _observe(self, _tags: tuple[TagName, ...]) -> Observation:
        return well(at=self.now)

    async def _refuse(self, _login: str, _subject: str, reason: str) -> None:
        self.noted.append(reason)

    async def ask(
        self, body: str = "{}", *, who: str = "alice", operation: str = "SetSpeed"
    ) -> IntentTaken | ProblemDetail:
        info = json.dumps({"kind": "Client", "acc": "CLIENTS", "user": f"LOGIN-{who}"})
        subject = f"door.intent.{SITE}.{who}.{PUMP}.{operation}"
        answer = await self.door.intent(Message(subject, body.encode(), {"Nats-Request-Info": info}))
        assert answer is not None
        return read_answer(answer, IntentTaken)


async def test_a_login_that_floods_the_door_is_told_to_wait_and_nobody_else_is() -> None:
    ground = Ground()
    answers = await asyncio.gather(*(ground.ask() for _ in range(3 * MAX_UNDECIDED)))
    busy = [answer for answer in answers if isinstance(answer, ProblemDetail)]
    assert {answer.code for answer in busy} == {"busy"}
    assert len(busy) == 2 * MAX_UNDECIDED
    assert isinstance(await ground.ask(operation="StopPump"), IntentTaken)
    assert isinstance(await ground.ask(who="bob"), IntentTaken)


async def test_what_the_gate_has_folded_makes_room() -> None:
    ground = Ground()
    for number in range(MAX_UNDECIDED):
        assert isinstance(await ground.ask(json.dumps({"key": f"k{number}"})), IntentTaken)
    assert isinstance(await ground.ask(), ProblemDetail)
    ground.story.ask("SetSpeed", {"RPM": 1.0}, key="k7")
    assert isinstance(await ground.ask(), IntentTaken)
    assert isinstance(await ground.ask(), ProblemDetail)


async def test_refusals_are_written_down_up_to_a_measure_and_the_rest_is_counted() -> None:
    ground = Ground()
    for _ in range(MAX_REFUSALS + 40):
        assert isinstance(await ground.ask("no json"), ProblemDetail)
    assert len(ground.noted) == MAX_REFUSALS
    ground.now += timedelta(minutes=2)
    await ground.ask("no json")
    assert "40 more were refused before" in ground.noted[-1]


def test_every_login_has_a_measure_of_its_own() -> None:
    quota = Quota()
    assert [quota.take("a", NOW) for _ in range(MAX_REFUSALS + 1)][-1] is None
    assert quota.take("b", NOW) == 0


@pytest.mark.parametrize(
    "body",
    [
        '{"mode":"simulate","mode":"execute","arguments":{"RPM":1}}',
        '{"arguments":{"RPM":1,"RPM":3000}}',
    ],
)
async def test_what_is_said_twice_is_not_taken(body: str) -> None:
    answer = await Ground().ask(body)
    assert isinstance(answer, ProblemDetail)
    assert "twice" in answer.message


def test_the_longest_texts_that_the_door_takes_fit_into_what_the_gate_says_of_them() -> None:
    """A gate that cannot store its answer ends, and ends again on the same intent after each start."""
    names = [f"a{number}" for number in range(4)]
    tags = tuple(
        msgspec.structs.replace(PLC1.tags[-1], name=TagName(f"plc1.{name}"), writable=True) for name in names
    )
    label = Operation(
        risk="low",
        arguments={name: Argument(type="string") for name in names},
        steps=tuple(Step(property=name, value=f"${name}") for name in names),
    )
    pump = Asset(
        properties={name: Property(tag=TagName(f"plc1.{name}")) for name in names},
        operations={"Label": label},
    )
    source = msgspec.structs.replace(PLC1, tags=(*PLC1.tags, *tags))
    merged = msgspec.structs.replace(pump, properties={**MODEL.assets[PUMP].properties, **pump.properties})
    plant = Plant.of(Model(assets={**MODEL.assets, PUMP: merged}), (source, OPC1))
    story = Story(plant=plant, policy=msgspec.structs.replace(POLICY, model=plant.digest))
    text = "\U000e0001" * (MAX_TEXTS // 4 // len(names) - 1)  # ten characters each, where it is shown
    story.ask("Label", dict.fromkeys(names, text), model=plant.digest)
    (limit,) = [stream.max_message_bytes for stream in streams() if stream.name == "COMMANDS"]
    assert len(encode(story.only(CommandPermitted))) < limit / 2
