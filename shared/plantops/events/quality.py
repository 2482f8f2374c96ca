"""Quality of a sample: the OPC classic byte (OPC DA 3.0, 6.8), one for all protocols."""

from __future__ import annotations

from enum import IntEnum


class Quality(IntEnum):
    """Bits 7-6 are the class (bad 0, uncertain 1, good 3), bits 5-2 the sub-status."""

    BAD = 0
    BAD_CONFIGURATION = 4
    BAD_NOT_CONNECTED = 8
    BAD_DEVICE_FAILURE = 12
    BAD_SENSOR_FAILURE = 16
    BAD_LAST_KNOWN = 20
    BAD_COMMUNICATION = 24
    BAD_OUT_OF_SERVICE = 28
    BAD_WAITING = 32
    UNCERTAIN = 64
    UNCERTAIN_LAST_USABLE = 68
    UNCERTAIN_SENSOR = 80
    UNCERTAIN_RANGE = 84
    UNCERTAIN_SUBNORMAL = 88
    GOOD = 192
    GOOD_LOCAL_OVERRIDE = 216


CLASS_MASK = 0xC0


def is_good(quality: int) -> bool:
    """Whether the class is good; a local override is good but see `is_override`."""
    return quality & CLASS_MASK == Quality.GOOD


def is_bad(quality: int) -> bool:
    """Whether the class is bad (or the reserved class 2, which is treated as bad)."""
    return quality & CLASS_MASK not in (Quality.GOOD, Quality.UNCERTAIN)


def is_override(quality: int) -> bool:
    """Whether somebody set the value by hand at the device or its driver."""
    return quality & 0xFC == Quality.GOOD_LOCAL_OVERRIDE


def has_value(quality: int) -> bool:
    """Whether the value beside this quality means anything: bad ones carry none but `last known value`."""
    return not is_bad(quality) or quality & 0xFC == Quality.BAD_LAST_KNOWN


def quality_name(quality: int) -> str:
    """A word for people: the exact name where the byte has one, else its class."""
    try:
        return Quality(quality & 0xFC).name.lower()
    except ValueError:
        return {Quality.GOOD: "good", Quality.UNCERTAIN: "uncertain"}.get(
            Quality(quality & CLASS_MASK) if quality & CLASS_MASK in (64, 192) else Quality.BAD, "bad"
        )
