"""What goes out signed comes in believed; what cannot be used is refused with its reason."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from plantops.events import EventUnreadable, TypeUnknown, VersionUnknown, encode, event_type
from plantops.events.base import Event, SiteName, SourceName, TagName
from plantops.events.envelope import (
    CONTENT_TYPE,
    DATA_SCHEMA,
    EVENT_ID,
    EVENT_TIME,
    EVENT_TYPE,
    JSON,
    MSGPACK,
    SIGNATURE,
    Message,
    payload_type,
)
from plantops.events.frames import Frame, Sample, pack
from plantops.events.sources import SourceUp
from plantops.events.tags import (
    NamedFrame,
    NamedSample,
    ScanGroup,
    SourceDefined,
    TagDefinition,
    TagFrame,
    layout_of,
)
from plantops.flow.bus import Stored
from plantops.flow.memory import MemoryBroker
from plantops.flow.reading import UNUSABLE, EventReader, read_event
from plantops.flow.signing import Signer, rfc3339
from plantops.flow.trust import TrustAll
from plantops.flow.wire import nanoseconds
from plantops.ledger.dsse import verify_detached
from plantops.ledger.keys import SigningKey
from plantops.runtime.errors import BrokerUnavailable, TrustError, UntrustedKey
from support.counter import came_up

SIGNER = Signer("press", SigningKey.from_seed(bytes(32)))
DEFINED = SourceDefined(
    site=SiteName("demo"),
    source=SourceName("press"),
    groups=(ScanGroup(name="fast", period_ms=100),),
    tags=(
        TagDefinition(name=TagName("speed"), kind="f8"),
        TagDefinition(name=TagName("count"), kind="u8"),
        TagDefinition(name=TagName("on"), kind="b1"),
        TagDefinition(name=TagName("text"), kind="s"),
    ),
)
LAYOUT = layout_of(DEFINED)
NOW = 1_767_225_600_123_456_789


class Verified:
    """Believes what the test's own key signed."""

    def believe(self, event_type: str, version: int, message: Message) -> str:
        content = message.header(CONTENT_TYPE) or JSON
        trusted = {SIGNER.key.keyid: SIGNER.key.public}
        kind = payload_type(event_type, version, content)
        verify_detached(message.header(SIGNATURE), kind, message.data, trusted)
        return SIGNER.name

    def at(self, time_ns: int) -> Verified:
        return self

    @property
    def ever(self) -> Verified:
        return self


def stored(message: Message) -> Stored:
    return Stored("TAGS", 1, message.subject, message.data, NOW, message.headers)


def frame() -> TagFrame:
    samples = [Sample(0, 1.5, 192), Sample(1, 7, 192), Sample(2, True, 192), Sample(3, "x", 192)]
    return pack(DEFINED, LAYOUT, samples, epoch=2, sequence=3, observed_at=NOW)


async def defined() -> MemoryBroker:
    broker = MemoryBroker()
    broker.add_stream("DEFINITIONS", ["definition.>"])
    subject = f"definition.demo.press.{LAYOUT}"
    await broker.bus("press").publish(Message(subject, encode(DEFINED)), stream="DEFINITIONS")
    return broker


async def resolved(message: Message) -> Frame:
    reader = EventReader((await defined()).bus("twin"), TrustAll(), site="demo")
    fact, _signer = await reader.read(stored(message))
    assert isinstance(fact, Frame)
    return fact


def named(*samples: NamedSample) -> Message:
    event = NamedFrame(
        source=SourceName("press"),
        epoch=1,
        sequence=1,
        observed_at=str(NOW),
        layout=LAYOUT,
        samples=list(samples),
    )
    return SIGNER.message("tag.demo.press", event, id="n", time=NOW)


def test_a_signed_event_comes_back_with_its_signer() -> None:
    message = SIGNER.message("source.demo.press.up", came_up("press", 1), id="e1", time=NOW)
    event, signer = read_event(stored(message), Verified())
    assert (event, signer) == (came_up("press", 1), "press")
    assert (message.headers[EVENT_ID], nanoseconds(message.headers[EVENT_TIME])) == ("e1", NOW)


def test_changed_bytes_are_not_believed() -> None:
    message = SIGNER.message("source.demo.press.up", came_up("press", 1), id="e1", time=NOW)
    forged = replace(message, data=message.data.replace(b'"epoch":1', b'"epoch":2'))
    with pytest.raises(TrustError):
        read_event(stored(forged), Verified())


def test_a_signature_is_bound_to_the_event_type() -> None:
    class Other(Event, frozen=True, tag="source.other"):
        source: str

    message = SIGNER.message("source.demo.press.up", Other(source="press"), id="e1", time=NOW)
    up = encode(SourceUp(source=SourceName("press"), epoch=1))
    with pytest.raises(TrustError):
        read_event(
            stored(replace(message, data=up, headers={SIGNATURE: message.headers[SIGNATURE]})), Verified()
        )
    assert event_type(SourceUp) == "source.up"


@pytest.mark.parametrize("schema", ["urn:plantops:event:source.lost:1", ""])
def test_a_header_that_contradicts_the_payload_is_refused(schema: str) -> None:
    with pytest.raises(ValueError, match="header says"):
        read_event(came(**{EVENT_TYPE: "source.lost", DATA_SCHEMA: schema}), TrustAll())


class Disbelief(TrustAll):
    """Nobody's word counts."""

    def believe(self, event_type: str, version: int, message: Message) -> str:
        raise UntrustedKey("nobody is believed here")

    def at(self, time_ns: int) -> Disbelief:
        return self


def came(**headers: str) -> Stored:
    message = SIGNER.message("source.demo.press.up", came_up("press", 1), id="e1", time=NOW)
    return stored(replace(message, headers={**message.headers, **headers}))


def test_every_event_tells_the_version_of_its_type() -> None:
    packed = SIGNER.frame_message("tag.demo.press", frame())
    assert packed.headers[DATA_SCHEMA] == "urn:plantops:event:tag.frame:1"
    assert came().headers[DATA_SCHEMA] == "urn:plantops:event:source.up:1"


def test_another_version_is_refused_plainly_and_before_its_signature() -> None:
    with pytest.raises(VersionUnknown) as refused:
        read_event(came(**{DATA_SCHEMA: "urn:plantops:event:source.up:3"}), Disbelief())
    assert str(refused.value) == "source.up version 3, this program knows version 1: upgrade it"
    assert (refused.value.type, refused.value.version, refused.value.known) == ("source.up", 3, 1)


def test_an_older_version_that_a_class_also_reads_is_read_and_its_signature_is_that_of_its_version(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old = came()
    monkeypatch.setattr(SourceUp, "version", 2)
    monkeypatch.setattr(SourceUp, "also_reads", (1,))
    assert read_event(old, Verified()) == (came_up("press", 1), "press")
    relabelled = {**old.headers, DATA_SCHEMA: "urn:plantops:event:source.up:2"}
    with pytest.raises(TrustError):
        read_event(replace(old, headers=relabelled), Verified())


def test_another_version_of_a_packed_frame_is_refused_before_its_bytes_are_read() -> None:
    packed = SIGNER.frame_message("tag.demo.press", frame())
    headers = {**packed.headers, DATA_SCHEMA: "urn:plantops:event:tag.frame:2"}
    with pytest.raises(VersionUnknown, match=r"tag\.frame version 2"):
        read_event(stored(replace(packed, data=b"\x00", headers=headers)), TrustAll())


@pytest.mark.parametrize("told", [{DATA_SCHEMA: "urn:plantops:event:source.moved:2"}, {DATA_SCHEMA: ""}])
def test_an_unknown_type_is_refused_with_what_is_told_of_it(told: dict[str, str]) -> None:
    with pytest.raises(TypeUnknown, match=r"'source\.moved' is no event type") as refused:
        read_event(came(**{EVENT_TYPE: "source.moved"}, **told), Disbelief())
    assert (refused.value.type, refused.value.version) == ("source.moved", 2 if told[DATA_SCHEMA] else 1)


def test_an_unknown_type_without_headers_is_known_by_its_payload() -> None:
    with pytest.raises(TypeUnknown) as refused:
        read_event(stored(Message("source.demo.press.up", b'{"type":"source.moved"}')), TrustAll())
    assert (refused.value.type, refused.value.version) == ("source.moved", None)


def of_before(*left_out: str) -> Stored:
    """A message from before there were versions."""
    now = came()
    headers = {name: value for name, value in now.headers.items() if name not in (DATA_SCHEMA, *left_out)}
    return replace(now, headers=headers)


@pytest.mark.parametrize("left_out", [(), (EVENT_TYPE,)])
def test_a_message_of_the_time_before_versions_stays_readable(
    left_out: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    old = of_before(*left_out)
    assert read_event(old, Verified()) == (came_up("press", 1), "press")
    monkeypatch.setattr(SourceUp, "version", 2)
    with pytest.raises(VersionUnknown, match=r"source\.up version 1, this program knows version 2"):
        read_event(old, Disbelief())
    monkeypatch.setattr(SourceUp, "also_reads", (1,))
    assert read_event(old, Verified()) == (came_up("press", 1), "press")


@pytest.mark.parametrize(
    "schema", ["https://example.org/up", "urn:plantops:event:source.up:0", "urn:plantops:event:source.lost:1"]
)
def test_a_schema_that_names_no_event_or_another_one_is_refused(schema: str) -> None:
    with pytest.raises(EventUnreadable, match="header"):
        read_event(came(**{DATA_SCHEMA: schema}), TrustAll())


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"nonsense", b"[" * 200_000, b'{"type":"no.such"}', b"\xff" * 9]
)
@pytest.mark.parametrize("content", [JSON, MSGPACK, ""])
def test_damaged_bytes_are_unusable_and_nothing_worse(data: bytes, content: str) -> None:
    with pytest.raises(UNUSABLE):
        read_event(stored(Message("tag.demo.press", data, {CONTENT_TYPE: content})), TrustAll())


async def test_a_packed_frame_is_resolved_with_its_definition() -> None:
    fact = await resolved(SIGNER.frame_message("tag.demo.press", frame()))
    assert {tag: value for tag, value, _quality, _time in fact.samples()} == {
        "speed": 1.5,
        "count": 7,
        "on": True,
        "text": "x",
    }
    assert (fact.epoch, fact.sequence, fact.observed_at) == (2, 3, NOW)


async def test_a_named_frame_is_the_same_frame() -> None:
    packed = await resolved(SIGNER.frame_message("tag.demo.press", frame()))
    fact = await resolved(
        named(
            NamedSample(tag=TagName("speed"), value=1.5),
            NamedSample(tag=TagName("count"), value="7"),
            NamedSample(tag=TagName("on"), value=True),
            NamedSample(tag=TagName("text"), value="x"),
        )
    )
    assert list(fact.samples()) == list(packed.samples())


async def test_named_values_that_do_not_fit_become_bad_samples() -> None:
    fact = await resolved(
        named(
            NamedSample(tag=TagName("speed"), value="NaN"),
            NamedSample(tag=TagName("speed"), value="fast"),
            NamedSample(tag=TagName("speed"), value=None),
            NamedSample(tag=TagName("count"), value=-1),
            NamedSample(tag=TagName("on"), value=1),
            NamedSample(tag=TagName("text"), value=2.0, quality=999),
        )
    )
    first, *rest = fact.samples()
    assert isinstance(first[1], float)
    assert math.isnan(first[1])
    assert [(tag, value, quality) for tag, value, quality, _time in rest] == [
        ("speed", None, 4),
        ("speed", None, 0),
        ("count", None, 4),
        ("on", None, 4),
        ("text", None, 0),
    ]


async def test_a_frame_of_an_unknown_layout_or_tag_is_unusable() -> None:
    unknown = replace_layout(frame(), "0" * 32)
    for message in (
        SIGNER.frame_message("tag.demo.press", unknown),
        named(NamedSample(tag=TagName("nowhere"), value=1.0)),
    ):
        with pytest.raises(UNUSABLE):
            await resolved(message)


async def test_a_definition_that_is_not_its_own_hash_is_unusable() -> None:
    broker = await defined()
    false = "1" * 32
    await broker.bus("x").publish(
        Message(f"definition.demo.press.{false}", encode(DEFINED)), stream="DEFINITIONS"
    )
    reader = EventReader(broker.bus("twin"), TrustAll(), site="demo")
    with pytest.raises(UNUSABLE, match="is not layout"):
        await reader.read(stored(SIGNER.frame_message("tag.demo.press", replace_layout(frame(), false))))


async def test_a_broker_that_is_away_is_no_fault_of_the_message() -> None:
    bus = (await defined()).bus("twin")
    reader = EventReader(bus, TrustAll(), site="demo")
    message = stored(SIGNER.frame_message("tag.demo.press", frame()))
    bus.disconnect()
    with pytest.raises(BrokerUnavailable):
        await reader.read(message)
    bus.reconnect()
    await reader.read(message)
    bus.disconnect()
    await reader.read(message)  # looked up once


@pytest.mark.parametrize("time", [0, NOW, 1, 999_999_999, 1_767_225_600_000_000_000])
def test_times_keep_their_nanoseconds(time: int) -> None:
    assert nanoseconds(rfc3339(time)) == time


@pytest.mark.parametrize(
    "text", ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.0Z", "2026-01-01T01:00:00+01:00"]
)
def test_reads_every_spelling_of_a_time(text: str) -> None:
    assert nanoseconds(text) == 1_767_225_600_000_000_000


def replace_layout(packed: TagFrame, layout: str) -> TagFrame:
    fields = {name: getattr(packed, name) for name in packed.__struct_fields__}
    return TagFrame(**{**fields, "layout": layout})
