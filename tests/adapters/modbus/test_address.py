import pytest

from plantops.adapters.modbus.address import Area, Order, kind_of, parse
from plantops.runtime.errors import SettingsError


def test_a_register_alone_is_an_unsigned_number() -> None:
    address = parse("holding:7")
    assert (address.area, address.start, address.type, address.order) == (
        Area.HOLDING,
        7,
        "uint16",
        Order.ABCD,
    )
    assert address.cells == 1


@pytest.mark.parametrize(
    ("text", "cells", "kind"),
    [
        ("holding:0:uint16", 1, "u8"),
        ("input:0:int16:BADC", 1, "i8"),
        ("holding:10:float32:CDAB", 2, "f8"),
        ("holding:10:uint64:DCBA", 4, "u8"),
        ("holding:65532:float64", 4, "f8"),
        ("holding:3:bit.15", 1, "b1"),
        ("holding:60:string.8", 8, "s"),
        ("coil:65535", 1, "b1"),
        ("discrete:4:bool", 1, "b1"),
    ],
)
def test_an_address_says_how_many_cells_and_which_kind(text: str, cells: int, kind: str) -> None:
    assert (parse(text).cells, kind_of(text)) == (cells, kind)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "write <area>"),
        ("register:1", "write <area>"),
        ("holding", "write <area>"),
        ("holding:1:uint16:ABCD:x", "write <area>"),
        ("holding:-1", "not a number"),
        ("holding:1x", "not a number"),
        ("holding:\u0661", "not a number"),
        ("holding:65536", "behind the last cell"),
        ("holding:65535:float32", "behind the last cell"),
        ("holding:1:word", "'word' is none of"),
        ("holding:1:bit.16", "bits 0 to 15"),
        ("holding:1:string.0", "1 to 125"),
        ("holding:1:string.126", "1 to 125"),
        ("holding:1:bool", "'bool' is none of"),
        ("holding:1:float32:CDBA", "order 'CDBA'"),
        ("holding:1:int16:CDAB", "no order of registers"),
        ("holding:1:string.4:DCBA", "no order of registers"),
        ("coil:1:uint16", "one bit"),
        ("coil:1:bool:ABCD", "one bit"),
    ],
)
def test_a_wrong_address_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=reason) as refused:
        parse(text)
    assert repr(text) in refused.value.message


@pytest.mark.parametrize(
    ("entity", "right"),
    [
        ("40001", "holding:0"),
        ("400101", "holding:100"),
        ("30011", "input:10"),
        ("10001", "discrete:0"),
        ("00005", "coil:4"),
    ],
)
def test_an_entity_number_is_refused_with_the_address_to_write_instead(entity: str, right: str) -> None:
    with pytest.raises(SettingsError, match=f"write '{right}'"):
        parse(entity)
