"""Headers that would make a stream forget, wait, count or speak elsewhere; and ids that silence others."""

from __future__ import annotations

import json

import nats.errors
import pytest
from nats.aio.client import Client

from attacks.plant import SPECS
from attacks.state import concrete, login, watching
from plantops.flow.accounts import login_rights
from plantops.flow.declaration import ProcessSpec
from plantops.runtime.nkey import NKey
from support.nats import Broker, until

HEADERS = {
    "roll-up of the subject": {"Nats-Rollup": "sub"},
    "roll-up of the stream": {"Nats-Rollup": "all"},
    "life of its own": {"Nats-TTL": "1s"},
    "schedule": {
        "Nats-Schedule": "@at 2030-01-01T00:00:00Z",
        "Nats-Schedule-Target": "cmd.demo.permitted.gate.c1",
    },
    "counter": {"Nats-Incr": "1"},
}


def stored_subject(spec: ProcessSpec) -> str:
    return concrete(spec.writes[0].subjects[0])


WRITERS = [spec for spec in SPECS if spec.writes]


@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS.keys())
@pytest.mark.parametrize("spec", WRITERS, ids=lambda spec: spec.name)
async def test_a_header_that_bends_the_stream_is_refused(
    attacked: Broker, spec: ProcessSpec, headers: dict[str, str]
) -> None:
    async with watching(attacked) as watcher, login(attacked, spec.name) as writer:
        subject = stored_subject(spec)
        assert "error" not in await publish(writer, subject, {})  # the control: without it, it is stored
        before = await watcher.counts()
        assert "error" in await publish(writer, subject, headers)
        assert await watcher.counts() == before


@pytest.mark.parametrize("spec", WRITERS, ids=lambda spec: spec.name)
async def test_neither_audit_nor_snapshot_takes_a_roll_up(attacked: Broker, spec: ProcessSpec) -> None:
    subjects = [f"audit.demo.{spec.name}"] if spec.audits else []
    subjects += [f"$KV.snapshot-{spec.name}.state"] if spec.snapshots else []
    async with watching(attacked) as watcher, login(attacked, spec.name) as writer:
        for subject in subjects:
            await publish(writer, subject, {})
            before = await watcher.counts()
            for headers in HEADERS.values():
                assert "error" in await publish(writer, subject, headers)
            assert await watcher.counts() == before


async def test_a_message_silenced_by_anothers_id_is_known_to_its_sender(attacked: Broker) -> None:
    """Ids are per stream, so another writer can use one first: then the broker says `duplicate`."""
    async with (
        login(attacked, "adapter-plc1") as victim,
        login(attacked, "adapter-plc2") as attacker,
        watching(attacked) as watcher,
    ):
        guessed = {"Nats-Msg-Id": "guessed-1"}
        first = await publish(attacker, "cmd.demo.claimed.adapter-plc2.c5", guessed)
        answer = await publish(victim, "cmd.demo.claimed.adapter-plc1.c5", guessed)
        assert answer["duplicate"] is True
        assert answer["seq"] == first["seq"]  # not a place where the victim has written
        assert "COMMANDS cmd.demo.claimed.adapter-plc1.c5" not in await watcher.counts()


async def test_an_id_never_reaches_over_into_another_stream_or_the_audit(attacked: Broker) -> None:
    async with login(attacked, "adapter-plc1") as victim, login(attacked, "adapter-plc2") as attacker:
        await publish(attacker, "tag.demo.plc2", {"Nats-Msg-Id": "guessed-2"})
        answer = await publish(victim, "cmd.demo.claimed.adapter-plc1.c6", {"Nats-Msg-Id": "guessed-2"})
        assert not answer.get("duplicate")


async def test_a_batch_without_ids_cannot_be_silenced_and_with_a_used_one_is_refused_aloud(
    attacked: Broker,
) -> None:
    async with login(attacked, "adapter-plc1") as victim, login(attacked, "adapter-plc2") as attacker:
        used = {"Nats-Msg-Id": "guessed-3"}
        await publish(attacker, "cmd.demo.claimed.adapter-plc2.c6", used)
        commit = {"Nats-Batch-Sequence": "1", "Nats-Batch-Commit": "1"}
        subject = "cmd.demo.executed.adapter-plc1.c6"
        refused = await publish(victim, subject, {"Nats-Batch-Id": "b1", **commit, **used})
        assert "error" in refused
        assert "error" not in await publish(victim, subject, {"Nats-Batch-Id": "b2", **commit})


async def test_a_batch_of_one_writer_takes_no_message_of_another(attacked: Broker) -> None:
    """Who guesses a batch id can spoil that batch, and no more: so ids of batches are random."""
    async with (
        login(attacked, "adapter-plc1") as victim,
        login(attacked, "adapter-plc2") as attacker,
        watching(attacked) as watcher,
    ):
        before = await watcher.counts()
        shared = {"Nats-Batch-Id": "guessed-batch"}
        first, second = {**shared, "Nats-Batch-Sequence": "1"}, {**shared, "Nats-Batch-Sequence": "2"}
        await victim.publish("cmd.demo.claimed.adapter-plc1.c9", headers=first)
        await victim.flush()
        await attacker.publish("cmd.demo.claimed.adapter-plc2.c9", headers=second)
        await attacker.flush()
        commit = {**shared, "Nats-Batch-Sequence": "2", "Nats-Batch-Commit": "1"}
        answer = await publish(victim, "cmd.demo.executed.adapter-plc1.c9", commit)
        after = await watcher.counts()
        stored = {key for key, number in after.items() if number != before.get(key)}
        own = {"COMMANDS cmd.demo.claimed.adapter-plc1.c9", "COMMANDS cmd.demo.executed.adapter-plc1.c9"}
        # It comes in between and spoils the batch, aloud; or it comes too late and is lost.
        assert stored == (set() if "error" in answer else own)


async def test_terminating_another_consumers_message_is_refused(attacked: Broker) -> None:
    """`+TERM` on somebody's acknowledgement subject would take his work away."""
    async with login(attacked, "gate") as gate, login(attacked, "adapter-plc1") as adapter:
        await publish(gate, "cmd.demo.permitted.gate.c11", {})
        bound = await adapter.jetstream().pull_subscribe_bind("adapter-plc1", "COMMANDS")
        [message, *_] = await bound.fetch(1, timeout=5)
        async with login(attacked, "adapter-plc2") as attacker:
            for subject in (message.reply, message.reply.replace("$JS.ACK.", "$JS.ACK.hub.acc.")):
                await attacker.publish(subject, b"+TERM")
            await attacker.flush()
            await until(lambda: len(attacked.refused["adapter-plc2"]) == 2)
        # The control: it is still the victim's, who may end it, and the broker confirms that.
        await message.ack_sync(timeout=5)


@pytest.mark.parametrize("seed", ["none", "stranger"])
async def test_nobody_logs_in_without_a_known_key(attacked: Broker, seed: str) -> None:
    client = Client()

    async def ignore(error: Exception) -> None:
        """The refusal is raised by `connect` as well."""

    key = None if seed == "none" else NKey.generate().seed
    with pytest.raises(nats.errors.Error):
        await client.connect(attacked.url, allow_reconnect=False, error_cb=ignore, nkeys_seed_str=key)
    await client.close()


async def test_a_client_has_no_jetstream(attacked: Broker) -> None:
    rights = login_rights(attacked.plant())
    for person in ("alice", "bob"):
        assert not any(subject.startswith("$") for subject in rights[person].publish)


async def publish(client: Client, subject: str, headers: dict[str, str]) -> dict[str, object]:
    answer: dict[str, object] = json.loads(
        (await client.request(subject, b"{}", headers=headers, timeout=5)).data
    )
    return answer
