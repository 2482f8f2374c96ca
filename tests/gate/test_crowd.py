"""Neither a login nor a person behind one can fill the way to the gate, nor the audit, nor an event beyond
what a stream takes."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import msgspec
import pytest

from plantops.events import encode
from plantops.events.base import OperationName, PrincipalName, SiteName, TagName
from plantops.events.command_parts import INTENT_TYPE, Intent, Observation
from plantops.events.commands import CommandPermitted
from plantops.events.envelope import Message
from plantops.events.queries import IntentTaken, ProblemDetail, read_answer
from plantops.flow.memory import MemoryBroker
from plantops.flow.refusals import MAX_REFUSALS, Quota
from plantops.flow.signing import Signer
from plantops.flow.streams import streams
from plantops.gate.crowd import MAX_UNDECIDED, STRANGERS, speaker_of
from plantops.gate.door import Door
from plantops.gate.sizes import MAX_TEXTS
from plantops.ledger import dsse
from plantops.model.assets import Argument, Asset, Model, Operation, Property, Step
from plantops.model.load import Plant
from plantops.policy.document import Principal
from plantops.policy.rights import GATEWAY_ROLE
from support.gate_samples import MODEL, OPC1, PLANT, PLC1, POLICY, PUMP, SITE, Story, well
from support.plant_samples import NOW, key

GATEWAY = Principal(
    kind="agent",
    roles=(GATEWAY_ROLE, "operator"),
    keys=(key("gateway").public.to_base64(),),
    logins=("LOGIN-gateway",),
)
BEHIND_A_GATEWAY = msgspec.structs.replace(POLICY, principals={**POLICY.principals, "gateway": GATEWAY})
QUARTER = MAX_UNDECIDED // 4


class Ground:
    """A door whose gate folds nothing until it is told."""

    def __init__(self) -> None:
        self.story = Story(policy=BEHIND_A_GATEWAY)
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
        self, body: str = "{}", *, who: str = "alice", operation: str = "SetSpeed", login: str = ""
    ) -> IntentTaken | ProblemDetail:
        info = json.dumps({"kind": "Client", "acc": "CLIENTS", "user": f"LOGIN-{login or who}"})
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


def by_gateway(person: str) -> str:
    return json.dumps({"on_behalf_of": [person]})


async def taken(ground: Ground, person: str, count: int, *, operation: str = "SetSpeed") -> int:
    """How many of these intents of a person behind the gateway are let in."""
    asked = [ground.ask(by_gateway(person), who="gateway", operation=operation) for _ in range(count)]
    return sum(isinstance(answer, IntentTaken) for answer in await asyncio.gather(*asked))


async def test_one_person_behind_a_gateway_does_not_take_the_places_of_the_others() -> None:
    ground = Ground()
    assert await taken(ground, "alice", 2 * MAX_UNDECIDED) == QUARTER
    assert await taken(ground, "alice2", 1) == 0, "the same person by another account"
    refused = await ground.ask(by_gateway("alice"), who="gateway")
    assert isinstance(refused, ProblemDetail)
    assert (refused.code, "'Alice' by 'gateway'" in refused.message) == ("busy", True)
    assert await taken(ground, "bob", 1) == 1
    assert isinstance(await ground.ask(who="alice"), IntentTaken), "her own login has places of its own"


async def test_however_many_crowd_behind_a_gateway_who_comes_next_finds_a_place() -> None:
    ground = Ground()
    crowd = ("alice", "bob", "carol", "dave")
    counts = [await taken(ground, person, MAX_UNDECIDED) for person in crowd]
    assert counts == sorted(counts, reverse=True)
    assert min(counts) >= 2
    assert await taken(ground, "agent", 1) == 1


async def test_a_gateway_that_names_whom_it_likes_has_the_places_of_one_login() -> None:
    ground = Ground()
    made_up = [await taken(ground, f"nobody{number}", 2) for number in range(MAX_UNDECIDED)]
    assert sum(made_up) == QUARTER, "strangers are one"
    own = await asyncio.gather(*(ground.ask(who="gateway") for _ in range(2 * MAX_UNDECIDED)))
    assert sum(isinstance(answer, IntentTaken) for answer in own) == MAX_UNDECIDED - QUARTER
    assert await taken(ground, "alice", 1) == 0
    assert isinstance(await ground.ask(who="bob"), IntentTaken), "nobody else is kept out"


async def test_a_person_who_hands_in_signed_words_takes_no_place_of_whom_they_name() -> None:
    ground = Ground()
    for number in range(QUARTER):
        intent = Intent(
            site=SITE,
            asset=PUMP,
            operation=OperationName("SetSpeed"),
            arguments={},
            actor=PrincipalName("alice"),
            on_behalf_of=(PrincipalName("bob"),),
            key=f"k{number}",
            nonce=f"n{number}",
            issued_at=NOW,
            expires_at=NOW + timedelta(minutes=5),
            model=PLANT.digest,
        )
        sealed = dsse.encode(dsse.seal(INTENT_TYPE, msgspec.json.encode(intent), key("alice"))).decode()
        assert isinstance(await ground.ask(sealed, who="alice", login="gateway"), IntentTaken)
    assert await taken(ground, "alice", 1) == 0
    assert await taken(ground, "bob", QUARTER) == 6, "the share of one who comes second"


async def test_a_stop_finds_a_place_behind_whatever_another_person_sends() -> None:
    ground = Ground()
    assert await taken(ground, "alice", MAX_UNDECIDED) == QUARTER
    stops = await taken(ground, "alice", 2 * MAX_UNDECIDED, operation="StopPump")
    assert stops == MAX_UNDECIDED, "as many as by a login of her own"
    assert await taken(ground, "bob", 2 * MAX_UNDECIDED, operation="StopPump") == MAX_UNDECIDED // 2
    assert await taken(ground, "carol", 1, operation="StopPump") == 1


@pytest.mark.parametrize(
    ("login", "actor", "chain", "speaker"),
    [
        ("alice", "alice", (), ""),
        ("gateway", "gateway", (), ""),
        ("gateway", "gateway", ("alice",), "Alice"),
        ("gateway", "gateway", ("agent",), "agent"),
        ("agent", "agent", ("gateway", "alice2"), "Alice"),
        ("gateway", "alice", (), "Alice"),
        ("gateway", "alice", ("bob",), "Alice"),
        ("gateway", "gate", ("bob",), "gate"),
        ("gateway", "gateway", ("nobody",), STRANGERS),
        ("gateway", "nobody", ("alice",), STRANGERS),
    ],
)
def test_it_is_told_whose_word_is_handed_in(
    login: str, actor: str, chain: tuple[str, ...], speaker: str
) -> None:
    names = tuple(map(PrincipalName, chain))
    said = Intent(site=SITE, asset=PUMP, actor=PrincipalName(actor), on_behalf_of=names)
    assert speaker_of(BEHIND_A_GATEWAY, login, said) == speaker


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
