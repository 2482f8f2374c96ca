"""The door lets in whom the broker names and whose signature holds, once, and says why to everybody else."""

from __future__ import annotations

import asyncio
import json

import msgspec
import pytest

from plantops.events import decode
from plantops.events.command_parts import APPROVAL_TYPE, command_id
from plantops.events.commands import CommandPermitted, CommandRequested, SafePermitted
from plantops.events.queries import IntentTaken, ProblemDetail
from plantops.gate.door import MAX_BYTES
from support.gate_door import CLIENT, Ground, intent, signed
from support.gate_samples import PUMP, SITE, VALVE, Story


@pytest.mark.parametrize(
    "info",
    [
        None,
        "",
        "{",
        "[]",
        '{"kind":"JetStream","acc":"CLIENTS","user":"LOGIN-alice"}',
        '{"kind":"Client","acc":"process-twin","user":"LOGIN-alice"}',
        '{"kind":"Client","acc":"CLIENTS"}',
        '{"acc":"CLIENTS","user":"LOGIN-alice"}',
    ],
)
async def test_lets_in_client_connections_only(ground: Ground, info: str | None) -> None:
    headers = {} if info is None else {"Nats-Request-Info": info}
    headers["nats-request-info"] = json.dumps({**CLIENT, "user": "LOGIN-alice"})
    answer = await ground.knock(
        f"door.intent.{SITE}.alice.{PUMP}.SetSpeed", signed(intent(ground.story)), **headers
    )
    assert isinstance(answer, ProblemDetail)
    assert answer.code == "no_login"
    assert ground.stored() == []
    assert ground.turned_away[0][0] == "nobody"


async def test_refuses_a_login_that_the_policy_does_not_know(ground: Ground) -> None:
    await ground.refused("unknown_login", {}, login="LOGIN-mallory")


async def test_refuses_everybody_while_no_policy_is_in_force() -> None:
    ground = Ground(Story(policy=None))
    await ground.refused("no_policy", {})


async def test_completes_an_unsigned_intent_from_subject_and_login(ground: Ground) -> None:
    taken = await ground.ask(b'{"arguments":{"RPM":1200}}')
    assert isinstance(taken, IntentTaken)
    (event,) = ground.stored()
    assert isinstance(event, CommandRequested)
    assert (event.command, event.signer, event.login) == (taken.command, "", "alice")
    assert event.evidence == '{"arguments":{"RPM":1200}}'
    asked = event.intent
    assert (asked.site, asked.actor, asked.asset, asked.operation) == (SITE, "alice", PUMP, "SetSpeed")
    assert asked.arguments == {"RPM": 1200}
    assert asked.key
    assert asked.issued_at == ground.story.now
    assert ground.observed == [("plc1.local", "plc1.temperature")]
    again = await ground.ask(b'{"arguments":{"RPM":1200}}')
    assert isinstance(again, IntentTaken)
    assert again.command != taken.command


async def test_takes_a_signed_intent_whoever_brings_it(ground: Ground) -> None:
    body = signed(intent(ground.story))
    taken = await ground.ask(body, login="LOGIN-bob")
    assert taken == IntentTaken(command=command_id("alice", "k1"), handle="c1")
    (event,) = ground.stored()
    assert isinstance(event, CommandRequested)
    assert (event.signer, event.login, event.evidence) == ("alice", "bob", body.decode())


async def test_a_signature_counts_wherever_its_type_stands_in_the_envelope(ground: Ground) -> None:
    """Payload first and the type far behind: it must not be taken for an unsigned intent without words."""
    envelope = json.loads(signed(intent(ground.story, mode="simulate", reason="x" * 5000)))
    body = json.dumps({key: envelope[key] for key in ("payload", "signatures", "payloadType")}).encode()
    assert isinstance(await ground.ask(body), IntentTaken)
    (event,) = ground.stored()
    assert isinstance(event, CommandRequested)
    assert (event.signer, event.intent.mode) == ("alice", "simulate")


async def test_an_unsigned_intent_speaks_for_its_login_only(ground: Ground) -> None:
    await ground.refused("not_the_login", {"actor": "bob"})
    ground.turned_away.clear()
    await ground.refused("subject_differs", {}, subject=f"door.intent.{SITE}.bob.{PUMP}.SetSpeed")


@pytest.mark.parametrize(
    "changed",
    [{"site": "other"}, {"asset": VALVE}, {"operation": "StopPump"}, {"actor": "bob"}],
)
async def test_a_signed_intent_and_its_subject_must_agree(ground: Ground, changed: dict[str, object]) -> None:
    await ground.refused(
        "subject_differs", signed(intent(ground.story, **changed), str(changed.get("actor", "alice")))
    )


async def test_refuses_an_intent_for_another_site_on_that_site_s_subject(ground: Ground) -> None:
    body = signed(intent(ground.story, site="other"))
    await ground.refused("subject_differs", body, subject=f"door.intent.other.alice.{PUMP}.SetSpeed")


@pytest.mark.parametrize("names", [("bob",), ("alice", "bob"), ("mallory",)])
async def test_refuses_a_signature_that_is_not_the_actor_s(ground: Ground, names: tuple[str, ...]) -> None:
    await ground.refused("not_trusted", signed(intent(ground.story), *names))


async def test_refuses_an_approval_s_envelope_at_the_intents_door(ground: Ground) -> None:
    await ground.refused("not_trusted", signed(intent(ground.story), kind=APPROVAL_TYPE))


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"null",
        b"[]",
        b"\xff{}",
        b'{"reason":"\xff"}',
        b'{"mod":"simulate"}',
        b'{"mode":"try"}',
        b'{"arguments":{"RPM":NaN}}',
        b'{"arguments":{"RPM":null}}',
        b'{"arguments":{"RPM":[1]}}',
        b'{"arguments":{"RPM":1180591620717411303424}}',
        b'{"arguments":{"RPM":1e999}}',
        b'{"issued_at":"yesterday"}',
        b'{"x":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
        b'{"arguments":' + b'{"a":' * 5_000 + b"1" + b"}" * 5_000 + b"}",
        b'{"payloadType":1}',
    ],
)
async def test_bytes_that_are_no_intent_get_one_clear_answer(ground: Ground, body: bytes) -> None:
    answer = await ground.ask(body)
    assert isinstance(answer, ProblemDetail)
    assert answer.code in ("malformed", "not_trusted")
    assert ground.stored() == []
    assert len(ground.turned_away) == 1


async def test_a_field_that_is_not_known_is_refused_under_a_signature_too(ground: Ground) -> None:
    await ground.refused("malformed", signed(intent(ground.story, only_if="cold")))


@pytest.mark.parametrize(
    "body",
    [
        {"reason": "x" * MAX_BYTES},
        {"reason": "\x7f\\" * (MAX_BYTES // 5)},
        {"arguments": {f"a{number}": 1 for number in range(65)}},
        {"arguments": {"NAME": "x" * 5000}},
        {"arguments": {"x" * 300: 1}},
        {"on_behalf_of": ["alice"] * 9},
        {"key": "x" * 300},
        {"confirms": "x" * 300},
    ],
)
async def test_refuses_what_is_too_large(ground: Ground, body: dict[str, object]) -> None:
    await ground.refused("too_large", body)


@pytest.mark.parametrize(
    "text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-03-01T12:00:00"]
)
async def test_impossible_times_are_denied_by_the_gate(ground: Ground, text: str) -> None:
    assert isinstance(await ground.ask({"arguments": {"RPM": 1}, "issued_at": text}), IntentTaken)
    ground.fold()
    ground.story.denied("clock")


@pytest.mark.parametrize("is_signed", [True, False])
async def test_the_same_key_and_words_are_one_command(ground: Ground, is_signed: bool) -> None:
    words = intent(ground.story)
    body = signed(words) if is_signed else words
    first = await ground.ask(body)
    assert await ground.ask(body) == first  # before the gate has read it
    ground.fold()
    assert isinstance(first, IntentTaken)
    assert await ground.ask(body) == msgspec.structs.replace(first, repeated=True)
    assert len(ground.stored()) == 1


async def test_other_words_under_the_same_key_are_a_conflict_at_once_and_later(ground: Ground) -> None:
    await ground.ask(intent(ground.story))
    for _time in range(2):
        answer = await ground.ask(intent(ground.story, arguments={"RPM": 3000}))
        assert isinstance(answer, ProblemDetail)
        assert answer.code == "key_conflict"
        ground.fold()
    assert len(ground.stored()) == 1


async def test_other_words_under_the_same_key_lose_a_race(ground: Ground) -> None:
    ground.hold = asyncio.Event()
    first = asyncio.create_task(ground.ask(intent(ground.story)))
    await asyncio.sleep(0)
    second = await ground.ask(intent(ground.story, arguments={"RPM": 3000}))
    assert isinstance(second, ProblemDetail)
    ground.hold.set()
    assert isinstance(await first, IntentTaken)


async def test_a_stop_is_taken_while_nothing_can_be_observed(ground: Ground) -> None:
    ground.hold = asyncio.Event()
    waiting = asyncio.create_task(ground.ask({"arguments": {"RPM": 1}}))
    await asyncio.sleep(0)
    taken = await ground.ask(b"", subject=f"door.intent.{SITE}.alice.{PUMP}.StopPump")
    assert isinstance(taken, IntentTaken)
    assert len(ground.observed) == 1
    ground.fold()
    ground.story.one(SafePermitted)
    ground.hold.set()
    await waiting


async def test_answers_unavailable_while_the_broker_is_away_and_stores_nothing_twice(ground: Ground) -> None:
    body = signed(intent(ground.story))
    ground.bus.disconnect()
    answer = await ground.ask(body)
    assert isinstance(answer, ProblemDetail)
    assert answer.code == "unavailable"
    assert ground.stored() == []
    ground.bus.reconnect()
    ground.broker.lose_acks(3)
    answer = await ground.ask(body)
    assert isinstance(answer, ProblemDetail)
    assert answer.code == "unavailable"
    taken = await ground.ask(body)
    assert isinstance(taken, IntentTaken)
    assert len(ground.stored()) == 1


async def test_refuses_also_when_the_refusal_cannot_be_audited(ground: Ground) -> None:
    ground.audit_is_away = True
    await ground.refused("unknown_login", {}, login="LOGIN-mallory")


async def test_what_the_door_took_is_permitted_by_the_gate(ground: Ground) -> None:
    taken = await ground.ask(
        {"arguments": {"PERCENT": 40}}, subject=f"door.intent.{SITE}.alice.{VALVE}.SetPosition"
    )
    assert isinstance(taken, IntentTaken)
    ground.fold()
    assert ground.story.only(CommandPermitted).command == taken.command


async def test_what_is_stored_is_the_gates_own_signed_event(ground: Ground) -> None:
    await ground.ask(intent(ground.story))
    stored = ground.broker.stream("INTENTS").messages[1]
    assert stored.subject == f"intent.{SITE}.alice.{PUMP}.SetSpeed"
    assert decode(stored.data) == ground.stored()[0]
