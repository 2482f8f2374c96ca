"""Whoever asks chooses the reply subject, and the server or a service then speaks there in his stead."""

from __future__ import annotations

import asyncio
import json

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import NoRespondersError

from attacks.plant import IDENTITIES, OWNERS, PERSONS, SPECS
from attacks.state import ask, concrete, login, watching
from plantops.flow.accounts import PROVISIONER, login_rights
from plantops.flow.patterns import covers
from plantops.flow.streams import snapshots, streams
from support.nats import Broker, StartBroker, until

TARGETS = (
    "cmd.demo.permitted.gate.c1",
    "cmd.demo.claimed.adapter-plc1.c1",
    "cmd.demo.claimed.adapter-plc2.c1",
    "cmd.demo.generation_raised.gate.pump",
    "tag.demo.plc1",
    "tag.demo.plc2",
    "source.demo.plc1.lease",
    "audit.demo.gate",
    "audit.demo.twin",
    "audit.demo.adapter-plc1",
    "checkpoint.demo",
    "head.demo.gate",
    "policy.demo",
    "intent.demo.alice.pump.Start",
    "intent.demo.bob.pump.Start",
    "approval.demo.bob.c1",
    "door.intent.demo.alice.pump.Start",
    "door.intent.demo.bob.pump.Start",
    "told.cmd.demo.executed.adapter-plc1.c1",
    "twin.demo.observe",
    "command.demo.get",
    "dead.gate",
    "$KV.snapshot-gate.state",
    "$KV.snapshot-twin.state",
    "$JS.API.STREAM.DELETE.TAGS",
    "$JS.API.STREAM.PURGE.TAGS",
    "$JS.API.CONSUMER.DELETE.TAGS.twin",
    "$JS.hub.API.STREAM.DELETE.TAGS",
    "$JS.ACK.TAGS.twin.1.1.1.1.0",
    "_INBOX.gate.guess",
)
TABLE = (*streams(), *(snapshots(spec.name, spec.account) for spec in SPECS if spec.snapshots))
PULL = b'{"batch":5,"no_wait":true}'
DOORS = ("door.intent.demo.>", "door.approval.demo.>")


class Ears:
    """Answers as gate, twin and notary would, and remembers every message that reached somebody."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, dict[str, str]]] = []

    async def listen(self, client: Client, name: str, *subjects: str) -> None:
        async def remember(message: Msg) -> None:
            self.heard.append((name, message.subject, dict(message.headers or {})))
            if message.reply.startswith("_R_."):
                await client.publish(message.reply, b'{"answer":true}')

        for subject in subjects:
            await client.subscribe(subject, cb=remember)
        await client.flush()

    def by(self, name: str) -> list[tuple[str, dict[str, str]]]:
        return [(subject, headers) for who, subject, headers in self.heard if who == name]


async def knock(client: Client, subject: str, headers: dict[str, str]) -> None:
    """A request that waits until the server knows, across all borders, that somebody answers there."""
    async with asyncio.timeout(10):
        while True:
            try:
                await client.request(subject, b"{}", headers=headers)
            except NoRespondersError:
                await asyncio.sleep(0.01)
            else:
                return


async def settled(broker: Broker, *clients: Client) -> None:
    """Everything sent so far has been handled: each hop answers in order."""
    for _ in range(3):
        for client in clients:
            await client.flush()
        await asyncio.sleep(0)


async def try_all(attacker: Client, subjects: list[str]) -> None:
    for subject in subjects:
        for target in TARGETS:
            await attacker.publish(concrete(subject), PULL, reply=target)
    await attacker.flush()


@pytest.mark.parametrize("identity", IDENTITIES)
async def test_a_reply_subject_reaches_nothing_that_its_sender_may_not_publish(
    attacked: Broker, identity: str
) -> None:
    own = login_rights(attacked.plant())[identity].publish
    ears = Ears()
    async with (
        watching(attacked) as watcher,
        login(attacked, "adapter-plc1") as adapter,
        login(attacked, "alice") as alice,
    ):
        await ask(adapter, "tag.demo.plc1")  # so that there is something to pull
        services = [s for s in SPECS if s.name in ("gate", "twin", "notary")]
        logins = [(spec, login(attacked, spec.name)) for spec in services]
        clients = {spec.name: await context.__aenter__() for spec, context in logins}
        for spec, _ in logins:
            rights = login_rights(attacked.plant())[spec.name]
            await ears.listen(clients[spec.name], spec.name, *rights.subscribe)
        await ears.listen(alice, "alice", "cmd.demo.>")
        settings, before = await watcher.settings(), await watcher.counts()
        async with login(attacked, identity) as attacker:
            await try_all(attacker, [subject for subject in own if subject != "_R_.>"])
            await settled(attacked, attacker, *clients.values(), alice)
            after = await watcher.counts()
        for _, context in logins:
            await context.__aexit__(None, None, None)
        changed = [key for key, number in after.items() if number != before.get(key)]
        assert [key for key in changed if not is_own_doing(attacked, identity, key)] == []
        assert await watcher.settings() == settings
    assert_no_forged_call(attacked, identity, ears)


def is_own_doing(broker: Broker, identity: str, key: str) -> bool:
    """Whether a change of `STREAM subject` is within the rights of `identity`, or a copy (see below)."""
    stream, subject = key.split(" ")
    own = login_rights(broker.plant())[identity].publish
    if any(covers(pattern, subject) for s in TABLE if s.name == stream for pattern in s.subjects):
        return identity in OWNERS.get(subject, (identity,)) and any(covers(mine, subject) for mine in own)
    read = [pattern for spec in SPECS if spec.name == identity for r in spec.reads for pattern in r.subjects]
    return any(covers(pattern, subject) for pattern in read)


def assert_no_forged_call(broker: Broker, identity: str, ears: Ears) -> None:
    """No door was told another's login, and nobody but a client made others hear what was not stored."""
    keys = {broker.keys[name].public for name in IDENTITIES if name != identity}
    for subject, headers in ears.by("gate"):
        info = json.loads(headers.get("Nats-Request-Info", "{}"))
        if subject.startswith("door.") and info.get("acc") == "CLIENTS":
            assert info["user"] not in keys
    for subject, headers in ears.by("alice"):
        if "Nats-Stream" not in headers:
            assert identity in PERSONS, subject


async def test_without_a_border_the_same_trick_works(attacked: Broker) -> None:
    """The control: a login in PLANT itself makes the server write in the gate's name."""
    async with watching(attacked) as watcher, login(attacked, PROVISIONER) as insider:
        before = await watcher.counts()
        await insider.publish("$JS.API.STREAM.INFO.TAGS", b"", reply="cmd.demo.permitted.gate.trick")
        await insider.flush()

        async def is_stored() -> bool:
            return "COMMANDS cmd.demo.permitted.gate.trick" in await watcher.counts()

        await until(is_stored)
        assert "COMMANDS cmd.demo.permitted.gate.trick" not in before


async def test_the_door_is_told_who_asks_whatever_he_claims(attacked: Broker) -> None:
    ears = Ears()
    async with login(attacked, "gate") as gate, login(attacked, "alice") as alice:
        await ears.listen(gate, "gate", *DOORS)
        claimed = json.dumps({"acc": "CLIENTS", "kind": "Client", "user": attacked.keys["bob"].public})
        await knock(alice, "intent.demo.alice.pump.Start", headers={"Nats-Request-Info": claimed})
    [(subject, headers)] = ears.by("gate")
    assert subject == "door.intent.demo.alice.pump.Start"
    info = json.loads(headers["Nats-Request-Info"])
    assert (info["acc"], info["kind"], info["user"]) == ("CLIENTS", "Client", attacked.keys["alice"].public)


async def test_a_batch_that_the_stream_refuses_is_told_to_nobody(attacked: Broker) -> None:
    ears = Ears()
    async with login(attacked, "gate") as gate, login(attacked, "alice") as alice:
        await ears.listen(alice, "alice", "cmd.demo.>")
        stale = {"Nats-Expected-Last-Subject-Sequence": "99999"}
        body = json.loads((await gate.request("cmd.demo.refused.gate.c7", b"{}", headers=stale)).data)
        assert body["error"]["err_code"] == 10071
        await gate.request("cmd.demo.refused.gate.c8", b"{}")
        await until(lambda: len(ears.heard) == 1)
    [(subject, headers)] = ears.by("alice")
    assert subject == "cmd.demo.refused.gate.c8"
    assert headers["Nats-Stream"] == "COMMANDS"


async def test_a_client_can_steer_an_answer_onto_a_result_but_not_the_mark_of_the_stream(
    attacked: Broker,
) -> None:
    """Clients share one account, so this is heard. What was stored carries Nats-Stream, and this does not."""
    ears = Ears()
    async with (
        login(attacked, "twin") as twin,
        login(attacked, "alice") as alice,
        login(attacked, "bob") as bob,
    ):
        await ears.listen(twin, "twin", "twin.demo.*")
        await ears.listen(bob, "bob", "cmd.demo.>")
        forged = {"Nats-Stream": "COMMANDS", "Nats-Sequence": "1"}
        await alice.publish("twin.demo.get", b"", reply="cmd.demo.executed.adapter-plc1.c1", headers=forged)
        await until(lambda: len(ears.by("bob")) == 1)
    [(_, headers)] = ears.by("bob")
    assert "Nats-Stream" not in headers


async def test_a_service_cannot_be_made_to_answer_where_it_may_not(nats_server: StartBroker) -> None:
    """Inside the service's own account, too, only the server's own answer subjects are open to it."""
    broker = await nats_server(SPECS, PERSONS)
    gate = await broker.connect("gate")
    for subject in ("_INBOX.twin.x", "_INBOX.alice.x", "intent.x", "audit.demo.twin"):
        await gate.publish(subject, b"{}")
    await gate.flush()
    await until(lambda: len(broker.refused["gate"]) == 4)


async def test_a_pull_answered_onto_an_own_subject_leaves_a_copy_that_nobody_is_given(
    attacked: Broker,
) -> None:
    """What is left of the trick: the message lands in the attacker's own stream under its old subject.

    No consumer's filter of that stream fits it, and into the stream that it came from it does not get.
    Whoever reads a stream by sequence must expect it: the notary reads AUDIT without a filter.
    """
    subject = "cmd.demo.permitted.gate.copied"
    async with (
        watching(attacked) as watcher,
        login(attacked, "gate") as gate,
        login(attacked, "adapter-plc2") as adapter,
    ):
        before = await watcher.counts()
        published = 0

        async def pulled_onto(reply: str) -> None:
            nonlocal published
            await gate.request(subject, b"genuine")
            published += 1
            pull = "$JS.API.CONSUMER.MSG.NEXT.COMMANDS.adapter-plc2"
            await adapter.publish(pull, b'{"batch":100,"no_wait":true}', reply=reply)
            await adapter.flush()

        async def is_copied() -> bool:
            # The server answers a pull when it likes: an earlier one may have taken this message too.
            await pulled_onto("tag.demo.plc2")
            return f"TAGS {subject}" in await watcher.counts()

        await pulled_onto("cmd.demo.claimed.adapter-plc2.c20")
        await until(is_copied)
        after = await watcher.counts()
        assert after[f"COMMANDS {subject}"] - before.get(f"COMMANDS {subject}", 0) == published
    filters = [p for spec in SPECS for r in spec.reads if r.stream == "TAGS" for p in r.subjects]
    assert not any(covers(pattern, subject) for pattern in filters)
