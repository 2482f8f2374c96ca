import math
import struct
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from plantops.adapters.modbus.address import NUMBERS, Order, parse
from plantops.adapters.modbus.codec import Wire, converter, encode, unpack
from plantops.events.base import Scalar, TagName
from plantops.events.quality import Quality
from plantops.events.tags import Range, TagDefinition
from plantops.runtime.errors import WriteRejected

PERCENT = Range(low=0, high=100)
TENTHS = Range(low=0, high=1000)


def tag(address: str, **more: Any) -> TagDefinition:
    fields = {"kind": parse(address).kind, "writable": True, **more}
    return TagDefinition(name=TagName("t"), address=address, **fields)


def written(address: str, value: Scalar, **more: Any) -> Wire:
    return encode(parse(address), tag(address, **more), value)


def read_back(address: str, wire: Wire, **more: Any) -> tuple[Scalar | None, int]:
    data = struct.pack(f">{len(wire.cells)}H", *wire.cells)
    raw = unpack(parse(address), data)
    convert = converter(parse(address), tag(address, **more))
    return (raw, int(Quality.GOOD)) if convert is None else convert(raw)


ADDRESSES = [
    f"holding:5:{name}:{order}"
    for name, (_code, cells, _kind) in NUMBERS.items()
    for order in Order
    if cells > 1 or order in (Order.ABCD, Order.BADC)
]


def numbers_of(name: str) -> st.SearchStrategy[int | float]:
    if name.startswith("float"):
        return st.floats(allow_nan=False, allow_infinity=False, width=32 if name == "float32" else 64)
    bits = int(name.removeprefix("u").removeprefix("int"))
    return (
        st.integers(0, 2**bits - 1)
        if name.startswith("u")
        else st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    )


@pytest.mark.parametrize("address", ADDRESSES)
@given(data=st.data())
def test_what_is_written_reads_back_the_same(address: str, data: st.DataObject) -> None:
    value = data.draw(numbers_of(parse(address).type))
    assert read_back(address, written(address, value)) == (value, Quality.GOOD)


@pytest.mark.parametrize(
    ("address", "value", "cells"),
    [
        ("holding:0:uint16", 0x0102, (0x0102,)),
        ("holding:0:uint16:BADC", 0x0102, (0x0201,)),
        ("holding:0:int16", -2, (0xFFFE,)),
        ("holding:0:uint32:ABCD", 0x01020304, (0x0102, 0x0304)),
        ("holding:0:uint32:DCBA", 0x01020304, (0x0403, 0x0201)),
        ("holding:0:uint32:BADC", 0x01020304, (0x0201, 0x0403)),
        ("holding:0:uint32:CDAB", 0x01020304, (0x0304, 0x0102)),
        ("holding:0:uint64:ABCD", 0x0102030405060708, (0x0102, 0x0304, 0x0506, 0x0708)),
        ("holding:0:uint64:DCBA", 0x0102030405060708, (0x0807, 0x0605, 0x0403, 0x0201)),
        ("holding:0:uint64:BADC", 0x0102030405060708, (0x0201, 0x0403, 0x0605, 0x0807)),
        ("holding:0:uint64:CDAB", 0x0102030405060708, (0x0708, 0x0506, 0x0304, 0x0102)),
        ("holding:0:float32", 1.0, (0x3F80, 0x0000)),
        ("holding:0:float32:CDAB", 1.0, (0x0000, 0x3F80)),
        ("holding:0:string.3", "PUMP", (0x5055, 0x4D50, 0x0000)),
        ("holding:0:string.2:BADC", "PUMP", (0x5550, 0x504D)),
    ],
)
def test_each_order_puts_the_bytes_where_it_says(address: str, value: Scalar, cells: tuple[int, ...]) -> None:
    assert written(address, value).cells == cells


@pytest.mark.parametrize(
    ("address", "value", "function"),
    [
        ("coil:3", True, 5),
        ("holding:3", 1, 6),
        ("holding:3:float32", 1.5, 16),
        ("holding:3:string.1", "A", 6),
    ],
)
def test_the_shortest_function_is_used(address: str, value: Scalar, function: int) -> None:
    assert written(address, value).function == function


@given(st.text(st.characters(codec="utf-8"), max_size=10))
def test_a_text_reads_back_the_same_or_is_refused(text: str) -> None:
    try:
        wire = written("holding:0:string.8", text)
    except WriteRejected:
        assert len(text.encode()) > 16 or text[-1:] in (" ", "\0")
        return
    assert read_back("holding:0:string.8", wire) == (text, Quality.GOOD)


@given(st.floats(0, 100))
def test_a_scaled_value_is_rounded_to_the_resolution_and_no_further(value: float) -> None:
    more = {"kind": "f8", "raw": TENTHS, "engineering": PERCENT}
    got, quality = read_back("holding:0", written("holding:0", value, **more), **more)
    assert isinstance(got, float)
    assert abs(got - value) <= 0.05 + 1e-9
    assert quality == Quality.GOOD


@given(st.integers(0, 1000), st.sampled_from([(0.0, 100.0), (100.0, 0.0), (-20.0, 85.0), (4.0, 4.5)]))
def test_every_raw_value_survives_reading_and_writing_back(
    raw: int, engineering: tuple[float, float]
) -> None:
    more = {"kind": "f8", "raw": TENTHS, "engineering": Range(low=engineering[0], high=engineering[1])}
    convert = converter(parse("holding:0"), tag("holding:0", **more))
    assert convert is not None
    value, _quality = convert(raw)
    assert isinstance(value, float)
    assume(min(engineering) <= value <= max(engineering))
    assert written("holding:0", value, **more).cells == (raw,)


REFUSED: list[tuple[str, Scalar, dict[str, Any], str]] = [
    ("holding:0", 1, {"writable": False}, "not writable"),
    ("input:0", 1, {}, "not writable"),
    ("holding:0:bit.3", True, {}, "not writable"),
    ("holding:0", 65_536, {}, "does not fit uint16"),
    ("holding:0", -1, {}, "does not fit uint16"),
    ("holding:0:int16", 32_768, {}, "does not fit int16"),
    ("holding:0", 1.5, {}, "no whole number"),
    ("holding:0", True, {}, "no number"),
    ("holding:0", "1", {}, "no number"),
    ("holding:0", math.nan, {}, "not finite"),
    ("holding:0:float32", math.inf, {}, "not finite"),
    ("holding:0:float32", math.nan, {}, "not finite"),
    ("holding:0:float32", 1e39, {}, "does not fit float32"),
    ("holding:0:float64", 10**400, {}, "does not fit float64"),
    ("holding:0", 100.1, {"raw": TENTHS, "engineering": PERCENT}, "engineering range 0 to 100"),
    ("holding:0", -0.1, {"raw": TENTHS, "engineering": PERCENT, "clamp": True}, "engineering range"),
    ("holding:0", 10**400, {"raw": TENTHS, "engineering": PERCENT}, "engineering range"),
    ("holding:0", 100, {"raw": Range(low=0, high=70_000), "engineering": PERCENT}, "does not fit uint16"),
    ("coil:0", 1, {}, "neither true nor false"),
    ("holding:0:string.2", "PUMPS", {}, "room for 4"),
    ("holding:0:string.2", "A ", {}, "cut off"),
    ("holding:0:string.2", 7, {}, "no text"),
    ("holding:0:string.2", "\ud800", {}, "no UTF-8"),
]


@pytest.mark.parametrize(("address", "value", "more", "reason"), REFUSED)
def test_what_does_not_fit_is_refused_with_its_reason(
    address: str, value: Scalar, more: dict[str, Any], reason: str
) -> None:
    with pytest.raises(WriteRejected, match=reason) as refused:
        written(address, value, **more)
    assert refused.value.tag == "t"


def test_encode_says_what_will_be_written_and_what_it_reads_back_as() -> None:
    more = {"kind": "f8", "raw": TENTHS, "engineering": PERCENT}
    assert written("holding:2", 12.34, **more).text == (
        "function 6: holding 2 = 0x007b (uint16 123, which reads back as 12.3)"
    )
    assert written("holding:2", 12.0, **more).text == "function 6: holding 2 = 0x0078 (uint16 120)"
    assert written("coil:1", False).text == "function 5: coil 1 = off"


def reading(address: str, value: Any, /, **more: Any) -> tuple[Scalar | None, int]:
    convert = converter(parse(address), tag(address, **more))
    assert convert is not None
    return convert(value)


def test_not_a_number_is_a_failed_sensor_without_a_value() -> None:
    assert reading("input:0:float32", math.nan) == (None, Quality.BAD_SENSOR_FAILURE)
    scaled = {"kind": "f8", "raw": TENTHS, "engineering": PERCENT, "clamp": True}
    assert reading("input:0:float32", math.nan, **scaled) == (None, Quality.BAD_SENSOR_FAILURE)


def test_an_infinite_value_is_handed_on_and_not_good() -> None:
    assert reading("input:0:float32", -math.inf) == (-math.inf, Quality.UNCERTAIN_RANGE)


def test_a_clamped_value_is_not_good() -> None:
    more = {"kind": "f8", "raw": TENTHS, "engineering": PERCENT, "clamp": True}
    assert reading("input:0", 1001, **more) == (100.0, Quality.UNCERTAIN_RANGE)
    assert reading("input:0:int16", -1, **more) == (0.0, Quality.UNCERTAIN_RANGE)
    assert reading("input:0", 1000, **more) == (100.0, Quality.GOOD)


def test_without_clamping_the_line_goes_on() -> None:
    more = {"kind": "f8", "raw": TENTHS, "engineering": PERCENT}
    assert reading("input:0", 1010, **more) == (101.0, Quality.GOOD)


def test_a_text_loses_trailing_nul_and_space_only() -> None:
    assert reading("input:0:string.4", b" A B\0 \0\0") == (" A B", Quality.GOOD)
    assert reading("input:0:string.2", b"\0\0\0\0") == ("", Quality.GOOD)


def test_bytes_that_are_no_text_are_bad() -> None:
    assert reading("input:0:string.2", b"\xff\xfe\0\0") == (None, Quality.BAD)


def test_bit_zero_is_the_least_significant() -> None:
    assert reading("input:0:bit.0", 1) == (True, Quality.GOOD)
    assert reading("input:0:bit.15", 0x7FFF) == (False, Quality.GOOD)
