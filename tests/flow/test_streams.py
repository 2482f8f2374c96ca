"""The table of streams, and what counts as a difference."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from plantops.events import subjects
from plantops.flow.patterns import covers, overlaps
from plantops.flow.streams import StreamSettings, StreamSpec, differences, snapshots, streams

TABLE = {stream.name: stream for stream in streams()}
FOREVER = {"DEFINITIONS", "POLICY", "AUDIT", "CHECKPOINTS", "COSIGNATURES"}


def test_every_subject_builder_has_its_stream() -> None:
    built = {
        "TAGS": subjects.tag("demo", "plc1"),
        "SOURCES": subjects.source("demo", "plc1", "gap"),
        "DEFINITIONS": subjects.definition("demo", "plc1", "f" * 64),
        "INTENTS": subjects.intent("demo", "alice", "pump", "Start"),
        "APPROVALS": subjects.approval("demo", "alice", "f" * 64),
        "COMMANDS": subjects.command("demo", "permitted", "gate", "f" * 64),
        "POLICY": subjects.policy("demo"),
        "AUDIT": subjects.audit("demo", "gate"),
        "CHECKPOINTS": subjects.checkpoint("demo"),
        "COSIGNATURES": subjects.cosignature("demo", "witness"),
        "TIMERS": subjects.timer("demo", "gate"),
        "DEAD": subjects.dead("gate"),
    }
    for name, subject in built.items():
        takers = [s.name for s in TABLE.values() if any(covers(p, subject) for p in s.subjects)]
        assert takers == [name]
    assert covers(TABLE["COMMANDS"].subjects[0], subjects.generation("demo", "gate", "pump"))


def test_no_two_streams_overlap_and_none_hears_what_commands_tells() -> None:
    patterns = [(s.name, p) for s in TABLE.values() for p in s.subjects]
    for index, (_, one) in enumerate(patterns):
        assert not any(overlaps(one, other) for _, other in patterns[index + 1 :])
        assert not overlaps(one, "told.cmd.>")


@pytest.mark.parametrize("stream", [*streams(), snapshots("twin")], ids=lambda stream: stream.name)
def test_no_stream_can_forget_before_its_time(stream: StreamSpec) -> None:
    config = stream.config()
    assert (config["deny_delete"], config["deny_purge"]) == (True, True)
    assert not any(config[switch] for switch in ("allow_rollup_hdrs", "allow_msg_ttl", "allow_direct"))
    assert not {"allow_msg_schedules", "persist_mode", "sources", "mirror"} & config.keys()
    assert config["storage"] == "file"
    assert stream.is_forever == (stream.name in FOREVER or stream.name.startswith("KV_"))


def test_tags_are_bounded_by_age_and_bytes_from_the_settings() -> None:
    settings = StreamSettings(tags_max_age=timedelta(days=1), tags_max_bytes=5_000, replicas=3)
    config = streams(settings)[0].config()
    assert (config["max_age"], config["max_bytes"]) == (86_400 * 10**9, 5_000)
    assert {stream.config()["num_replicas"] for stream in streams(settings)} == {3}


def test_as_the_server_says_it_back_there_is_no_difference() -> None:
    assert differences(TABLE["COMMANDS"], answered("COMMANDS")) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_age", 86_400 * 10**9),
        ("max_bytes", 10_000),
        ("max_msgs", 5),
        ("max_msgs_per_subject", 1),
        ("discard", "old"),
        ("storage", "memory"),
        ("retention", "workqueue"),
        ("num_replicas", 3),
        ("deny_delete", False),
        ("deny_purge", False),
        ("allow_rollup_hdrs", True),
        ("allow_msg_ttl", True),
        ("allow_msg_schedules", True),
        ("allow_msg_counter", True),
        ("allow_direct", True),
        ("allow_atomic", False),
        ("persist_mode", "async"),
        ("subjects", ["audit.demo.>"]),
        ("sealed", True),
        ("no_ack", True),
        ("sources", [{"name": "OTHER"}]),
        ("mirror", {"name": "OTHER"}),
        ("republish", {"src": ">", "dest": "leak.>"}),
        ("subject_transform", {"src": ">", "dest": "x.>"}),
        ("first_seq", 100),
        ("something_of_a_later_server", True),
    ],
)
def test_each_foreign_setting_of_a_forever_stream_is_named_and_unsafe(field: str, value: object) -> None:
    [found] = differences(TABLE["AUDIT"], {**answered("AUDIT"), field: value})
    assert (found.field, found.found, found.is_safe) == (field, value, False)
    assert field in str(found)


def test_a_missing_republish_is_a_difference() -> None:
    config = answered("COMMANDS")
    del config["republish"]
    assert [d.field for d in differences(TABLE["COMMANDS"], config)] == ["republish"]


@pytest.mark.parametrize(("found", "is_safe"), [(1, True), (10**18, False), (0, False)])
def test_only_a_larger_bound_is_safe_to_apply(found: int, is_safe: bool) -> None:
    [difference] = differences(TABLE["TAGS"], {**answered("TAGS"), "max_age": found})
    assert difference.is_safe is is_safe


def answered(name: str) -> dict[str, Any]:
    """A configuration as nats-server 2.15 gives it back."""
    return {
        **TABLE[name].config(),
        "max_consumers": -1,
        "max_msgs": -1,
        "compression": "none",
        "mirror_direct": False,
        "sealed": False,
        "consumer_limits": {},
        "metadata": {"_nats.level": "5", "_nats.ver": "2.15.1"},
    }
