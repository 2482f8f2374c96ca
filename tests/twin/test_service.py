"""What the twin tells: effective quality at the moment of the question, and every change."""

from __future__ import annotations

import asyncio
import math
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plantops.events.base import Record, Scalar, TagName, encode_json
from plantops.events.envelope import Message
from plantops.events.queries import (
    ProblemDetail,
    Sighting,
    SightingsAsked,
    SightingsTold,
    TagsAsked,
    TagState,
    TagsTold,
    TwinListed,
    read_answer,
)
from plantops.events.sources import SourceLost, SourceUp
from plantops.flow.memory import MemoryBroker
from plantops.model.assets import Model
from plantops.twin.service import TwinService
from support.twin_samples import PLC, Shadow, frame, lease, source, tag

R = TypeVar("R", bound=Record)


def service(shadow: Shadow) -> TwinService:
    return TwinService(
        site=shadow.twin.site,
        model=Model(),
        state=lambda: shadow.state,
        position=lambda: {"TAGS": shadow.state.revision},
        now_ns=lambda: shadow.now,
    )


async def get(shadow: Shadow, name: str) -> TagState:
    told = await tell(shadow, TagsAsked(tags=(TagName(name),)))
    return told.tags[0]


async def tell(shadow: Shadow, asked: TagsAsked) -> TagsTold:
    answer = await service(shadow).get(Message("twin.demo.get", encode_json(asked)))
    told = read_answer(answer, TagsTold)
    assert isinstance(told, TagsTold)
    return told


async def test_a_tag_is_good_while_its_group_is_confirmed_and_bad_after_two_periods() -> None:
    shadow = Shadow()
    shadow.see(frame(1, (0, 1.0), (6, 2.0)))
    shadow.wait(0.9)
    shadow.see(frame(2, confirms=(0,)))
    shadow.wait(1.0)
    state = await get(shadow, "a.f8")
    assert (state.value, state.quality, state.age_seconds) == (1.0, 192, 1.0)
    shadow.wait(0.001)
    state = await get(shadow, "a.f8")
    assert (state.value, state.quality_name) == (1.0, "bad_communication")
    assert (await get(shadow, "b.slow")).quality == 192
    shadow.wait(20)
    assert (await get(shadow, "b.slow")).quality == 24


async def test_source_time_has_no_say_in_freshness() -> None:
    shadow = Shadow()
    shadow.see(frame(1, (0, 1.0), observed_at=shadow.now + 10**15))
    shadow.wait(1.1)
    assert (await get(shadow, "a.f8")).quality == 24


async def test_a_source_that_is_lost_makes_its_tags_bad_at_once_and_good_when_it_is_back() -> None:
    shadow = Shadow()
    shadow.see(frame(1, (0, 1.0)))
    shadow.say(SourceLost(source=PLC, epoch=1, cause="no answer"))
    assert (await get(shadow, "a.f8")).quality == 24
    shadow.say(SourceUp(source=PLC, epoch=1))
    assert (await get(shadow, "a.f8")).quality == 192


@pytest.mark.parametrize("released", [True, False])
async def test_a_lease_that_ended_makes_its_tags_bad_however_long_their_period(released: bool) -> None:
    shadow = Shadow(ttl_seconds=5)
    shadow.see(frame(1, (6, 1.0)))
    assert (await get(shadow, "b.slow")).quality == 192
    if released:
        shadow.say(lease(1, released=True))
    else:
        shadow.wait(5.001)
    assert (await get(shadow, "b.slow")).quality == 24
    told = read_answer(await service(shadow).list(Message("twin.demo.list", b"")), TwinListed)
    assert isinstance(told, TwinListed)
    assert not told.sources[0].is_up
    assert "lease" in told.sources[0].cause


async def test_a_source_of_which_no_lease_is_known_is_bad() -> None:
    shadow = Shadow(leased=False)
    shadow.see(frame(1, (0, 1.0)))
    assert (await get(shadow, "a.f8")).quality_name == "bad_not_connected"


async def test_the_new_owner_is_not_blamed_for_what_the_former_lost() -> None:
    shadow = Shadow()
    shadow.say(SourceLost(source=PLC, epoch=1, cause="gone"))
    shadow.see(frame(1, (0, 1.0), epoch=2))
    assert (await get(shadow, "a.f8")).quality == 192


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
async def test_what_is_not_finite_is_null_and_bad(value: float) -> None:
    shadow = Shadow()
    shadow.see(frame(1, (0, value)))
    state = await get(shadow, "a.f8")
    assert (state.value, state.quality_name) == (None, "bad_sensor_failure")


async def test_a_tag_never_seen_has_no_value_and_no_age() -> None:
    shadow = Shadow()
    shadow.see(frame(1, (0, 1.0), confirms=()))
    state = await get(shadow, "b.f8")
    assert (state.value, state.quality_name, state.age_seconds) == (None, "bad_waiting", None)
    assert (await tell(shadow, TagsAsked(tags=(TagName("nobody"),)))).unknown == ("nobody",)


async def test_pages_by_name() -> None:
    shadow = Shadow()
    shadow.see(frame(1, (0, 1.0)))
    names = []
    for offset in range(0, 10, 2):
        told = await tell(shadow, TagsAsked(prefix="a.", limit=2, offset=offset))
        assert told.total == 5
        names += [state.tag for state in told.tags]
    assert names == sorted(names) == ["a.b1", "a.f8", "a.i8", "a.s", "a.u8"]
    assert len((await tell(shadow, TagsAsked(offset=-3, limit=-1))).tags) == 1


@given(st.lists(st.lists(st.integers(0, 6), max_size=6), max_size=15), st.integers(1, 4), st.data())
@settings(max_examples=60, deadline=None)
def test_a_watch_loses_nothing_between_its_pages(
    told: list[list[int]], limit: int, data: st.DataObject
) -> None:
    """Whatever the page size and whenever it asks, at the end it knows the last revision of every tag."""
    shadow = Shadow()
    known: dict[str, int] = {}
    revision = 0

    def page() -> bool:
        nonlocal revision
        asked = TagsAsked(after=revision, limit=limit)
        answering = service(shadow)
        answer = asyncio.run(answering.watch(Message("twin.demo.watch", encode_json(asked))))
        got = read_answer(answer, TagsTold)
        assert isinstance(got, TagsTold)
        assert got.revision >= revision
        known.update({state.tag: state.revision for state in got.tags})
        revision = got.revision
        return bool(got.tags)

    texts: dict[int, Scalar] = {4: "x", 3: True, 1: 1, 2: 1}
    for number, positions in enumerate(told, 1):
        shadow.see(frame(number, *((p, texts.get(p, 1.0)) for p in positions)))
        for _time in range(data.draw(st.integers(0, 2))):
            page()
    while page():
        pass
    if told:
        columns = shadow.state.feeds[PLC].columns
        tags = columns.definition.tags
        wanted = {each.name: int(s) for each, s in zip(tags, columns.sequence, strict=True) if s}
        assert known == wanted


async def test_a_watch_answers_as_soon_as_something_changes() -> None:
    shadow = Shadow()
    shadow.see(frame(1, (0, 1.0)))
    answering = service(shadow)
    asked = TagsAsked(prefix="a.", after=1, wait_seconds=30)
    watching = asyncio.create_task(answering.watch(Message("w", encode_json(asked))))
    await asyncio.sleep(0)
    shadow.see(frame(2, (5, 1.0)))
    answering.changed()
    await asyncio.sleep(0)
    assert not watching.done()
    shadow.see(frame(3, (0, 2.0)))
    answering.changed()
    told = read_answer(await watching, TagsTold)
    assert isinstance(told, TagsTold)
    assert [(state.tag, state.value) for state in told.tags] == [("a.f8", 2.0)]
    assert told.revision == 3


async def test_sightings_point_at_the_value_and_at_its_confirmation() -> None:
    shadow = Shadow()
    shadow.see(frame(1, (0, 1.0), confirms=()), frame(2, (5, 1.0), confirms=(0,)), frame(3, confirms=(1,)))
    asked = SightingsAsked(tags=(TagName("a.f8"), TagName("b.f8"), TagName("b.slow"), TagName("nobody")))
    answer = await service(shadow).sightings(Message("s", encode_json(asked)))
    told = read_answer(answer, SightingsTold)
    assert isinstance(told, SightingsTold)
    assert told.sightings == (
        Sighting(tag=TagName("a.f8"), value_sequence=1, confirmed_sequence=2),
        Sighting(tag=TagName("b.f8"), value_sequence=2, confirmed_sequence=2),
        Sighting(tag=TagName("b.slow"), value_sequence=0, confirmed_sequence=3),
        Sighting(tag=TagName("nobody")),
    )


async def test_answers_over_the_bus_and_follows_a_new_layout() -> None:
    shadow = Shadow()
    broker = MemoryBroker()
    bus, client = broker.bus("twin"), broker.bus("alice")
    await service(shadow).serve(bus)
    shadow.see(frame(1, (0, 1.0)))
    shadow.see(frame(2, (0, 3.0), definition=source(tag("fresh", "f8"))))
    reply = await client.request("twin.demo.get", b"", timeout=5)
    told = read_answer(reply.data, TagsTold)
    assert isinstance(told, TagsTold)
    assert [state.tag for state in told.tags] == ["fresh"]
    await bus.close()
    await client.close()


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'{"tags":1}', b"\xff", b'{"x":' + b"[" * 30_000, b'{"tags":["\xff"]}']
)
async def test_a_question_that_cannot_be_read_gets_a_clear_answer(body: bytes) -> None:
    shadow = Shadow()
    for verb in ("get", "watch", "sightings"):
        answer = read_answer(await getattr(service(shadow), verb)(Message("q", body)), TagsTold)
        assert isinstance(answer, ProblemDetail)
        assert answer.code == "malformed"
