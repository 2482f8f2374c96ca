"""Provisioning: done once, harmless twice, and never an unsafe change."""

from __future__ import annotations

import json
from typing import Any

import pytest
from nats.aio.client import Client

from plantops.flow.accounts import PROVISIONER
from plantops.flow.declaration import ProcessSpec
from plantops.flow.processor import Reads
from plantops.flow.provision import provision
from plantops.flow.streams import StreamSettings, streams
from plantops.runtime.errors import BrokerUnavailable, SettingsError
from plantops.runtime.nkey import NKey
from support.nats import AUDIT_PROVISIONER, Broker, StartBroker

SPECS = (
    ProcessSpec(
        "twin",
        reads=(Reads("TAGS", ("tag.demo.*",)), Reads("SOURCES", ("source.demo.*.*",))),
        snapshots=True,
    ),
    ProcessSpec(
        "adapter",
        reads=(Reads("COMMANDS", ("cmd.demo.permitted.gate.*",), kind="effect", name="permits"),),
    ),
    ProcessSpec("notary", account="AUDIT", reads=(Reads("AUDIT", (">",)),), snapshots=True),
)


async def api(client: Client, subject: str, body: object = None) -> dict[str, Any]:
    data = b"" if body is None else json.dumps(body).encode()
    answer: dict[str, Any] = json.loads((await client.request(f"$JS.API.{subject}", data)).data)
    assert "error" not in answer, answer
    return answer


async def again(broker: Broker, *specs: ProcessSpec, settings: StreamSettings | None = None) -> Any:
    return await provision(
        broker.url,
        specs or broker.specs,
        plant_key=broker.keys[PROVISIONER],
        audit_key=broker.keys[AUDIT_PROVISIONER],
        settings=settings or broker.settings,
    )


async def test_everything_is_made_once_and_found_unchanged_the_second_time(nats_server: StartBroker) -> None:
    broker = await nats_server(SPECS, with_streams=False)
    first, second = await again(broker), await again(broker)
    expected = {stream.name for stream in streams()} | {"KV_snapshot-twin", "KV_snapshot-notary"}
    expected |= {"TAGS/twin", "SOURCES/twin", "COMMANDS/adapter-permits", "AUDIT/notary"}
    assert set(first.created) == expected
    assert (first.changed, first.unchanged) == ([], [])
    assert (second.created, second.changed) == ([], [])
    assert set(second.unchanged) == expected


async def test_consumers_are_durable_with_the_acknowledgement_of_their_kind(nats_server: StartBroker) -> None:
    broker = await nats_server(SPECS)
    client = await broker.connect(PROVISIONER)
    fold = (await api(client, "CONSUMER.INFO.TAGS.twin"))["config"]
    effect = (await api(client, "CONSUMER.INFO.COMMANDS.adapter-permits"))["config"]
    assert (fold["ack_policy"], fold["ack_wait"]) == ("all", 3_600 * 10**9)
    assert (effect["ack_policy"], effect["ack_wait"]) == ("explicit", 30 * 10**9)
    assert effect["max_ack_pending"] < fold["max_ack_pending"]
    assert {fold["deliver_policy"], effect["deliver_policy"]} == {"all"}
    assert (fold["durable_name"], effect["durable_name"]) == ("twin", "adapter-permits")


UNSAFE = {
    "limits on what is kept for ever": ("AUDIT", {"max_age": 86_400 * 10**9}),
    "a bound in bytes": ("POLICY", {"max_bytes": 1_000_000}),
    "a bound in messages": ("COMMANDS", {"max_msgs": 1_000}),
    "roll-up": ("COMMANDS", {"allow_rollup_hdrs": True, "deny_purge": False}),
    "direct reads": ("COMMANDS", {"allow_direct": True}),
    "subjects": ("COMMANDS", {"subjects": ["cmd.demo.>"]}),
    "deletion": ("AUDIT", {"deny_delete": False, "deny_purge": False}),
    "life of a message": ("TIMERS", {"allow_msg_ttl": True}),
    "schedules": ("TIMERS", {"allow_msg_schedules": True, "allow_rollup_hdrs": True, "deny_purge": False}),
    "told elsewhere": ("INTENTS", {"republish": {"src": "intent.>", "dest": "leak.>"}}),
    "sources": ("TAGS", {"sources": [{"name": "ELSEWHERE"}]}),
    "no batches": ("COMMANDS", {"allow_atomic": False}),
}


@pytest.mark.parametrize(("name", "settings"), UNSAFE.values(), ids=UNSAFE.keys())
async def test_an_unsafe_stream_is_refused_by_name_and_left_alone(
    nats_server: StartBroker, name: str, settings: dict[str, Any]
) -> None:
    broker = await nats_server(SPECS, with_streams=False)
    spec = next(stream for stream in streams() if stream.name == name)
    client = await broker.connect(PROVISIONER if spec.account == "PLANT" else AUDIT_PROVISIONER)
    made = await api(client, f"STREAM.CREATE.{name}", {**spec.config(), **settings})
    with pytest.raises(SettingsError) as refusal:
        await again(broker)
    assert refusal.value.setting == name
    for field, value in settings.items():
        assert field in str(refusal.value)
        assert "wanted" in str(refusal.value)
        assert made["config"].get(field, False) == value or field in ("sources", "republish")
    assert (await api(client, f"STREAM.INFO.{name}"))["config"] == made["config"]
    others = (await api(client, "STREAM.NAMES"))["streams"]
    assert others == [name]  # nothing else was made in that account before the refusal


async def test_larger_bounds_are_applied_and_smaller_ones_refused(nats_server: StartBroker) -> None:
    broker = await nats_server(SPECS)
    usual = StreamSettings()
    larger = StreamSettings(tags_max_age=usual.tags_max_age * 2, tags_max_bytes=usual.tags_max_bytes + 1)
    assert (await again(broker, settings=larger)).changed == ["TAGS"]
    client = await broker.connect(PROVISIONER)
    config = (await api(client, "STREAM.INFO.TAGS"))["config"]
    assert config["max_bytes"] == usual.tags_max_bytes + 1
    with pytest.raises(SettingsError, match=r"TAGS exists with other settings.*max_age"):
        await again(broker, settings=usual)


async def test_an_added_filter_is_applied_and_a_narrowed_one_refused(nats_server: StartBroker) -> None:
    narrow = ProcessSpec("twin", reads=(Reads("TAGS", ("tag.demo.plc1",)),))
    wide = ProcessSpec("twin", reads=(Reads("TAGS", ("tag.demo.plc1", "tag.demo.plc2")),))
    broker = await nats_server((narrow,))
    assert (await again(broker, wide)).changed == ["TAGS/twin"]
    assert (await again(broker, wide)).changed == []
    with pytest.raises(SettingsError, match=r"TAGS/twin exists with other settings \(filter_subjects"):
        await again(broker, narrow)


async def test_a_consumer_that_acknowledges_otherwise_is_refused(nats_server: StartBroker) -> None:
    fold = ProcessSpec("twin", reads=(Reads("TAGS", ("tag.demo.*",)),))
    effect = ProcessSpec("twin", reads=(Reads("TAGS", ("tag.demo.*",), kind="effect"),))
    broker = await nats_server((fold,))
    with pytest.raises(SettingsError, match="ack_policy"):
        await again(broker, effect)


async def test_a_strange_stream_over_our_subjects_is_refused(nats_server: StartBroker) -> None:
    broker = await nats_server(SPECS)
    client = await broker.connect(PROVISIONER)
    harmless = {"name": "OTHER", "subjects": ["other.>"], "storage": "file"}
    await api(client, "STREAM.CREATE.OTHER", harmless)
    await again(broker)
    shadow = {"name": "SHADOW", "subjects": ["audit.demo.*"], "storage": "file"}
    await api(client, "STREAM.CREATE.SHADOW", shadow)
    with pytest.raises(SettingsError, match="SHADOW is not ours"):
        await again(broker)


async def test_two_readers_of_one_name_are_refused(nats_server: StartBroker) -> None:
    broker = await nats_server((), with_streams=False)
    twice = ProcessSpec("twin", reads=(Reads("TAGS", ("tag.a.*",)), Reads("TAGS", ("tag.b.*",))))
    with pytest.raises(SettingsError, match="two readers"):
        await again(broker, twice)


async def test_a_wrong_key_or_no_server_is_told_as_such(nats_server: StartBroker) -> None:
    broker = await nats_server((), with_streams=False)
    broker.keys[AUDIT_PROVISIONER] = NKey.generate()
    with pytest.raises(BrokerUnavailable, match="Authorization"):
        await again(broker)
    await broker.server.stop()
    with pytest.raises(BrokerUnavailable, match="cannot connect"):
        await again(broker)
