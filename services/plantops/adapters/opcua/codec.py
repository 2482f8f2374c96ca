"""Values between OPC UA's variants and tags: exact, or refused."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Final

from asyncua import ua

from plantops.adapters.opcua.address import Address, ValueType
from plantops.adapters.opcua.nodes import variant_type
from plantops.adapters.opcua.status import quality_of
from plantops.events.base import Scalar
from plantops.events.frames import Sample
from plantops.events.quality import Quality
from plantops.events.tags import Range, TagDefinition
from plantops.runtime.errors import WriteRejected

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
# OPC UA Part 6, 5.2.2.5: 1601-01-01 stands for "no time"; a frame's offset holds 292 years.
_EARLIEST: Final = datetime(1900, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)

_INTEGERS: Final = frozenset(
    (
        ua.VariantType.SByte,
        ua.VariantType.Byte,
        ua.VariantType.Int16,
        ua.VariantType.UInt16,
        ua.VariantType.Int32,
        ua.VariantType.UInt32,
        ua.VariantType.Int64,
        ua.VariantType.UInt64,
    )
)
_FLOATS: Final = frozenset((ua.VariantType.Float, ua.VariantType.Double))
_EXACT_IN_DOUBLE: Final = 2**53
_FLOAT_MAX: Final = (2 - 2**-23) * 2.0**127
# A frame holds 256 KiB; one text must not fill it alone.
MAX_TEXT_BYTES: Final = 32 * 1024

_BAD: Final = int(Quality.BAD)
_NO_VALUE_OF_THIS_TYPE: Final = int(Quality.BAD_CONFIGURATION)
_NO_NUMBER: Final = int(Quality.BAD_SENSOR_FAILURE)
_OUT_OF_RANGE: Final = int(Quality.UNCERTAIN_RANGE)
_GOOD: Final = int(Quality.GOOD)
_CLASS: Final = 0xC0


class TagCodec:
    """One tag: what the server's data values mean, and how a value is written.

    `decode` is the hot path: one call per changed value.
    """

    __slots__ = ("_is_plain", "_tag", "_variant", "address", "index", "type")

    def __init__(self, index: int, tag: TagDefinition, address: Address) -> None:
        self.index = index
        self.address = address
        self.type: ValueType = address.type
        self._tag = tag
        self._variant = variant_type(address.type)
        # A good integer or truth value of the declared type is passed on as it is.
        self._is_plain = tag.raw is None and address.type.kind in ("i8", "u8", "b1")

    def decode(self, data: ua.DataValue) -> Sample:
        """A sample whatever the server said; a value that is not exactly of this tag's kind becomes bad."""
        status = data.StatusCode
        quality = _GOOD if status is None or status.value == 0 else quality_of(status.value)
        value: Scalar | None = None
        if quality & _CLASS:
            variant = data.Value
            if variant is None or variant.Value is None:
                quality = _BAD
            elif self._is_plain and variant.VariantType is self._variant and not variant.is_array:
                value = variant.Value
            else:
                value, worse = self._reading(variant)
                quality = quality if worse == _GOOD else min(worse, quality)
        return Sample(self.index, value, quality, source_time(data.SourceTimestamp))

    def encode(self, value: Scalar) -> ua.Variant:
        """Raises: WriteRejected when `value` does not fit the tag's type or engineering range."""
        if not self._tag.writable:
            raise self._rejected("it is not writable; set writable = true in the source's file if it may be")
        kind = self.type.kind
        if kind == "s":
            if not isinstance(value, str):
                raise self._rejected(f"{value!r} is no text")
            return ua.Variant(value, self._variant)
        if kind == "b1":
            if not isinstance(value, bool):
                raise self._rejected(f"{value!r} is neither true nor false")
            return ua.Variant(value, self._variant)
        return ua.Variant(self._raw_number(value), self._variant)

    def _raw_number(self, value: Scalar) -> int | float:
        if isinstance(value, bool | str) or (isinstance(value, float) and not math.isfinite(value)):
            raise self._rejected(f"{value!r} is no finite number")
        tag = self._tag
        raw = value
        if tag.engineering is not None:
            low, high = _low(tag.engineering), _high(tag.engineering)
            if not low <= value <= high:
                raise self._rejected(f"{value!r} is not in {low!r}..{high!r} {tag.unit}".rstrip())
            if tag.raw is not None:
                raw = _scaled(float(value), tag.engineering, tag.raw)
                raw = round(raw) if self.type.is_integer else raw
        if not self.type.is_integer:
            return self._float(raw)
        if raw != int(raw) or not self.type.low <= raw <= self.type.high:
            raise self._rejected(f"{value!r} is no {self.type.name}")
        return int(raw)

    def _float(self, raw: int | float) -> float:
        limit = _FLOAT_MAX if self.type.name == "float" else math.inf
        if isinstance(raw, int) and abs(raw) > _EXACT_IN_DOUBLE:
            raise self._rejected(f"{raw!r} cannot be written exactly as a {self.type.name}")
        if abs(raw) > limit:
            raise self._rejected(f"{raw!r} is too large for a {self.type.name}")
        return float(raw)

    def _reading(self, variant: ua.Variant) -> tuple[Scalar | None, int]:
        plain = plain_value(variant, self.type)
        if plain is None:
            return None, _NO_VALUE_OF_THIS_TYPE
        if isinstance(plain, str) or self.type.kind == "b1":
            return plain, _GOOD
        tag = self._tag
        if tag.raw is None or tag.engineering is None:
            worse = _quality_of_number(plain)
            return (None if worse == _NO_NUMBER else plain), worse
        number, quality = float(plain), _GOOD
        if tag.clamp and not math.isnan(number):
            clamped = min(max(number, _low(tag.raw)), _high(tag.raw))
            # What was clamped is not what the device gave.
            quality = _GOOD if clamped == number else _OUT_OF_RANGE
            number = clamped
        number = _scaled(number, tag.raw, tag.engineering)
        worse = _quality_of_number(number)
        return (None, worse) if worse == _NO_NUMBER else (number, min(quality, worse))

    def _rejected(self, why: str) -> WriteRejected:
        return WriteRejected(f"tag {self._tag.name!r} was not written: {why}", tag=self._tag.name)


def plain_value(variant: ua.Variant, kind: ValueType) -> Scalar | None:
    """The scalar of `variant` as a value of `kind` where that is exact, else None."""
    value, given = variant.Value, variant.VariantType
    if value is None or variant.is_array:
        return None
    if kind.kind == "f8":
        if given in _FLOATS:
            return float(value)
        return float(value) if given in _INTEGERS and abs(value) <= _EXACT_IN_DOUBLE else None
    if kind.is_integer:
        return int(value) if given in _INTEGERS and kind.low <= value <= kind.high else None
    if kind.kind == "b1":
        return bool(value) if given is ua.VariantType.Boolean else None
    if given is not ua.VariantType.String or len(value.encode()) > MAX_TEXT_BYTES:
        return None
    return str(value)


def source_time(stamp: datetime | None) -> int | None:
    """Nanoseconds since 1970; None where the server gave no time, or one that cannot be meant."""
    if stamp is None or not _EARLIEST <= stamp <= _LATEST:
        return None
    return (stamp - _EPOCH) // _MICROSECOND * 1000


def _quality_of_number(number: int | float) -> int:
    if isinstance(number, int) or math.isfinite(number):
        return _GOOD
    return _NO_NUMBER if math.isnan(number) else _OUT_OF_RANGE


def _low(bounds: Range) -> float:
    return min(bounds.low, bounds.high)


def _high(bounds: Range) -> float:
    return max(bounds.low, bounds.high)


def _scaled(value: float, source: Range, target: Range) -> float:
    return target.low + (value - source.low) * (target.high - target.low) / (source.high - source.low)
