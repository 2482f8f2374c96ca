"""Values as texts of XML Schema types (AAS Part 1, DataTypeDefXsd; XML Schema 1.1 part 2), and back. Pure."""

from __future__ import annotations

import math
import re
import struct
from typing import Final, Literal, TypeAlias

from plantops.events.base import Scalar

ValueType: TypeAlias = Literal[
    "xs:boolean",
    "xs:string",
    "xs:double",
    "xs:float",
    "xs:integer",
    "xs:long",
    "xs:int",
    "xs:short",
    "xs:byte",
    "xs:nonNegativeInteger",
    "xs:positiveInteger",
    "xs:unsignedLong",
    "xs:unsignedInt",
    "xs:unsignedShort",
    "xs:unsignedByte",
]

# What has no bound of its own ends where every reader of our events still has the exact number.
_LOW, _HIGH = -(2**63), 2**63 - 1
_INTEGERS: Final[dict[str, tuple[int, int]]] = {
    "xs:integer": (_LOW, _HIGH),
    "xs:long": (_LOW, _HIGH),
    "xs:int": (-(2**31), 2**31 - 1),
    "xs:short": (-(2**15), 2**15 - 1),
    "xs:byte": (-(2**7), 2**7 - 1),
    "xs:nonNegativeInteger": (0, _HIGH),
    "xs:positiveInteger": (1, _HIGH),
    "xs:unsignedLong": (0, _HIGH),
    "xs:unsignedInt": (0, 2**32 - 1),
    "xs:unsignedShort": (0, 2**16 - 1),
    "xs:unsignedByte": (0, 2**8 - 1),
}
_FLOATS: Final = ("xs:double", "xs:float", "xs:decimal")
# Told as they are: nobody calculates with them here.
_TEXTS: Final = ("xs:string", "xs:anyURI", "xs:dateTime", "xs:date", "xs:time", "xs:duration")
_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,20}")
_NUMBER: Final = re.compile(r"[+-]?([0-9]{1,400}(\.[0-9]{0,400})?|\.[0-9]{1,400})([eE][+-]?[0-9]{1,4})?")


def type_of(value: Scalar) -> ValueType:
    """The type that a value has of itself."""
    if isinstance(value, bool):
        return "xs:boolean"
    if isinstance(value, int):
        return "xs:long"
    return "xs:double" if isinstance(value, float) else "xs:string"


def to_text(value: Scalar, wanted: ValueType) -> str:
    """The value in the lexical form of `wanted`. Raises: ValueError when it is not exactly one of those."""
    if wanted == "xs:boolean" and isinstance(value, bool):
        return "true" if value else "false"
    if wanted == "xs:string" and isinstance(value, str):
        return value
    if isinstance(value, bool | str) or wanted in ("xs:boolean", "xs:string"):
        raise ValueError(f"{value!r} is no {wanted}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value!r} is not finite")
    if wanted in _INTEGERS:
        return _integer_text(value, wanted)
    return _float_text(value, wanted)


def from_text(text: str, given: str) -> Scalar:
    """What `text` stands for. Raises: ValueError for an unknown type, or a text that is not of it."""
    if given in _TEXTS:
        return text
    # White space around is no part of the value (XML Schema 1.1 part 2, 4.3.6).
    word = text.strip(" \t\r\n")
    if given == "xs:boolean" and word in _BOOLEANS:
        return _BOOLEANS[word]
    if given in _INTEGERS and _INTEGER.fullmatch(word):
        return _bounded(int(word), given)
    if given in _FLOATS and _NUMBER.fullmatch(word):
        number = float(word)
        if math.isfinite(number):
            return number
    if given not in ("xs:boolean", *_INTEGERS, *_FLOATS):
        raise ValueError(f"the type {given!r} is not known here")
    raise ValueError(f"{text[:100]!r} is no finite {given}")


def _integer_text(value: float, wanted: str) -> str:
    if value != int(value):
        raise ValueError(f"{value!r} is no whole number")
    return str(_bounded(int(value), wanted))


def _float_text(value: float, wanted: str) -> str:
    try:
        number = float(value)
        if wanted == "xs:float":
            struct.pack("<f", number)
    except OverflowError as error:
        raise ValueError(f"{value!r} is too large for {wanted}") from error
    if number != value:
        raise ValueError(f"{value!r} cannot be told exactly as {wanted}")
    return repr(number)


def _bounded(number: int, given: str) -> int:
    low, high = _INTEGERS[given]
    if not low <= number <= high:
        raise ValueError(f"{number} is outside {given} ({low} to {high})")
    return number
