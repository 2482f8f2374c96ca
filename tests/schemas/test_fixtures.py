"""What was said once stays readable for ever: every recorded message of every version, with today's code."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from layout.repository import ROOT
from plantops.events import ALL_TYPES, Event, decode, encode, event_type
from plantops.events.base import TagName
from plantops.events.envelope import CONTENT_TYPE, DATA_SCHEMA, SIGNATURE, Message, payload_type
from plantops.events.frames import decode_frame, encode_frame, resolve
from plantops.events.tags import NamedFrame, SourceDefined, TagFrame
from plantops.flow.named_frames import frame_of
from plantops.flow.reading import read_event
from plantops.ledger.dsse import verify_detached
from plantops.ledger.keys import VerifyKey
from plantops.schemas import fixtures as recorder
from plantops.schemas.samples import samples
from schemas.folder import SCHEMAS, Fixture, fixtures

FIXTURES = {each.name: each for each in fixtures()}

# Fixture -> why it was recorded anew although it was committed. Nothing that a plant may have stored.
REPLACED: dict[str, str] = {}


STARTS = TagName("plc1.starts")


class Believed:
    """Believes the key that stands beside the fixture."""

    def __init__(self, fixture: Fixture) -> None:
        key = VerifyKey.from_base64(fixture.envelope.public_key)
        self._trusted = {key.keyid: key}

    def believe(self, event_type: str, version: int, message: Message) -> str:
        kind = payload_type(event_type, version, message.header(CONTENT_TYPE))
        return verify_detached(message.header(SIGNATURE), kind, message.data, self._trusted)

    def at(self, time_ns: int) -> Believed:
        return self

    @property
    def ever(self) -> Believed:
        return self


def again(event: Event) -> bytes:
    """The bytes that today's code gives the event."""
    return encode_frame(event) if isinstance(event, TagFrame) else encode(event)


def read_again(fixture: Fixture, data: bytes) -> Event:
    return decode_frame(data) if fixture.is_packed else decode(data)


@pytest.mark.parametrize("name", FIXTURES)
def test_a_recorded_message_is_read_and_believed(name: str) -> None:
    fixture = FIXTURES[name]
    event, signer = read_event(fixture.stored(), Believed(fixture))
    assert signer == VerifyKey.from_base64(fixture.envelope.public_key).keyid
    assert fixture.envelope.headers[DATA_SCHEMA] == "urn:plantops:event:" + ":".join(name.split("/")[:2])
    assert event_type(event) == name.split("/", maxsplit=1)[0]


@pytest.mark.parametrize("name", FIXTURES)
def test_a_recorded_message_fits_the_schema_of_its_version(name: str) -> None:
    fixture = FIXTURES[name]
    validator(fixture.schema).validate(fixture.image())


@pytest.mark.parametrize("name", FIXTURES)
def test_what_is_said_again_means_the_same(name: str) -> None:
    fixture = FIXTURES[name]
    event = read_again(fixture, fixture.data)
    said = again(event)
    assert comparable(read_again(fixture, said)) == comparable(event)
    image = Fixture(name, said, fixture.envelope, fixture.schema).image()
    assert contains(image, fixture.image())
    # What the message leaves out has the meaning that its version's schema gives.
    properties = fixture.schema["properties"]
    for field in image.keys() - fixture.image().keys():
        if field in properties:
            assert image[field] == properties[field]["default"], field
    validator(fixture.schema).validate(image)


def test_every_type_and_version_of_today_has_its_messages() -> None:
    assert {name.rpartition("/")[0] for name in FIXTURES} >= {
        f"{kind}/{struct.version}" for kind, struct in ALL_TYPES.items()
    }


@pytest.mark.parametrize("said", list(samples()), ids=lambda said: event_type(said.event))
def test_a_full_sample_leaves_nothing_at_its_default(said: Any) -> None:
    fields = msgspec.structs.fields(said.event)
    silent = [
        field.name
        for field in fields
        if not field.required and getattr(said.event, field.name) == field.default
    ]
    assert silent == []


def test_recorded_frames_have_the_recorded_definition() -> None:
    definition = decode(FIXTURES["source.defined/1/full"].data)
    assert isinstance(definition, SourceDefined)
    packed = resolve(decode_frame(FIXTURES["tag.frame/1/full"].data), definition)
    assert {tag: value for tag, value, _quality, _time in packed.samples()}[STARTS] == 2**63 + 7
    named = decode(FIXTURES["tag.frame.named/1/full"].data)
    assert isinstance(named, NamedFrame)
    values = {tag: value for tag, value, _quality, _time in frame_of(named, definition).samples()}
    assert values[STARTS] == 2**63 + 7


def test_no_recorded_message_was_ever_changed_or_taken_away() -> None:
    told = subprocess.run(
        ["git", "log", "--format=", "--name-only", "--diff-filter=DMRT", "--", "schemas/fixtures"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    here = subprocess.run(
        ["git", "diff", "HEAD", "--name-only", "--diff-filter=DMRT", "--", "schemas/fixtures"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert set((told.stdout + here.stdout).split()) == set(REPLACED)


def kept(place: Path, *names: str) -> None:
    """The committed messages of `source.up`, some of them."""
    place.mkdir(parents=True)
    for name in names:
        shutil.copy(SCHEMAS / "fixtures" / "source.up" / "1" / name, place)


def test_the_recorder_adds_what_is_missing_and_leaves_the_rest(tmp_path: Path) -> None:
    assert recorder.missing(SCHEMAS) == {}
    assert recorder.missing(tmp_path) == recorder.recorded()
    kept(tmp_path / "fixtures" / "source.up" / "1", "full.json", "full.headers.json")
    left = recorder.missing(tmp_path)
    assert recorder.recorded().keys() - left.keys() == {
        path for path in recorder.recorded() if path.startswith("fixtures/source.up/1/")
    }


def test_the_recorder_adds_a_message_for_a_field_that_none_has_yet(tmp_path: Path) -> None:
    kept(tmp_path / "fixtures" / "source.up" / "1", "least.json", "least.headers.json")
    added = [path for path in recorder.missing(tmp_path) if path.startswith("fixtures/source.up/")]
    assert added == ["fixtures/source.up/1/full-2.json", "fixtures/source.up/1/full-2.headers.json"]


def validator(schema: dict[str, Any]) -> jsonschema.Draft202012Validator:
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(
        schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )


def comparable(event: Event) -> Event | bytes:
    """Packed values hold NaN, which equals nothing: their bytes are compared."""
    return encode_frame(event) if isinstance(event, TagFrame) else event


def contains(whole: Any, part: Any) -> bool:
    """Whether `whole` says everything that `part` says."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(
            name in whole and contains(whole[name], value) for name, value in part.items()
        )
    if isinstance(part, list):
        return (
            isinstance(whole, list)
            and len(whole) == len(part)
            and all(contains(one, other) for one, other in zip(whole, part, strict=True))
        )
    return isinstance(whole, bool) == isinstance(part, bool) and bool(whole == part)
