"""Addresses, status codes, settings and notifications without a server."""

from __future__ import annotations

import math
from typing import Any

import pytest
from asyncua import ua
from hypothesis import given
from hypothesis import strategies as st

from plantops.adapters.contract import TagSettings
from plantops.adapters.definition import definition_of
from plantops.adapters.opcua import SPEC
from plantops.adapters.opcua.address import TYPES, parse_address
from plantops.adapters.opcua.codec import TagCodec
from plantops.adapters.opcua.config import OpcUaSettings
from plantops.adapters.opcua.items import deadband_filter
from plantops.adapters.opcua.nodes import format_address, node_id
from plantops.adapters.opcua.status import code_name, is_overflow, quality_of
from plantops.adapters.opcua.subscription import GroupSubscription
from plantops.events.base import TagName
from plantops.events.quality import Quality, is_bad, is_good
from plantops.events.tags import Range, TagDefinition
from plantops.runtime.errors import SettingsError, WriteRejected
from support.opcua_device import Heard, connection_to, source

URL = "opc.tcp://127.0.0.1:4840"


def codec(kind: str, **more: Any) -> TagCodec:
    address = parse_address(f"i=1|{kind}")
    return TagCodec(
        0, TagDefinition(name=TagName("t"), kind=address.type.kind, writable=True, **more), address
    )


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("ns=2;s=Pump.Speed", ("ns=2;s=Pump.Speed", "f8")),
        ("i=2258|string", ("i=2258", "s")),
        ("ns=3;s=t|Tank;1|uint64", ("ns=3;s=t|Tank;1", "u8")),
        (
            "ns=1;g=09087e75-8e5e-499b-954f-f2a9603db28a|bool",
            ("ns=1;g=09087e75-8e5e-499b-954f-f2a9603db28a", "b1"),
        ),
        ("ns=1;b=aGk=|int8", ("ns=1;b=aGk=", "i8")),
    ],
)
def test_an_address_gives_a_node_and_a_kind(address: str, expected: tuple[str, str]) -> None:
    parsed = parse_address(address)
    node = node_id(parsed, ())
    assert node is not None
    assert (node.to_string(), parsed.type.kind) == expected


@pytest.mark.parametrize(
    "address",
    ["", "Pump", "ns=2", "i=x", "i=-1", "i=4294967296", "ns=65536;i=1", "g=1", "b=*", "i=1|real", "s=t|Tank"],
)
def test_a_malformed_address_is_refused(address: str) -> None:
    with pytest.raises(SettingsError, match="OPC UA address"):
        SPEC.kind_of(address)


@given(
    st.one_of(st.integers(0, 2**32 - 1), st.text(min_size=1), st.uuids(), st.binary(min_size=1)),
    st.integers(0, 3),
    st.sampled_from(sorted(TYPES)),
)
def test_a_formatted_address_means_the_same_node(identifier: Any, index: int, kind: str) -> None:
    namespaces = ["http://opcfoundation.org/UA/", "urn:a", "urn:b;100%"]
    letter = {int: "i", str: "s", bytes: "b"}.get(type(identifier), "g")
    forms = {"i": ua.NodeIdType.Numeric, "s": ua.NodeIdType.String, "b": ua.NodeIdType.ByteString}
    node = ua.NodeId(identifier, ua.Int16(index), forms.get(letter, ua.NodeIdType.Guid))
    parsed = parse_address(format_address(node, namespaces, TYPES[kind]))
    assert node_id(parsed, namespaces) == node
    assert parsed.type.name == kind


def test_a_namespace_that_the_server_does_not_have_is_no_node() -> None:
    assert node_id(parse_address("nsu=urn:x;i=1"), ("urn:y",)) is None


@pytest.mark.parametrize(
    ("name", "quality"),
    [
        ("Good", Quality.GOOD),
        ("GoodLocalOverride", Quality.GOOD_LOCAL_OVERRIDE),
        ("GoodClamped", Quality.GOOD),
        ("Uncertain", Quality.UNCERTAIN),
        ("UncertainLastUsableValue", Quality.UNCERTAIN_LAST_USABLE),
        ("UncertainNoCommunicationLastUsableValue", Quality.UNCERTAIN_LAST_USABLE),
        ("UncertainEngineeringUnitsExceeded", Quality.UNCERTAIN_RANGE),
        ("UncertainInitialValue", Quality.UNCERTAIN),
        ("BadSensorFailure", Quality.BAD_SENSOR_FAILURE),
        ("BadNotConnected", Quality.BAD_NOT_CONNECTED),
        ("BadCommunicationError", Quality.BAD_COMMUNICATION),
        ("BadOutOfService", Quality.BAD_OUT_OF_SERVICE),
        ("BadNodeIdUnknown", Quality.BAD_CONFIGURATION),
        ("BadWaitingForInitialData", Quality.BAD_WAITING),
        ("BadAggregateListMismatch", Quality.BAD),
    ],
)
def test_status_codes_become_quality(name: str, quality: Quality) -> None:
    assert quality_of(getattr(ua.StatusCodes, name)) == quality


@given(st.integers(0, 2**32 - 1))
def test_no_status_code_changes_its_severity(code: int) -> None:
    quality = quality_of(code)
    assert 0 <= quality <= 255
    assert is_good(quality) == (code >> 30 == 0)
    assert is_bad(quality) == (code >> 30 >= 2)
    assert code_name(code)


def test_the_overflow_bit_counts_only_with_its_info_type() -> None:
    assert is_overflow(0x0480)
    assert is_overflow(0x40000480)
    assert not is_overflow(0x0080)
    assert not is_overflow(0x0880)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_number_that_is_none_is_never_good(value: float) -> None:
    sample = codec("double").decode(ua.DataValue(Value=ua.Variant(value, ua.VariantType.Double)))
    assert not is_good(sample.quality)
    assert (sample.value is None) == math.isnan(value)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("int8", 128),
        ("uint8", -1),
        ("uint64", 2**64),
        ("int64", -(2**63) - 1),
        ("int16", 1.5),
        ("int16", True),
        ("double", math.nan),
        ("double", 2**53 + 1),
        ("double", "1"),
        ("double", 10**400),
        ("float", 1e39),
        ("bool", 1),
        ("string", 1.0),
    ],
)
def test_a_value_that_does_not_fit_is_rejected_before_anything_is_sent(kind: str, value: Any) -> None:
    with pytest.raises(WriteRejected):
        codec(kind).encode(value)


@given(st.sampled_from(sorted(name for name, each in TYPES.items() if each.is_integer)), st.data())
def test_every_integer_of_a_type_passes_both_ways(kind: str, data: st.DataObject) -> None:
    value = data.draw(st.integers(TYPES[kind].low, TYPES[kind].high))
    both = codec(kind)
    assert both.decode(ua.DataValue(Value=both.encode(value))).value == value


def test_a_text_too_long_for_a_frame_is_bad() -> None:
    data = ua.DataValue(Value=ua.Variant("é" * 20_000, ua.VariantType.String))
    sample = codec("string").decode(data)
    assert (sample.value, sample.quality) == (None, Quality.BAD_CONFIGURATION)


def test_the_servers_deadband_is_in_raw_units() -> None:
    tag = TagDefinition(
        name=TagName("t"),
        kind="f8",
        deadband=2.0,
        raw=Range(low=0, high=1000),
        engineering=Range(low=0, high=100),
    )
    found = deadband_filter(tag, OpcUaSettings(endpoint_url=URL, server_deadband="absolute"))
    assert found is not None
    assert (found.DeadbandType, found.DeadbandValue) == (ua.DeadbandType.Absolute, 20.0)
    assert deadband_filter(tag, OpcUaSettings(endpoint_url=URL)) is None


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"endpoint_url": "http://host:1"}, "endpoint_url"),
        ({"endpoint_url": "opc.tcp://host"}, "endpoint_url"),
        ({"endpoint_url": "opc.tcp://me:pw@host:1"}, "endpoint_url"),
        ({"security_policy": "basic256sha256"}, "security_mode"),
        ({"security_mode": "sign"}, "security_mode"),
        ({"username": "me"}, "password"),
        ({"security_policy": "basic256sha256", "security_mode": "sign", "trust_any": True}, "state_folder"),
        (
            {"security_policy": "basic256sha256", "security_mode": "sign", "state_folder": "/x"},
            "server_certificate",
        ),
        (
            {
                "security_policy": "basic256sha256",
                "security_mode": "sign",
                "state_folder": "/x",
                "trust_any": True,
                "trust_folder": "/y",
            },
            "server_certificate",
        ),
        ({"queue_size": 0}, "queue_size"),
        ({"server_deadband": "percent"}, "deadband_percent"),
    ],
)
def test_wrong_settings_stop_the_build_and_are_named(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingsError) as refused:
        connection_to(settings.pop("endpoint_url", URL), [TagSettings(name="t", address="i=1")], **settings)
    assert refused.value.setting == named


def message(number: int, *values: float, status: int | None = None) -> ua.PublishResult:
    result = ua.PublishResult(SubscriptionId=1)
    result.NotificationMessage.SequenceNumber = number
    if values:
        items = [
            ua.MonitoredItemNotification(
                ClientHandle=0, Value=ua.DataValue(Value=ua.Variant(value, ua.VariantType.Double))
            )
            for value in values
        ]
        result.NotificationMessage.NotificationData = [ua.DataChangeNotification(MonitoredItems=items)]
    if status is not None:
        ended = ua.StatusChangeNotification(Status=ua.StatusCode(ua.UInt32(status)))
        result.NotificationMessage.NotificationData = [ended]
    return result


def group(heard: Heard) -> GroupSubscription:
    settings = source(URL, [TagSettings(name="t", address="i=1")])
    definition = definition_of("test", "device", settings, SPEC)
    return GroupSubscription(
        0, definition, OpcUaSettings(endpoint_url=URL), {0: codec("double")}, sink=heard, lost=heard.lost
    )


def test_notifications_in_order_with_keep_alives_between_are_no_gap() -> None:
    heard = Heard()
    subscription = group(heard)
    for published in (message(1), message(1, 1.0, 2.0), message(2), message(2), message(2, 3.0)):
        subscription.published(published)
    assert heard.values(0) == [1.0, 2.0, 3.0]
    assert heard.causes == []
    assert heard.confirmed == [0] * 5


@pytest.mark.parametrize("published", [message(3, 2.0), message(3), message(1, 2.0)])
def test_a_missing_or_repeated_notification_is_told_and_not_confirmed(published: ua.PublishResult) -> None:
    heard = Heard()
    subscription = group(heard)
    subscription.published(message(1, 1.0))
    subscription.published(published)
    assert len(heard.causes) == 1
    assert heard.overflows == [0]
    assert heard.confirmed == [0]


def test_a_first_notification_that_could_not_be_read_is_a_gap() -> None:
    heard = Heard()
    group(heard).published(message(2))
    assert len(heard.causes) == 1


def test_the_sequence_wraps_to_one() -> None:
    heard = Heard()
    subscription = group(heard)
    subscription._expected = 2**32 - 1
    subscription.published(message(2**32 - 1, 1.0))
    subscription.published(message(1, 2.0))
    assert heard.causes == []


def test_a_subscription_that_the_server_ends_is_lost() -> None:
    heard = Heard()
    group(heard).published(message(0, status=ua.StatusCodes.BadTimeout))
    assert heard.causes == ["the server ended the subscription: BadTimeout"]
    assert heard.confirmed == []
