"""What lies in the folder is what the code gives, and nothing is left out."""

from __future__ import annotations

import tomllib
from pathlib import Path

import jsonschema
import pytest
import yaml

from layout.repository import ROOT
from plantops.deployment.drawing import declared, generic, stored
from plantops.events import ALL_TYPES
from plantops.flow.rights import served
from plantops.flow.streams import streams
from plantops.schemas import folder
from plantops.schemas.__main__ import main
from plantops.schemas.catalogue import Documented, documented
from plantops.schemas.services import SERVICES
from schemas.folder import SCHEMAS, read_json

AGAIN = "write it again: make schemas"
GENERATED = folder.generated()


@pytest.mark.parametrize("path", sorted(GENERATED))
def test_a_file_is_what_the_code_gives_now(path: str) -> None:
    place = SCHEMAS / path
    assert place.is_file(), AGAIN
    assert place.read_bytes() == GENERATED[path], AGAIN


def test_nothing_is_missing_and_nothing_is_strange() -> None:
    found = folder.compare(SCHEMAS)
    assert not found, found


def test_the_command_writes_what_it_then_finds_in_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path)]) == 0
    assert main([str(tmp_path), "--check"]) == 0
    (tmp_path / "events" / "source.up" / "1.schema.json").unlink()
    (tmp_path / "note.txt").write_text("?")
    assert main([str(tmp_path), "--check"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "events/source.up/1.schema.json: is missing",
        "note.txt: nobody writes this file",
        "write them again: make schemas",
    ]
    assert main([str(tmp_path)]) == 0


def test_every_event_type_has_a_schema() -> None:
    assert {path.parent.name for path in (SCHEMAS / "events").glob("*/*.schema.json")} >= set(ALL_TYPES)


@pytest.mark.parametrize("entry", documented(), ids=lambda entry: entry.path)
def test_a_schema_is_one_and_says_what_it_is_for(entry: Documented) -> None:
    schema = read_json(SCHEMAS / entry.path)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == entry.urn
    assert schema["description"]
    assert [name for name, part in schema.get("$defs", {}).items() if not part.get("description")] == []


def test_every_service_that_a_process_answers_has_question_and_answer() -> None:
    told = {
        service.subject
        if not (service.is_envelope or ".<client>." in service.subject)
        else f"door.{service.subject.partition('.<')[0]}.<site>.>"
        for service in SERVICES
    }
    answered = {generic(subject) for spec in declared() for subject in served(spec)}
    known = {subject.replace("<writer>", "*") for subject in told}
    assert answered - known == set(), "name it in plantops.schemas.services"
    assert known - answered == set(), "nobody answers it any more"


def test_the_stream_table_has_every_stream_and_every_identity() -> None:
    table = tomllib.loads((SCHEMAS / "streams.toml").read_text())
    assert set(table["streams"]) >= {stream.name for stream in streams()}
    assert set(table["identities"]) == {generic(spec.name) for spec in declared()}
    assert all(identity["publish"] and identity["subscribe"] for identity in table["identities"].values())


def test_every_stored_event_has_channel_and_operation() -> None:
    document = yaml.safe_load((SCHEMAS / "asyncapi.yaml").read_text())
    written = {one.event for one in stored(declared())}
    assert written <= set(document["channels"])
    sent = {
        operation["channel"]["$ref"].removeprefix("#/channels/")
        for operation in document["operations"].values()
        if operation["action"] == "send"
    }
    assert written <= sent


def test_every_reference_to_a_file_leads_somewhere() -> None:
    text = (SCHEMAS / "asyncapi.yaml").read_text()
    named = {line.split()[-1] for line in text.splitlines() if " ./" in line}
    assert named
    assert [path for path in named if not (SCHEMAS / path).exists()] == []


def test_make_knows_how() -> None:
    assert "-m plantops.schemas" in (ROOT / "Makefile").read_text()
