"""What a running site says fits the schemas, and its broker is what the stream table says."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from functools import cache
from typing import Any

import jsonschema
import msgspec
import pytest

from layout.repository import ROOT
from plantops.events import ALL_TYPES
from plantops.events.base import encode_json
from plantops.events.envelope import CONTENT_TYPE, DATA_SCHEMA, MSGPACK, read_data_schema
from plantops.events.queries import TagsAsked
from plantops.flow.bus import Stored
from plantops.ledger.dsse import decode as decode_envelope
from plantops.schemas.catalogue import of
from plantops.schemas.services import SERVICES
from schemas.folder import SCHEMAS, read_json
from support.site import RunningSite, ask

# Streams that a site writes while it runs well, and what it has said there at least.
SAID = {
    "TAGS": {"tag.frame"},
    "SOURCES": {"source.lease", "source.up"},
    "DEFINITIONS": {"source.defined"},
    "INTENTS": {"command.requested"},
    "COMMANDS": {
        "command.denied",
        "command.simulation_ordered",
        "command.dry_run",
        "command.simulated",
        "command.permitted",
        "command.claimed",
        "command.executed",
    },
    "POLICY": {"policy.published"},
}
_MOST = 200


@cache
def validator(path: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(
        read_json(SCHEMAS / path), format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )


def check(stored: Stored) -> str:
    """The type of a message, after it was held against the schema that it names."""
    kind, version = read_data_schema(stored.headers[DATA_SCHEMA])
    assert stored.headers["ce-type"] == kind
    is_packed = stored.headers[CONTENT_TYPE] == MSGPACK
    image = (
        msgspec.to_builtins(msgspec.msgpack.decode(stored.data))
        if is_packed
        else msgspec.json.decode(stored.data)
    )
    validator(f"events/{kind}/{version}.schema.json").validate(image)
    return kind


@pytest.mark.parametrize("stream", sorted(SAID))
async def test_what_is_stored_fits_the_schema_that_it_names(demo: RunningSite, stream: str) -> None:
    if stream in ("INTENTS", "COMMANDS"):
        async with demo.session("alice") as alice:
            await ask(alice, "valve-001.SetPosition", {"PERCENT": 37.5})
            await ask(alice, "valve-001.SetPosition", {"PERCENT": 4000.0})
            await ask(alice, "pump-001.StartPump")
    async with demo.reader() as bus:
        state = await bus.state(stream)
        kept = await bus.history(stream, ">", max(state.first, state.last - _MOST), _MOST)
    assert {check(stored) for stored in kept} >= SAID[stream]


async def test_audit_records_and_checkpoints_fit_theirs(demo: RunningSite) -> None:
    async with demo.session("alice") as alice:
        await ask(alice, "valve-001.SetPosition", {"PERCENT": 36.5})
    async with demo.auditor() as bus:
        records = await bus.history("AUDIT", ">", 1, _MOST)
        last = await bus.last("CHECKPOINTS", "checkpoint.demo")
    assert records
    for stored in records:
        validator("payloads/dsse_envelope/1.schema.json").validate(msgspec.json.decode(stored.data))
        record = msgspec.json.decode(decode_envelope(stored.data).body())
        validator("payloads/audit_record/1.schema.json").validate(record)
    assert last is not None
    assert check(last) == "checkpoint.signed"


# Subject without area and site -> what is asked; what is not named here is asked nothing.
QUESTIONS = {
    "twin.<site>.get": encode_json(TagsAsked(limit=5)),
    "twin.<site>.watch": encode_json(TagsAsked(limit=5)),
    "twin.<site>.sightings": b'{"tags":["plc1.pump.motor_temperature"]}',
    "read.<site>.<source>": b'{"tags":["plc1.pump.motor_temperature"]}',
    "command.<site>.get": b'{"command":"c1"}',
    "command.<site>.circumstances": b'{"asset":"valve-001","operation":"SetPosition","actor":"alice"}',
    "browse.<site>.<source>": b'{"limit":5}',
}
ASKED = [
    service
    for service in SERVICES
    if not service.is_envelope and service.subject.partition(".")[0] not in ("head", "tool", "chat")
]


@pytest.mark.parametrize("service", ASKED, ids=lambda service: service.subject)
async def test_an_answer_fits_its_schema(demo: RunningSite, service: Any) -> None:
    source = "opc1" if service.subject.startswith("browse.") else "plc1"
    subject = service.subject.replace("<site>", "demo").replace("<source>", source)
    question = QUESTIONS.get(service.subject, b"{}")
    async with demo.session("alice") as alice:
        if service.subject == "command.<site>.get":
            await ask(alice, "valve-001.SetPosition", {"PERCENT": 35.5})
        if service.question is not None:
            validator(of(service.question).path).validate(msgspec.json.decode(question))
        answer = msgspec.json.decode((await alice.bus.request(subject, question, timeout=10.0)).data)
        validator(of(service.answer).path).validate(answer)
        nonsense = b'{"tags":7,"limit":"x","command":7,"asset":7}'
        refusal = (await alice.bus.request(subject, nonsense, timeout=10.0)).data
        if service.question is not None:
            validator("services/problem/1.schema.json").validate(msgspec.json.decode(refusal))


def recorded() -> Iterable[tuple[str, Any]]:
    """Every event in the recorded histories of the gate."""
    for path in sorted((ROOT / "tests" / "golden" / "gate").glob("*.jsonl")):
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            yield f"{path.name}:{number}", msgspec.json.decode(line)["event"]


def test_recorded_decisions_fit_the_schemas() -> None:
    found = dict(recorded())
    assert len(found) > 50
    for place, event in found.items():
        version = ALL_TYPES[event["type"]].version
        errors = list(validator(f"events/{event['type']}/{version}.schema.json").iter_errors(event))
        assert errors == [], place


async def test_no_stream_of_the_broker_is_missing_in_the_table(demo: RunningSite) -> None:
    table = tomllib.loads((SCHEMAS / "streams.toml").read_text())["streams"]
    async with demo.reader() as bus:
        for name, stream in table.items():
            if stream["account"] == "PLANT":
                assert (await bus.state(name)).created, name
