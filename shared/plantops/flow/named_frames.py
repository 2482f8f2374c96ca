"""The JSON form of a frame, turned into the one that cores see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from plantops.events.base import Scalar, TagName
from plantops.events.frames import Frame, FrameMalformed, Sample, pack, resolve
from plantops.events.quality import Quality, has_value
from plantops.events.tags import Kind, NamedFrame, NamedSample, SourceDefined

_WORDS: Final[Mapping[str, float]] = {
    "NaN": float("nan"),
    "Infinity": float("inf"),
    "-Infinity": float("-inf"),
}
_RANGES: Final[Mapping[str, tuple[int, int]]] = {"i8": (-(2**63), 2**63 - 1), "u8": (0, 2**64 - 1)}
_MAX_NANOSECONDS: Final = 2**62


def frame_of(named: NamedFrame, definition: SourceDefined) -> Frame:
    """A value that does not fit its tag becomes a sample with bad quality: never dropped, never guessed.

    Raises: FrameMalformed for tags that the definition does not know, and impossible times.
    """
    places: dict[TagName, int] = {tag.name: index for index, tag in enumerate(definition.tags)}
    observed_at = _time(named.observed_at)
    samples = [_sample(sample, places, definition) for sample in named.samples]
    packed = pack(
        definition,
        named.layout,
        samples,
        epoch=named.epoch,
        sequence=named.sequence,
        observed_at=observed_at,
        confirms=_groups(named, definition),
        historical=named.historical,
    )
    return resolve(packed, definition)


def _groups(named: NamedFrame, definition: SourceDefined) -> tuple[int, ...]:
    if any(not 0 <= group < len(definition.groups) for group in named.confirms):
        raise FrameMalformed(f"confirms {named.confirms}, but there are {len(definition.groups)} groups")
    return named.confirms


def _sample(sample: NamedSample, places: Mapping[TagName, int], definition: SourceDefined) -> Sample:
    index = places.get(sample.tag)
    if index is None:
        raise FrameMalformed(f"tag {sample.tag!r} is not in the definition of {definition.source!r}")
    time = None if sample.source_time is None else _time(sample.source_time)
    quality = sample.quality if 0 <= sample.quality <= 255 else int(Quality.BAD)
    value = _value(sample.value, definition.tags[index].kind)
    if value is None and has_value(quality):
        quality = int(Quality.BAD if sample.value is None else Quality.BAD_CONFIGURATION)
    return Sample(index, value if has_value(quality) else None, quality, time)


def _value(value: Scalar | None, kind: Kind) -> Scalar | None:
    """`value` as its kind demands it, None where it cannot be."""
    match kind:
        case "s":
            return value if isinstance(value, str) else None
        case "b1":
            return value if isinstance(value, bool) else None
        case "f8":
            return _float(value)
        case _:
            return _integer(value, *_RANGES[kind])


def _float(value: Scalar | None) -> float | None:
    if isinstance(value, str):
        return _WORDS.get(value)
    if isinstance(value, bool) or value is None:
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _integer(value: Scalar | None, low: int, high: int) -> int | None:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        return None
    try:
        number = int(value)
    except ValueError:
        return None
    return number if low <= number <= high else None


def _time(value: int | str) -> int:
    try:
        nanoseconds = int(value)
    except ValueError as error:
        raise FrameMalformed(f"{value!r} is no time in nanoseconds") from error
    if not -_MAX_NANOSECONDS < nanoseconds < _MAX_NANOSECONDS:
        raise FrameMalformed(f"time {nanoseconds} is out of range")
    return nanoseconds
