"""Every right of everybody else, tried by everybody: nobody gets further than his own."""

from __future__ import annotations

import json

import pytest

from attacks.plant import IDENTITIES, OWNERS, PERSONS, SPECS
from attacks.state import ask, concrete, login, watching
from plantops.flow.accounts import PROVISIONER, login_rights
from plantops.flow.patterns import covers
from support.nats import Broker, until

STREAMS = ("TAGS", "INTENTS", "COMMANDS", "POLICY", "AUDIT", "CHECKPOINTS", "KV_snapshot-gate")
BUILT = [f"$JS.API.STREAM.{verb}.{name}" for verb in ("UPDATE", "DELETE", "PURGE") for name in STREAMS]
ADMINISTRATION = (
    *BUILT,
    *(f"$JS.API.STREAM.MSG.DELETE.{name}" for name in STREAMS),
    *(f"$JS.API.STREAM.{verb}.{name}" for verb in ("SNAPSHOT", "RESTORE") for name in STREAMS),
    *(f"$JS.API.DIRECT.GET.{name}" for name in STREAMS),
    "$JS.API.STREAM.CREATE.SHADOW",
    "$JS.API.STREAM.LIST",
    "$JS.API.STREAM.NAMES",
    "$JS.API.STREAM.LEADER.STEPDOWN.AUDIT",
    "$JS.API.STREAM.PEER.REMOVE.AUDIT",
    "$JS.API.CONSUMER.CREATE.AUDIT.spy",
    "$JS.API.CONSUMER.CREATE.TAGS.spy.tag.demo.plc1",
    "$JS.API.CONSUMER.DURABLE.CREATE.TAGS.spy",
    "$JS.API.CONSUMER.DELETE.TAGS.twin",
    "$JS.API.CONSUMER.PAUSE.TAGS.twin",
    "$JS.API.CONSUMER.UNPIN.TAGS.twin",
    "$JS.API.CONSUMER.LEADER.STEPDOWN.TAGS.twin",
    "$JS.API.META.LEADER.STEPDOWN",
    "$JS.API.SERVER.REMOVE",
    "$JS.API.ACCOUNT.PURGE.PLANT",
    "$JS.API.INFO",
    "$JS.hub.API.STREAM.DELETE.TAGS",
    "$JS.FC.x",
    "$SYS.REQ.SERVER.PING",
    "$SYS.REQ.ACCOUNT.PLANT.CONNZ",
    "audit.demo.notary",
    "told.cmd.demo.executed.adapter-plc1.c1",
    "door.intent.demo.alice.pump.Start",
    "door.approval.demo.bob.c1",
    "process-gate",
    "_INBOX.gate.guess",
    "anything",
)
SHADOW = json.dumps({"name": "SHADOW", "subjects": ["audit.>"], "storage": "file"}).encode()


def foreign_subjects(broker: Broker, identity: str) -> list[str]:
    rights = login_rights(broker.plant())
    own = rights[identity].publish
    wanted = {concrete(p) for name, theirs in rights.items() if name != identity for p in theirs.publish}
    wanted |= {f"{concrete(p)}" for p in ADMINISTRATION}
    foreign = {subject for subject in wanted if not any(covers(mine, subject) for mine in own)}
    return sorted(foreign | {subject for subject, owners in OWNERS.items() if identity not in owners})


@pytest.mark.parametrize("identity", IDENTITIES)
async def test_publishing_beyond_ones_rights_is_refused_and_changes_nothing(
    attacked: Broker, identity: str
) -> None:
    subjects = foreign_subjects(attacked, identity)
    async with watching(attacked) as watcher, login(attacked, identity) as attacker:
        before = (await watcher.counts(), await watcher.settings())
        for subject in subjects:
            body = b"+TERM" if ".ACK." in subject else SHADOW
            await attacker.publish(subject, body)
            await attacker.publish(subject, body, reply=f"_INBOX.{identity}.answer")
        await attacker.flush()
        refused = attacked.refused[identity]
        await until(lambda: len(refused) >= 2 * len(subjects))
        told = " ".join(refused)
        missed = [s for s in subjects if f'"{mapped(identity, s).lower()}"' not in told.lower()]
        assert missed == []
        assert (await watcher.counts(), await watcher.settings()) == before


def mapped(identity: str, subject: str) -> str:
    """The subject that the refusal names: a process's own API requests are renamed first."""
    if identity in PERSONS:
        return subject
    return subject.replace("$JS.API.", "$JS.hub.API.", 1) if subject.startswith("$JS.API.") else subject


@pytest.mark.parametrize("identity", IDENTITIES)
async def test_hearing_more_than_ones_own_is_refused(attacked: Broker, identity: str) -> None:
    rights = login_rights(attacked.plant())
    own = rights[identity].subscribe
    patterns = {p for name, theirs in rights.items() if name != identity for p in theirs.subscribe}
    patterns |= {">", "*.>", "_INBOX.>", "_R_.>", "$JS.>", "$SYS.>", "audit.>", "head.>", "told.>", "tag.>"}
    foreign = sorted(p for p in patterns if not any(covers(mine, p) for mine in own))
    heard: list[str] = []

    async def hear(message: object) -> None:
        heard.append(str(message))

    async with login(attacked, identity) as attacker:
        for pattern in foreign:
            await attacker.subscribe(pattern, cb=hear)
        await attacker.flush()
        refused = attacked.refused[identity]
        await until(lambda: len(refused) >= len(foreign))
        told = " ".join(refused).lower()
        assert [pattern for pattern in foreign if f'"{pattern.lower()}"' not in told] == []
        async with login(attacked, "adapter-plc1") as adapter:
            await ask(adapter, "tag.demo.plc1")
    assert heard == []


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
async def test_everybody_can_use_what_he_declared(attacked: Broker, spec: object) -> None:
    """The control: the same publishes by their owner are let through, and what is stored shows."""
    name = spec.name  # type: ignore[attr-defined]
    rights = login_rights(attacked.plant())[name]
    async with watching(attacked) as watcher, login(attacked, name) as owner:
        before = await watcher.counts()
        for pattern in rights.publish:
            if pattern != "_R_.>":
                await owner.publish(concrete(pattern), b"{}")
        await owner.flush()
        assert attacked.refused[name] == []
        written = [concrete(s) for w in spec.writes for s in w.subjects]  # type: ignore[attr-defined]
        after = await watcher.counts()
        risen = {key.split(" ")[1] for key, number in after.items() if number != before.get(key)}
        kept_last = {s for s in written if s.startswith("definition.")}
        assert risen >= set(written) - kept_last
        assert {key.split(" ")[1] for key in after} >= set(written)


async def test_the_provisioner_can_do_what_the_others_were_refused(attacked: Broker) -> None:
    """The control of the administration attacks: with the right credential they work and show."""
    async with watching(attacked) as watcher, login(attacked, PROVISIONER) as provisioner:
        before = await watcher.settings()
        made = await ask(
            provisioner,
            "$JS.API.CONSUMER.CREATE.TAGS.spy",
            {"stream_name": "TAGS", "config": {"name": "spy", "durable_name": "spy", "ack_policy": "none"}},
        )
        assert "error" not in made
        assert await watcher.settings() != before
        assert "error" not in await ask(provisioner, "$JS.API.CONSUMER.DELETE.TAGS.spy")
        assert await watcher.settings() == before


async def test_even_the_provisioner_cannot_say_anything_in_anothers_name(attacked: Broker) -> None:
    async with watching(attacked) as watcher, login(attacked, PROVISIONER) as provisioner:
        before = await watcher.counts()
        for subject in ("cmd.demo.permitted.gate.c1", "audit.demo.gate", "tag.demo.plc1"):
            await provisioner.publish(subject, b"{}")
        await provisioner.flush()
        await until(lambda: len(attacked.refused[PROVISIONER]) == 3)
        assert await watcher.counts() == before


@pytest.mark.parametrize("verb", ["DELETE", "PURGE"])
async def test_a_kept_message_cannot_be_taken_out_even_by_the_provisioner(
    attacked: Broker, verb: str
) -> None:
    async with watching(attacked) as watcher, login(attacked, "adapter-plc1") as adapter:
        await ask(adapter, "tag.demo.plc1")
        before = await watcher.counts()
        async with login(attacked, PROVISIONER) as provisioner:
            subject = "STREAM.MSG.DELETE.TAGS" if verb == "DELETE" else "STREAM.PURGE.TAGS"
            answer = await ask(provisioner, f"$JS.API.{subject}", {"seq": 1} if verb == "DELETE" else {})
        assert "error" in answer
        assert await watcher.counts() == before
