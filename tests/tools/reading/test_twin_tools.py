"""Values, assets and sources as the twin tells them, in pages, with the frames that they stand in."""

from __future__ import annotations

import msgspec
import pytest

from plantops.events.base import SourceName, TagName, encode_json
from plantops.events.queries import SightingsAsked, SightingsTold, read_answer
from plantops.events.sources import GapRecorded, SourceLost, SourceUp
from plantops.flow.memory import MemoryBroker
from plantops.flow.signing import Signer
from plantops.model.assets import Asset, Model, Operation, Property, Step
from plantops.model.load import Plant
from plantops.tools.contract import Call, ToolError
from plantops.tools.reading.finding import TWIN_FIND, Finder
from plantops.tools.reading.sources import SOURCE_HEALTH
from plantops.tools.reading.tags import TWIN_GET, TWIN_LIST
from plantops.twin.service import TwinService
from support.plant_samples import PLANT, key
from support.tool_calls import all_pages, memory_call, places, told, with_cursor, with_rows
from support.twin_samples import DEFINITION, PLC, Shadow, frame, tag

TEXTS = {"0": "shut", "1": "open"}
DEFINED = msgspec.structs.replace(
    DEFINITION,
    tags=(
        *DEFINITION.tags,
        msgspec.structs.replace(
            tag("valve.state", "u8"), texts=TEXTS, description="inlet valve", writable=True
        ),
    ),
)
VALVE = Asset(
    description="Inlet",
    properties={"state": Property(tag=TagName("valve.state"))},
    operations={
        "Open": Operation(description="let it in", risk="low", steps=(Step(property="state", value=1),))
    },
)
TWIN_PLANT = Plant.of(Model(assets={"valve-001": VALVE, "other": Asset()}), (DEFINED,))


class Ground:
    """A twin that answers on a broker in memory."""

    def __init__(self, shadow: Shadow) -> None:
        self.shadow, self.broker = shadow, MemoryBroker()
        self.broker.add_stream("SOURCES", ["source.>"])
        self.call: Call = memory_call(self.broker, plant=TWIN_PLANT)
        self.twin = TwinService(
            site=shadow.twin.site,
            model=TWIN_PLANT.model,
            state=lambda: shadow.state,
            position=dict,
            now_ns=lambda: shadow.now,
        )

    async def open(self) -> Ground:
        await self.twin.serve(self.broker.bus("twin"))
        return self


@pytest.fixture
async def ground() -> Ground:
    shadow = Shadow()
    shadow.see(frame(1, (0, 1.5), (7, 1), definition=DEFINED))
    shadow.see(frame(2, (0, 2.5), definition=DEFINED))
    return await Ground(shadow).open()


async def test_a_value_comes_with_what_it_means_and_with_the_frame_that_carried_it(ground: Ground) -> None:
    page = await told(TWIN_GET, ground.call, tags=["valve.state", "a.f8", "nobody"])
    valve, level = page.result.tags
    assert (valve.value, valve.meaning, valve.description) == (1, "open", "inlet valve")
    assert (level.value, level.unit, level.quality_name) == (2.5, "u", "good")
    assert page.result.unknown == ("nobody",)
    assert places(page) == [("tag", "valve.state", "TAGS", 1), ("tag", "a.f8", "TAGS", 2)]
    assert [one.quality for one in page.provenance] == [192, 192]


async def test_where_a_value_stands_is_what_the_twin_says_of_its_sightings(ground: Ground) -> None:
    page = await told(TWIN_GET, ground.call, prefix="a.")
    question = encode_json(SightingsAsked(tags=tuple(TagName(one.name) for one in page.provenance)))
    answer = await ground.call.bus.request("twin.demo.sightings", question, timeout=1.0)
    seen = read_answer(answer.data, SightingsTold)
    assert isinstance(seen, SightingsTold)
    assert [one.value_sequence for one in seen.sightings] == [one.sequence for one in page.provenance]
    assert ("tag", "a.i8", "", 0) in places(page), "what never came stands nowhere"


async def test_pages_hold_every_tag_once(ground: Ground) -> None:
    pages = await all_pages(TWIN_GET, with_rows(ground.call, 3))
    assert [len(page.result.tags) for page in pages] == [3, 3, 2]
    assert [one.tag for page in pages for one in page.result.tags] == sorted(one.name for one in DEFINED.tags)


@pytest.mark.parametrize("cursor", ["-1", "+1", "1.0", "0x1", " 1", "01", "9" * 17, "٣"])
async def test_a_cursor_of_somebody_else_is_refused(ground: Ground, cursor: str) -> None:
    with pytest.raises(ToolError, match="no cursor") as refused:
        await told(TWIN_GET, with_cursor(ground.call, cursor))
    assert refused.value.code == "bad_cursor"


async def test_names_and_a_prefix_at_once_are_refused(ground: Ground) -> None:
    with pytest.raises(ToolError) as refused:
        await told(TWIN_GET, ground.call, tags=["a.f8"], prefix="a.")
    assert refused.value.code == "bad_arguments"


async def test_what_there_is_comes_in_pages_with_the_sources_on_the_first(ground: Ground) -> None:
    first, second = await all_pages(TWIN_LIST, with_rows(ground.call, 1))
    assert [one.asset for one in first.result.assets] == ["other"]
    assert [one.source for one in first.result.sources] == [PLC]
    assert (first.result.asset_count, first.result.source_count) == (2, 1)
    (valve,) = second.result.assets
    assert (valve.properties, valve.operations) == ({"state": "valve.state"}, ("Open",))
    assert second.result.sources == ()
    with pytest.raises(ToolError, match="no asset 'pump'"):
        await told(TWIN_LIST, ground.call, asset="pump")


async def test_without_a_twin_the_answer_is_to_come_back_later() -> None:
    with pytest.raises(ToolError) as refused:
        await told(TWIN_GET, memory_call(MemoryBroker()))
    assert refused.value.code == "unavailable"


async def test_a_source_tells_since_when_it_is_down_and_what_it_lost() -> None:
    ground = await Ground(Shadow()).open()
    bus, signer = ground.broker.bus("adapter-plc"), Signer("adapter-plc", key("plc"))
    plc = SourceName("plc")
    gap = GapRecorded(source=plc, epoch=1, first=3, last=4, frames=2, samples=7, cause="outbox_full")
    for kind, event in (
        ("up", SourceUp(source=plc, epoch=1, detail="firmware 2")),
        ("gap", gap),
        ("lost", SourceLost(source=plc, epoch=1, cause="no answer")),
    ):
        ground.shadow.say(event)
        ground.broker.advance(60)
        subject = f"source.demo.plc.{kind}"
        at = ground.call.now()
        await bus.publish(signer.message(subject, event, id=f"{kind}", time=at), stream="SOURCES")
    page = await told(SOURCE_HEALTH, ground.call, source="plc")
    (health,) = page.result.sources
    assert (health.is_up, health.cause, health.gaps, health.lost_samples) == (False, "no answer", 1, 7)
    assert (health.last_gap_cause, health.last_gap_samples) == ("outbox_full", 7)
    assert health.since is not None
    assert health.last_gap_at is not None
    assert (health.since - health.last_gap_at).total_seconds() == 60
    assert places(page) == [("source", "plc", "SOURCES", 3)]
    assert (page.result.total, page.result.down) == (1, 1)


async def test_an_event_of_a_stranger_says_nothing_of_a_source() -> None:
    ground = await Ground(Shadow()).open()
    event = SourceLost(source=SourceName("plc"), epoch=1, cause="made up")
    ground.shadow.say(event)
    forged = Signer("adapter-plc", key("stranger")).message(
        "source.demo.plc.lost", event, id="x", time=ground.call.now()
    )
    await ground.broker.bus("adapter-plc").publish(forged, stream="SOURCES")
    (health,) = (await told(SOURCE_HEALTH, ground.call, source="plc")).result.sources
    assert health.since is None


@pytest.mark.parametrize(
    ("words", "kind", "expected"),
    [
        ("inlet valve", "tag", "valve.state"),
        ("let it in", "operation", "valve-001.Open"),
        ("VALVE-001", "asset", "valve-001"),
        ("b.slow", "", "b.slow"),
        ("f8", "tag", "a.f8"),
    ],
)
async def test_finds_by_words_and_by_parts_of_names(words: str, kind: str, expected: str) -> None:
    page = await told(TWIN_FIND, memory_call(MemoryBroker(), plant=TWIN_PLANT), words=words, kind=kind)
    assert page.result.found[0].name == expected
    assert all(one.kind == (kind or one.kind) for one in page.result.found)
    assert len(page.provenance) == len(page.result.found)


async def test_finds_nothing_where_no_word_fits() -> None:
    page = await told(TWIN_FIND, memory_call(MemoryBroker(), plant=TWIN_PLANT), words="unicorn")
    assert (page.result.found, page.result.total, page.next) == ((), 0, "")


async def test_finds_in_the_plant_of_the_call_not_in_one_asked_about_before() -> None:
    finder = Finder()
    first = memory_call(MemoryBroker(), plant=TWIN_PLANT)
    second = memory_call(MemoryBroker(), plant=PLANT)
    asked = TWIN_FIND.arguments(words="valve")
    assert (await finder.find(first, asked)).result.found[0].name == "valve.state"
    assert [one.name for one in (await finder.find(second, asked)).result.found] == ["valve"]
