"""What goes wrong between a server and us: told once, and whole again after the host connects anew."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from asyncua import ua
from asyncua.server.internal_subscription import InternalSubscription

from plantops.adapters.contract import TagSettings
from plantops.events.quality import Quality
from plantops.runtime.errors import DeviceUnavailable
from plantops.simulation.simulated_plant import SimulatedPlant, SimulationSettings
from support.opcua_device import Heard, OpcUaDevice, connection_to, tag

SPEED = TagSettings(name="speed", address="nsu=urn:plantops:simulation;s=Pump001.Speed")


@pytest.fixture
async def plant(tmp_path: Path) -> AsyncIterator[SimulatedPlant]:
    settings = SimulationSettings(certificates=tmp_path, opcua_password="secret", opcua_anonymous=True)
    async with SimulatedPlant(settings) as running:
        yield running


async def test_a_restarted_server_delivers_again_in_spite_of_a_bad_node() -> None:
    tags = [tag("int32"), *(tag(f"missing{number}", "double") for number in range(5)), tag("bool")]
    async with OpcUaDevice() as device:
        port = device.port
        connection = connection_to(device.url, tags, timeout=1.0)
        before = Heard()
        await connection.connect()
        await connection.subscribe(before)
        await before.until(lambda: before.of(0) and before.of(6))
    await before.until(lambda: before.causes)
    with pytest.raises(DeviceUnavailable):
        await connection.read([0])
    async with OpcUaDevice(port=port) as device:
        after = Heard()
        await connection.connect()
        await connection.subscribe(after)
        await after.until(lambda: after.of(0) and after.of(6))
        await device.put("int32", 77, ua.VariantType.Int32)
        await after.until(lambda: 77 in after.values(0))
        await connection.close()
    assert len(before.causes) == 1
    assert after.causes == []
    assert {sample.quality for sample in after.heard if 1 <= sample.index <= 5} == {Quality.BAD_CONFIGURATION}


async def test_a_half_open_connection_is_noticed(plant: SimulatedPlant) -> None:
    heard = Heard()
    connection = connection_to(plant.opcua_url, [SPEED], timeout=0.5)
    await connection.connect()
    await connection.subscribe(heard)
    await heard.until(lambda: heard.of(0))
    await plant.hang("opcua")
    await heard.until(lambda: heard.causes)
    await connection.close()
    with pytest.raises(DeviceUnavailable, match="in time"):
        await connection.connect()
    await plant.resume("opcua")
    again = Heard()
    await connection.connect()
    await connection.subscribe(again)
    await again.until(lambda: again.of(0))
    await connection.close()
    assert len(heard.causes) == 1


async def test_a_cut_connection_is_told_once(plant: SimulatedPlant) -> None:
    heard = Heard()
    connection = connection_to(plant.opcua_url, [SPEED], timeout=0.5)
    await connection.connect()
    await connection.subscribe(heard)
    await heard.until(lambda: heard.of(0))
    await plant.silence("opcua")
    await heard.until(lambda: heard.causes)
    with pytest.raises(DeviceUnavailable):
        await connection.read([0])
    await connection.close()
    assert len(heard.causes) == 1


async def test_a_server_that_answers_but_no_longer_publishes_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    async with OpcUaDevice() as device:
        heard = Heard()
        connection = connection_to(device.url, [tag("double")], timeout=0.5)
        await connection.connect()
        await connection.subscribe(heard)
        await heard.until(lambda: heard.of(0))

        async def nothing(_self: InternalSubscription, _request: Any = None) -> bool:
            return False

        monkeypatch.setattr(InternalSubscription, "publish_results", nothing)
        await heard.until(lambda: heard.causes)
        await connection.close()
    assert "has not published" in heard.causes[0]


async def test_a_request_without_an_answer_ends_the_connection(plant: SimulatedPlant) -> None:
    heard = Heard()
    connection = connection_to(plant.opcua_url, [SPEED], timeout=0.5)
    await connection.connect()
    await connection.subscribe(heard)
    await plant.hang("opcua")
    with pytest.raises(DeviceUnavailable):
        await connection.read([0])
    assert len(heard.causes) == 1
    await plant.resume("opcua")
    with pytest.raises(DeviceUnavailable):
        await connection.read([0])
    await connection.close()


async def test_meaningless_bytes_are_a_lost_connection(plant: SimulatedPlant) -> None:
    heard = Heard()
    connection = connection_to(plant.opcua_url, [SPEED], timeout=0.5)
    await connection.connect()
    await connection.subscribe(heard)
    await heard.until(lambda: heard.of(0))
    await plant.garbage("opcua")
    await heard.until(lambda: heard.causes)
    await connection.close()
    assert len(heard.causes) == 1


async def test_closing_leaves_no_task_behind_and_the_server_without_our_subscription() -> None:
    async with OpcUaDevice() as device:
        before = asyncio.all_tasks()
        connection = connection_to(device.url, [tag("double")])
        await connection.connect()
        await connection.subscribe(Heard())
        subscriptions = device.server.iserver.subscription_service.subscriptions
        assert len(subscriptions) == 1
        await connection.close()
        assert len(subscriptions) == 0
        ours = {
            task.get_name() for task in asyncio.all_tasks() - before if task.get_name().startswith("opcua")
        }
    assert ours == set()
