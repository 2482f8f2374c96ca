"""The generated configuration: what it allows, and what it refuses to write."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from plantops.flow.accounts import Plant, ServerOptions, configuration, login_rights
from plantops.flow.declaration import ClientSpec, ProcessSpec, Writes
from plantops.flow.processor import Reads
from plantops.flow.rights import client_rights
from plantops.runtime.errors import SettingsError
from plantops.runtime.nkey import NKey

TWIN = ProcessSpec(
    "twin",
    reads=(Reads("TAGS", ("tag.demo.*",)),),
    writes=(Writes("FINDINGS", ("finding.demo.twin",)),),
    serves=("twin.demo.observe",),
    public=("twin.demo.*",),
    audits=True,
    snapshots=True,
)
GATE = ProcessSpec(
    "gate",
    reads=(Reads("COMMANDS", ("cmd.demo.executed.*.*",), kind="effect", name="outcomes"),),
    door=("door.intent.demo.>",),
    asks=("twin.demo.observe",),
)
KEYS = {name: NKey.generate().public for name in ("twin", "gate", "alice", "plant", "audit")}
OPTIONS = ServerOptions(folder=Path("/data"), port=4222, monitor_port=8222)


def plant(*processes: ProcessSpec, **changes: Any) -> Plant:
    whole = Plant(
        site="demo",
        processes=processes or (TWIN, GATE),
        clients=(ClientSpec("alice", KEYS["alice"]),),
        keys={name: KEYS[name] for name in ("twin", "gate")},
        plant_provisioner=KEYS["plant"],
        audit_provisioner=KEYS["audit"],
    )
    return dataclasses.replace(whole, **changes)


def parsed(whole: Plant) -> dict[str, Any]:
    text = configuration(whole, OPTIONS)
    document: dict[str, Any] = json.loads(text.partition("\n")[2])
    return document


def test_a_process_has_exactly_the_rights_that_follow_from_its_declaration() -> None:
    rights = login_rights(plant())
    assert rights["twin"].publish == (
        "$JS.ACK.*.*.TAGS.twin.>",
        "$JS.ACK.TAGS.twin.>",
        "$JS.API.CONSUMER.MSG.NEXT.TAGS.twin",
        "$JS.API.CONSUMER.RESET.TAGS.twin",
        "$JS.API.STREAM.INFO.FINDINGS",
        "$JS.API.STREAM.INFO.KV_snapshot-twin",
        "$JS.API.STREAM.INFO.TAGS",
        "$JS.API.STREAM.MSG.GET.FINDINGS",
        "$JS.API.STREAM.MSG.GET.KV_snapshot-twin",
        "$KV.snapshot-twin.>",
        "_R_.>",
        "audit.demo.twin",
        "finding.demo.twin",
        "head.demo.twin",
    )
    assert rights["twin"].subscribe == ("_INBOX.twin.>", "twin.demo.*", "twin.demo.observe")


def test_an_effect_worker_may_not_rewind_the_consumer_that_it_shares() -> None:
    assert not any("RESET" in subject for subject in login_rights(plant())["gate"].publish)
    assert "$JS.API.CONSUMER.MSG.NEXT.COMMANDS.gate-outcomes" in login_rights(plant())["gate"].publish


def test_a_client_may_speak_at_the_doors_in_its_own_name_only() -> None:
    rights = login_rights(plant())["alice"]
    assert rights.publish == ("intent.demo.alice.>", "twin.demo.*")
    assert rights.subscribe == ("_INBOX.alice.>", "cmd.demo.>")


def test_every_login_has_a_key_and_a_list_of_what_it_may_do() -> None:
    accounts = parsed(plant())["accounts"]
    logins = [user for account in accounts.values() for user in account.get("users", ())]
    assert sorted(user["nkey"] for user in logins) == sorted(KEYS.values())
    for user in logins:
        assert all(user["permissions"][way]["allow"] for way in ("publish", "subscribe"))


def test_processes_meet_in_no_account_and_only_provisioners_log_in_to_those_with_streams() -> None:
    document = parsed(plant())
    accounts = document["accounts"]
    assert {name: len(account.get("users", ())) for name, account in accounts.items()} == {
        "SYS": 0,
        "PLANT": 1,
        "AUDIT": 1,
        "CLIENTS": 1,
        "process-twin": 1,
        "process-gate": 1,
    }
    assert [name for name, account in accounts.items() if "jetstream" in account] == ["PLANT", "AUDIT"]
    assert document["system_account"] == "SYS"
    assert "no_auth_user" not in document


def test_nothing_is_exported_to_everybody_and_every_import_has_its_export() -> None:
    accounts = parsed(plant())["accounts"]
    given = {
        (name, export.get("service") or export["stream"], importer)
        for name, account in accounts.items()
        for export in account["exports"]
        for importer in export["accounts"]
    }
    taken = set()
    for name, account in accounts.items():
        for one in account["imports"]:
            source = one.get("service") or one["stream"]
            taken.add((source["account"], source["subject"], name))
    assert given == taken


def test_what_comes_from_clients_tells_who_asks() -> None:
    accounts = parsed(plant())["accounts"]
    services = [one for one in accounts["CLIENTS"]["imports"] if "service" in one]
    assert {one.get("to", one["service"]["subject"]) for one in services} == {"intent.demo.>", "twin.demo.*"}
    assert all(one["share"] for one in services)


def test_synced_to_disk_and_on_loopback_unless_said_otherwise() -> None:
    document = parsed(plant())
    assert document["jetstream"] == {"store_dir": "/data", "sync_interval": "always"}
    assert (document["host"], document["http"]) == ("127.0.0.1", "127.0.0.1:8222")


def test_a_quota_bounds_what_an_account_stores() -> None:
    options = dataclasses.replace(OPTIONS, audit_bytes=1_000)
    document = json.loads(configuration(plant(), options).partition("\n")[2])
    assert document["accounts"]["AUDIT"]["jetstream"] == {"max_file": 1_000}


@pytest.mark.parametrize(
    "spec",
    [
        ProcessSpec("gate", writes=(Writes("COMMANDS", ("audit.demo.gate",)),)),
        ProcessSpec("gate", writes=(Writes("COMMANDS", (">",)),)),
        ProcessSpec("gate", writes=(Writes("AUDIT", ("audit.demo.gate",)),)),
        ProcessSpec("gate", writes=(Writes("NOWHERE", ("cmd.a.b.c.d",)),)),
        ProcessSpec("gate", lookups=("AUDIT",)),
        ProcessSpec("gate", reads=(Reads("CHECKPOINTS", (">",)),)),
        ProcessSpec("gate", serves=("cmd.demo.>",)),
        ProcessSpec("gate", serves=("told.cmd.demo.>",)),
        ProcessSpec("gate", serves=("head.demo.*",)),
        ProcessSpec("gate", serves=("door.intent.demo.>",)),
        ProcessSpec("gate", public=("$JS.API.>",)),
        ProcessSpec("gate", door=("door.>",)),
        ProcessSpec("gate", door=("intent.demo.>",)),
        ProcessSpec("gate", asks=(">",)),
        ProcessSpec("gate", asks=("$JS.API.STREAM.DELETE.TAGS",)),
        ProcessSpec("gate", asks=("audit.demo.twin",)),
        ProcessSpec("gate", asks=("nobody.demo.serves",)),
        ProcessSpec("gate", hears=("_INBOX.>",)),
        ProcessSpec("gate", hears=(">",)),
        ProcessSpec("gate", hears=("tag.demo.>",)),
        ProcessSpec("gate.x"),
        ProcessSpec("gate", account="CLIENTS"),
        ProcessSpec("unknown"),
        ProcessSpec("alice"),
        ProcessSpec("provisioner"),
    ],
)
def test_a_declaration_that_asks_for_more_is_refused(spec: ProcessSpec) -> None:
    keys = {"gate": KEYS["gate"], "alice": KEYS["gate"], "provisioner": KEYS["gate"], "gate.x": KEYS["gate"]}
    with pytest.raises(SettingsError):
        configuration(plant(spec, keys=keys), OPTIONS)


@pytest.mark.parametrize(
    "changes",
    [
        {"site": "a.b"},
        {"plant_provisioner": KEYS["gate"]},
        {"audit_provisioner": KEYS["plant"]},
        {"clients": (ClientSpec("al*ce", KEYS["alice"]),)},
        {"clients": (ClientSpec("alice", "not a key"),)},
        {"clients": (ClientSpec("alice", KEYS["gate"]),)},
        {"clients": (ClientSpec("alice", KEYS["alice"]),) * 2},
        {"keys": {"twin": KEYS["twin"]}},
    ],
)
def test_names_and_keys_that_cannot_stand_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        configuration(plant(**changes), OPTIONS)


def test_two_processes_never_share_a_consumer_by_the_way_their_names_are_joined() -> None:
    one = ProcessSpec("gate", reads=(Reads("TAGS", ("tag.demo.*",), name="x-y"),))
    other = ProcessSpec("gate-x", reads=(Reads("TAGS", ("tag.demo.*",), name="y"),))
    keys = {"gate": KEYS["gate"], "gate-x": KEYS["twin"]}
    with pytest.raises(SettingsError, match="gate-x-y"):
        configuration(plant(one, other, keys=keys), OPTIONS)


def test_a_gateway_may_hand_in_signed_words_of_others_and_asks_the_rest_in_its_own_name() -> None:
    chat = ProcessSpec(name="desk", door=("door.chat.demo.>",))
    gate = ProcessSpec(name="gate", door=("door.intent.demo.>", "door.approval.demo.>"))
    relay = client_rights(ClientSpec("gateway", KEYS["alice"], relays=True), "demo", (chat, gate))
    assert relay.publish == ("approval.demo.>", "chat.demo.gateway.>", "intent.demo.>")
    plain = client_rights(ClientSpec("gateway", KEYS["alice"]), "demo", (chat, gate))
    assert plain.publish == ("approval.demo.gateway.>", "chat.demo.gateway.>", "intent.demo.gateway.>")
