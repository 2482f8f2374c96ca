"""Devices are read and browsed through their hosts; one that does not answer spoils its own tags only."""

from __future__ import annotations

from pathlib import Path

import pytest

from plantops.events.base import SourceName, TagName
from plantops.events.tags import ScanGroup, SourceDefined, TagDefinition
from plantops.flow.memory import MemoryBroker
from plantops.model.assets import Model
from plantops.model.load import Plant
from plantops.tools.contract import Call, ToolError
from plantops.tools.reading.devices import DEVICE_BROWSE, DEVICE_READ
from plantops.tools.reading.operations import ASSET_OPERATIONS
from support.host_ground import DEFINITION, NAMES, SETPOINT, TEMPERATURE
from support.host_rig import Rig
from support.tool_calls import all_pages, asked_by, memory_call, places, told, with_rows

AWAY = SourceDefined(
    site=DEFINITION.site,
    source=SourceName("away"),
    groups=(ScanGroup(name="all", period_ms=500),),
    tags=(TagDefinition(name=TagName("away.level"), kind="f8", unit="%"),),
)
TWO = Plant.of(Model(), (DEFINITION, AWAY))
SET, HEAT = NAMES[SETPOINT], NAMES[TEMPERATURE]


def call_of(rig: Rig) -> Call:
    return memory_call(rig.ground.broker, plant=TWO)


async def test_reads_what_stands_in_the_device_in_the_order_asked(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).up()
    page = await told(DEVICE_READ, call_of(rig), tags=[HEAT, SET, HEAT])
    assert [(one.tag, one.value, one.quality_name) for one in page.result.readings] == [
        (HEAT, 40.0, "good"),
        (SET, 100.0, "good"),
    ]
    assert places(page) == [("device", HEAT, "", 0), ("device", SET, "", 0)]
    await rig.stop()


async def test_a_source_that_does_not_answer_spoils_its_own_tags_only(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).up()
    page = await told(DEVICE_READ, call_of(rig), tags=["away.level", SET])
    away, near = page.result.readings
    assert (away.value, away.quality_name, away.source) == (None, "bad_communication", "away")
    assert "read.demo.away" in away.problem
    assert (near.value, near.problem) == (100.0, "")
    with pytest.raises(ToolError) as refused:
        await told(DEVICE_READ, call_of(rig), tags=["away.level"])
    assert refused.value.code == "unavailable"
    await rig.stop()


async def test_a_tag_of_no_source_is_asked_of_no_device(tmp_path: Path) -> None:
    with pytest.raises(ToolError) as refused:
        await told(DEVICE_READ, memory_call(MemoryBroker(), plant=TWO), tags=["nobody"])
    assert refused.value.code == "not_found"


async def test_browses_a_device_in_pages(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).up()
    whole = await told(DEVICE_BROWSE, call_of(rig), source="plc1")
    assert whole.result.is_complete
    pages = await all_pages(DEVICE_BROWSE, with_rows(call_of(rig), 3), source="plc1")
    assert tuple(one for page in pages for one in page.result.found) == whole.result.found
    assert [page.result.is_complete for page in pages] == [False] * (len(pages) - 1) + [True]
    assert len(pages) > 1
    with pytest.raises(ToolError) as refused:
        await told(DEVICE_BROWSE, call_of(rig), source="plc1.>")
    assert refused.value.code == "not_found"
    await rig.stop()


async def test_operations_are_told_with_what_must_hold_and_who_may_ask() -> None:
    call = memory_call(MemoryBroker())
    page = await told(ASSET_OPERATIONS, call, asset="pump", operation="SetSpeed")
    (speed,) = page.result.operations
    assert (speed.risk, speed.safe_direction, speed.may_ask) == ("medium", False, True)
    assert speed.arguments["properties"]["RPM"]["maximum"] == 3000
    assert speed.requires == ("local/remote switch: pump.remote == true",)
    assert speed.permissives == ("cool: pump.temperature <= 95 Cel (motor must be cool)",)
    stop = (await told(ASSET_OPERATIONS, asked_by(call, "bob"), operation="Stop")).result.operations[0]
    assert (stop.safe_direction, stop.requires, stop.permissives, stop.may_ask) == (True, (), (), True)
    (other,) = (
        await told(ASSET_OPERATIONS, asked_by(call, "robot", "bob"), operation="SetSpeed")
    ).result.operations
    assert not other.may_ask, "each one in the chain needs the role"
    pages = await all_pages(ASSET_OPERATIONS, with_rows(call, 3))
    assert [one.operation for each in pages for one in each.result.operations] == [
        "Brew",
        "SetSpeed",
        "Start",
        "Stop",
    ]
    with pytest.raises(ToolError) as refused:
        await told(ASSET_OPERATIONS, call, asset="pump", operation="Fly")
    assert refused.value.code == "not_found"
