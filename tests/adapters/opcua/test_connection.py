"""Reads, writes, subscriptions and browsing against a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio
from asyncua import ua

from plantops.adapters.contract import GroupSettings, TagSettings
from plantops.adapters.opcua.connection import OpcUaConnection
from plantops.events.base import Scalar
from plantops.events.frames import Sample
from plantops.events.quality import Quality
from plantops.events.tags import Range
from plantops.runtime.errors import DeviceUnavailable, SettingsError, WriteRejected
from support.opcua_device import VALUES, Heard, OpcUaDevice, connection_to, tag

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCALARS = [name for name in VALUES if name not in ("array", "moment")]
# Who looks around has no tags of interest yet; a source must have one.
NOWHERE = TagSettings(name="nowhere", address="nsu=urn:nobody;s=x")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def device() -> AsyncIterator[OpcUaDevice]:
    async with OpcUaDevice() as running:
        yield running


@asynccontextmanager
async def connected(
    device: OpcUaDevice, tags: list[TagSettings], **more: Any
) -> AsyncIterator[OpcUaConnection]:
    connection = connection_to(device.url, tags, **more)
    await connection.connect()
    try:
        yield connection
    finally:
        await connection.close()


async def test_reads_every_type_over_its_full_range(device: OpcUaDevice) -> None:
    async with connected(device, [tag(name) for name in SCALARS]) as connection:
        samples = await connection.read(range(len(SCALARS)))
    assert [sample.value for sample in samples] == [VALUES[name][0] for name in SCALARS]
    assert {sample.quality for sample in samples} == {Quality.GOOD}


async def test_answers_in_the_order_asked_however_often_a_tag_is_asked(device: OpcUaDevice) -> None:
    async with connected(device, [tag("int16"), tag("bool")], max_nodes_per_call=1) as connection:
        samples = await connection.read([1, 0, 1])
    assert [sample.index for sample in samples] == [1, 0, 1]
    assert [sample.value for sample in samples] == [True, -12345, True]


async def test_a_bad_node_is_a_bad_sample_and_its_neighbours_are_read(device: OpcUaDevice) -> None:
    unknown = TagSettings(name="no_namespace", address="nsu=urn:nobody;s=x")
    tags = [tag("missing", "double"), tag("double"), unknown, tag("array", "double"), tag("moment", "string")]
    async with connected(device, tags) as connection:
        missing, good, nowhere, array, moment = await connection.read(range(5))
    assert (good.value, good.quality) == (21.5, Quality.GOOD)
    for sample in (missing, nowhere, array, moment):
        assert (sample.value, sample.quality) == (None, Quality.BAD_CONFIGURATION)


async def test_converts_between_types_only_where_that_is_exact(device: OpcUaDevice) -> None:
    tags = [tag("int32", "double"), tag("uint64", "double"), tag("uint64", "int64"), tag("double", "int32")]
    tags = [TagSettings(name=f"t{i}", address=each.address) for i, each in enumerate(tags)]
    async with connected(device, tags) as connection:
        exact, large, overflowing, fraction = await connection.read(range(4))
    assert exact.value == float(-(2**31))
    for sample in (large, overflowing, fraction):
        assert (sample.value, sample.quality) == (None, Quality.BAD_CONFIGURATION)


async def test_a_subscription_tells_first_values_then_changes_with_status_and_source_time(
    device: OpcUaDevice,
) -> None:
    at = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
    heard = Heard()
    async with connected(device, [tag("double"), tag("string")]) as connection:
        await connection.subscribe(heard)
        await heard.until(lambda: heard.of(0) and heard.of(1))
        await device.put("double", 7.25, ua.VariantType.Double, ua.StatusCodes.UncertainSensorNotAccurate, at)
        await heard.until(lambda: 7.25 in heard.values(0))
        await device.put("double", 8.0, ua.VariantType.Double, ua.StatusCodes.BadSensorFailure, at)
        await heard.until(lambda: len(heard.of(0)) == 3)
    nanoseconds = int(at.timestamp() * 1000) * 10**6
    assert heard.of(0)[1:] == [
        Sample(0, 7.25, Quality.UNCERTAIN_SENSOR, nanoseconds),
        Sample(0, None, Quality.BAD_SENSOR_FAILURE, nanoseconds),
    ]
    assert heard.values(1) == ["on é"]
    assert heard.causes == []
    await device.put("double", 21.5, ua.VariantType.Double)


async def test_every_change_between_two_publications_arrives_in_order(device: OpcUaDevice) -> None:
    heard = Heard()
    async with connected(device, [tag("uint32")], queue_size=50) as connection:
        await connection.subscribe(heard)
        await heard.until(lambda: heard.of(0))
        for value in range(40):
            await device.put("uint32", value, ua.VariantType.UInt32)
        await heard.until(lambda: 39 in heard.values(0))
    assert heard.values(0)[1:] == list(range(40))
    await device.put("uint32", 2**32 - 1, ua.VariantType.UInt32)


async def test_keep_alives_confirm_each_group_while_nothing_changes(device: OpcUaDevice) -> None:
    groups = [GroupSettings(name="fast", period_ms=50), GroupSettings(name="slow", period_ms=150)]
    heard = Heard()
    tags = [tag("double", group="fast"), tag("bool", group="slow")]
    async with connected(device, tags, groups=groups) as connection:
        await connection.subscribe(heard)
        await heard.until(lambda: heard.confirmed.count(0) > 4 and heard.confirmed.count(1) > 4)
    assert len(heard.heard) == 2
    assert heard.confirmed.count(0) > heard.confirmed.count(1)


async def test_one_bad_node_of_many_is_told_bad_and_heals_when_it_appears(device: OpcUaDevice) -> None:
    heard = Heard()
    tags = [tag("double"), tag("late", "int32"), tag("bool")]
    async with connected(device, tags, retry_seconds=0.2) as connection:
        await connection.subscribe(heard)
        await heard.until(lambda: heard.of(0) and heard.of(1) and heard.of(2))
        assert heard.of(1)[0] == Sample(1, None, Quality.BAD_CONFIGURATION)
        await device.add("late", 5, ua.VariantType.Int32)
        await heard.until(lambda: 5 in heard.values(1))
    assert heard.values(0) == [21.5]
    assert heard.causes == []


async def test_an_overflow_of_the_servers_queue_is_told(device: OpcUaDevice) -> None:
    heard = Heard()
    async with connected(device, [tag("double")]) as connection:
        await connection.subscribe(heard)
        await heard.until(lambda: heard.of(0))
        await device.put("double", 9.0, ua.VariantType.Double, 0x0480)
        await heard.until(lambda: heard.overflows)
        await heard.until(lambda: 9.0 in heard.values(0))
    assert heard.overflows == [0]
    assert heard.of(0)[-1].quality == Quality.GOOD
    await device.put("double", 21.5, ua.VariantType.Double)


async def test_a_source_clock_that_jumps_or_is_absurd_harms_nothing(device: OpcUaDevice) -> None:
    heard = Heard()
    stamps = [
        datetime(2026, 1, 1, tzinfo=UTC),
        datetime(1999, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, tzinfo=UTC),
        datetime(1601, 1, 1, tzinfo=UTC),
        datetime(2026, 1, 1, tzinfo=UTC),
    ]
    async with connected(device, [tag("float")], queue_size=50) as connection:
        await connection.subscribe(heard)
        await heard.until(lambda: heard.of(0))
        for number, stamp in enumerate(stamps):
            await device.put("float", float(number), ua.VariantType.Float, 0, stamp)
        await heard.until(lambda: len(heard.of(0)) == 6)
    told = heard.of(0)[1:]
    assert [sample.value for sample in told] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert [sample.source_time is None for sample in told] == [False, False, True, True, False]
    assert heard.causes == []
    await device.put("float", 0.5, ua.VariantType.Float)


async def test_writes_the_value_and_type_that_encode_promised(device: OpcUaDevice) -> None:
    names = ["double", "float", "int64", "uint64", "uint8", "bool", "string"]
    values: list[Scalar] = [1.5, -0.25, -(2**63), 2**64 - 1, 255, False, "off ü"]
    async with connected(device, [tag(name, writable=True) for name in names]) as connection:
        assert connection.encode(3, 2**64 - 1) == (
            "Write nsu=urn:plantops:test%3Bdevice;s=uint64 UInt64 18446744073709551615"
        )
        for index, value in enumerate(values):
            await connection.write(index, value)
        samples = await connection.read(range(len(names)))
    assert [sample.value for sample in samples] == values
    assert [device.value(name) for name in names] == values
    for name in names:
        await device.put(name, *VALUES[name])


async def test_scales_both_ways_and_says_when_it_clamps(device: OpcUaDevice) -> None:
    scaled = tag(
        "uint16", writable=True, raw=Range(low=0, high=1000), engineering=Range(low=-50, high=50), clamp=True
    )
    async with connected(device, [scaled]) as connection:
        (clamped,) = await connection.read([0])
        assert (clamped.value, clamped.quality) == (50.0, Quality.UNCERTAIN_RANGE)
        await connection.write(0, 25.0)
        assert device.value("uint16") == 750
        assert (await connection.read([0]))[0].value == 25.0
        with pytest.raises(WriteRejected, match=r"not in -50"):
            await connection.write(0, 50.1)
    await device.put("uint16", *VALUES["uint16"])


async def test_a_write_that_the_server_refuses_is_rejected_with_its_code(device: OpcUaDevice) -> None:
    nowhere = TagSettings(name="nowhere", address="nsu=urn:nobody;s=x", writable=True)
    async with connected(device, [tag("missing", "double", writable=True), nowhere]) as connection:
        with pytest.raises(WriteRejected, match="BadUserAccessDenied") as refused:
            await connection.write(0, 1.0)
        assert refused.value.code == ua.StatusCodes.BadUserAccessDenied
        with pytest.raises(WriteRejected, match="no such namespace"):
            await connection.write(1, 1.0)


@pytest.mark.parametrize("answer", ["BadTimeout", "BadInternalError", "GoodClamped", "UncertainSubNormal"])
async def test_any_other_answer_to_a_write_leaves_open_whether_it_was_written(
    device: OpcUaDevice, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    async def answered(*_given: object, **_more: object) -> list[ua.StatusCode]:
        return [ua.StatusCode(ua.UInt32(getattr(ua.StatusCodes, answer)))]

    async with connected(device, [tag("double", writable=True)]) as connection:
        monkeypatch.setattr(device.server.iserver.attribute_service, "write", answered)
        with pytest.raises(DeviceUnavailable, match=f"{answer}.*read it back"):
            await connection.write(0, 1.0)


async def test_browsing_gives_addresses_that_read_as_they_stand(device: OpcUaDevice) -> None:
    async with connected(device, [NOWHERE]) as connection:
        found = {each.name: each async for each in connection.browse()}
    assert {found[name].kind for name in ("int8", "int64")} == {"i8"}
    assert found["double"].writable
    assert "array" not in found
    assert "moment" not in found
    tags = [TagSettings(name=name, address=found[name].address) for name in SCALARS]
    async with connected(device, tags) as connection:
        samples = await connection.read(range(len(tags)))
    assert [sample.value for sample in samples] == [VALUES[name][0] for name in SCALARS]


async def test_browsing_ends_on_cycles_and_at_its_limit(device: OpcUaDevice) -> None:
    objects = device.server.nodes.objects
    first = await objects.add_object(device.node("first"), ua.QualifiedName("first", device.index))
    second = await first.add_object(device.node("second"), ua.QualifiedName("second", device.index))
    await second.add_reference(first, ua.ObjectIds.Organizes)
    await second.add_reference(objects, ua.ObjectIds.Organizes)
    async with connected(device, [NOWHERE], max_nodes_per_call=3) as connection:
        names = [each.name async for each in connection.browse()]
    assert len(names) == len(set(names))
    async with connected(device, [NOWHERE], browse_limit=5) as connection:
        assert len([each async for each in connection.browse()]) <= 5


async def test_a_period_that_the_server_cannot_keep_is_refused(
    device: OpcUaDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = device.server.iserver.subscription_service
    create = service.create_subscription

    async def slow(params: ua.CreateSubscriptionParameters, *rest: Any, **more: Any) -> Any:
        params.RequestedPublishingInterval = 1000.0
        return await create(params, *rest, **more)

    monkeypatch.setattr(service, "create_subscription", slow)
    async with connected(device, [tag("double")]) as connection:
        with pytest.raises(SettingsError, match="period_ms = 1000"):
            await connection.subscribe(Heard())


async def test_nothing_listens_is_unavailable_and_so_is_a_connection_not_opened() -> None:
    connection = connection_to("opc.tcp://127.0.0.1:9", [tag("double")])
    with pytest.raises(DeviceUnavailable, match="cannot be reached"):
        await connection.connect()
    with pytest.raises(DeviceUnavailable, match="connect first"):
        await connection.read([0])
    await connection.close()
    await connection.close()
