"""The catalogue of a large plant: in pages that a message holds, all of it, and each tool once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from plantops.events.base import AssetName, OperationName, encode_json
from plantops.events.queries import ProblemDetail
from plantops.events.tooling import CatalogueAsked, CatalogueTold, ToolListed
from plantops.flow.tool_pages import MOST_PAGES, whole_catalogue
from plantops.model.assets import Model
from plantops.model.load import Plant
from plantops.runtime.errors import Refused
from plantops.tools.contract import ToolError
from plantops.tools.door import Door
from plantops.tools.paging import MAX_TOOL_BYTES, PAGE_BYTES, page_of
from support.gate_samples import OPC1, PLANT, PLC1, POLICY, after, envelope
from support.plant_samples import NOW
from support.tool_rig import Rig, ask, names

MANY = 4000
REVISION = "0123456789abcdef" * 4


def large() -> Plant:
    """A plant with thousands of operations, each described at length."""
    valve = PLANT.model.assets[AssetName("valve-001")]
    move = msgspec.structs.replace(valve.operations[OperationName("SetPosition")], description="x" * 900)
    operations = {OperationName(f"Move{number:05}"): move for number in range(MANY)}
    moved = msgspec.structs.replace(valve, operations=operations)
    return Plant.of(Model(assets={"valve-001": moved}), (PLC1, OPC1))


LARGE = large()


@pytest.fixture
async def door(rig: Rig) -> Door:
    made = rig.door()
    made.desk = replace(made.desk, plant=LARGE)
    return made


def asking(door: Door, login: str = "alice") -> Callable[[CatalogueAsked], Awaitable[CatalogueTold]]:
    """One page, as a client asks for it."""

    async def page(asked: CatalogueAsked) -> CatalogueTold:
        told = await ask(door, "list", encode_json(asked), login=login)
        if isinstance(told, ProblemDetail):
            raise Refused(told.message, reason=told.code)
        assert isinstance(told, CatalogueTold)
        return told

    return page


async def test_thousands_of_operations_come_in_pages_that_a_message_holds(door: Door) -> None:
    pages, cursor = list[CatalogueTold](), ""
    while not pages or cursor:
        told = await ask(door, "list", {"all": True, "cursor": cursor})
        pages.append(told)
        cursor = told.next
    assert len(pages) > 3
    assert all(len(encode_json(page)) < PAGE_BYTES + 100_000 for page in pages)
    found = [name for page in pages for name in names(page)]
    assert found == list(dict.fromkeys(found))
    assert [name for name in found if "__" in name] == [f"valve-001__Move{n:05}" for n in range(MANY)]


async def test_whoever_reads_all_pages_has_everything_that_he_may_use(door: Door) -> None:
    every = await whole_catalogue(asking(door), CatalogueAsked(all=True))
    own = await whole_catalogue(asking(door), CatalogueAsked())
    carol = await whole_catalogue(asking(door, "carol"), CatalogueAsked())
    assert len(names(every)) == len(set(names(every))) > MANY
    assert names(own) == names(every)
    assert [tool.kind for tool in carol.tools if tool.kind != "read"] == []


async def test_a_page_has_no_more_rows_than_are_wanted(door: Door) -> None:
    told = await ask(door, "list", {"all": True, "rows": 7})
    again = await ask(door, "list", {"all": True, "rows": 7, "cursor": told.next})
    assert (len(told.tools), len(again.tools)) == (7, 7)
    assert not set(names(told)) & set(names(again))
    assert (await ask(door, "list", {"rows": 1001})).code == "bad_arguments"
    assert (await ask(door, "list", {"rows": -1})).code == "bad_arguments"


async def test_what_fits_into_one_page_is_told_at_once(rig: Rig) -> None:
    told = await ask(rig.door(), "list", {"all": True})
    assert told.next == ""


def change(door: Door) -> None:
    base = door.in_force.verified
    assert base is not None
    rules = {**POLICY.operations, "valve-001.Move00003": {"risk": "critical"}}
    door.in_force.offer(envelope(after(base.policy, operations=rules)).encode(), NOW)


async def test_a_cursor_of_another_catalogue_is_refused(door: Door) -> None:
    told = await ask(door, "list", {"all": True})
    change(door)
    refused = await ask(door, "list", {"all": True, "cursor": told.next})
    assert refused.code == "catalogue_changed"
    assert "has changed" in refused.message


@pytest.mark.parametrize("cursor", ["x", "1", f"1-{'0' * 15}", f"-1-{'0' * 16}", f"1-{'0' * 16}\n"])
async def test_what_is_no_cursor_is_refused(rig: Rig, cursor: str) -> None:
    assert (await ask(rig.door(), "list", {"cursor": cursor})).code == "bad_cursor"


async def test_a_search_has_no_pages(rig: Rig) -> None:
    told = await ask(rig.door(), "search", {"query": "pump", "rows": 5})
    assert told.code == "bad_arguments"


async def test_who_reads_while_the_catalogue_changes_begins_anew(door: Door) -> None:
    page, asked = asking(door), list[str]()

    async def disturbed(of: CatalogueAsked) -> CatalogueTold:
        asked.append(of.cursor)
        told = await page(of)
        if len(asked) == 2:
            change(door)
        return told

    told = await whole_catalogue(disturbed, CatalogueAsked(all=True))
    assert len(names(told)) == len(set(names(told))) > MANY
    assert asked.count("") == 2
    assert told.revision == (await page(CatalogueAsked(all=True, rows=1))).revision


async def test_a_catalogue_that_never_rests_or_never_ends_is_given_up() -> None:
    asked = 0

    async def restless(of: CatalogueAsked) -> CatalogueTold:
        nonlocal asked
        asked += 1
        return CatalogueTold(tools=(), revision=str(asked), next="1")

    async def endless(of: CatalogueAsked) -> CatalogueTold:
        nonlocal asked
        asked += 1
        return CatalogueTold(tools=(), revision="r", next="1")

    with pytest.raises(Refused) as refused:
        await whole_catalogue(restless, CatalogueAsked())
    assert (refused.value.reason, asked) == ("conflict", 6)
    asked = 0
    with pytest.raises(Refused) as refused:
        await whole_catalogue(endless, CatalogueAsked())
    assert (refused.value.reason, asked) == ("too_large", MOST_PAGES)


async def test_who_looks_for_one_tool_reads_up_to_it(door: Door) -> None:
    told = await whole_catalogue(asking(door), CatalogueAsked(all=True), until="valve-001__Move00001")
    assert "valve-001__Move00001" in names(told)
    assert f"valve-001__Move{MANY - 1:05}" not in names(told)


def tool(name: str, size: int) -> ToolListed:
    argument: dict[str, Any] = {"description": "x" * size}
    return ToolListed(name=name, kind="read", description="", risk="low", arguments=argument)


def test_a_tool_that_is_larger_than_a_page_is_one_by_itself() -> None:
    tools = [tool("a", 10), tool("b", PAGE_BYTES), tool("c", 10)]
    first = page_of(tools, REVISION, None)
    second = page_of(tools, REVISION, None, cursor=first.next)
    third = page_of(tools, REVISION, None, cursor=second.next)
    assert [names(page) for page in (first, second, third)] == [["a"], ["b"], ["c"]]
    assert third.next == ""


def test_a_tool_that_no_message_holds_is_named() -> None:
    with pytest.raises(ToolError) as refused:
        page_of([tool("huge", MAX_TOOL_BYTES)], REVISION, None)
    assert (refused.value.code, refused.value.message.split()[0]) == ("too_large", "huge")
