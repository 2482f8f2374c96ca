"""Status codes of OPC UA as the OPC classic quality byte (OPC UA Part 8, 6.4.3 and Part 4, 7.39)."""

from __future__ import annotations

from typing import Final

from asyncua import ua
from asyncua.ua.status_codes import get_name_and_doc

from plantops.events.quality import Quality

Codes = ua.StatusCodes

# The low half holds flags and limit bits; the code proper is the upper half.
_CODE_MASK: Final = 0xFFFF0000
_SEVERITY_SHIFT: Final = 30
# Part 4, table 176: InfoType DataValue (bits 10-11 = 01) makes bit 7 mean that the queue overflowed.
_OVERFLOW_MASK: Final = 0x0C80
_OVERFLOW: Final = 0x0480

_BY_SEVERITY: Final = (Quality.GOOD, Quality.UNCERTAIN, Quality.BAD, Quality.BAD)

_NAMES: Final[dict[Quality, tuple[str, ...]]] = {
    Quality.GOOD_LOCAL_OVERRIDE: ("GoodLocalOverride",),
    Quality.UNCERTAIN_LAST_USABLE: ("UncertainLastUsableValue", "UncertainNoCommunicationLastUsableValue"),
    Quality.UNCERTAIN_SENSOR: ("UncertainSensorNotAccurate", "UncertainSensorCalibration"),
    Quality.UNCERTAIN_RANGE: (
        "UncertainEngineeringUnitsExceeded",
        "UncertainOverRange",
        "UncertainUnderRange",
    ),
    Quality.UNCERTAIN_SUBNORMAL: ("UncertainSubNormal", "UncertainDataSubNormal"),
    Quality.BAD_CONFIGURATION: (
        "BadConfigurationError",
        "BadNodeIdUnknown",
        "BadNodeIdInvalid",
        "BadAttributeIdInvalid",
        "BadNotReadable",
        "BadNotSupported",
        "BadUserAccessDenied",
        "BadIndexRangeInvalid",
        "BadIndexRangeNoData",
        "BadDataEncodingInvalid",
        "BadDataEncodingUnsupported",
        "BadTypeMismatch",
        "BadTooManyMonitoredItems",
        "BadMonitoredItemFilterInvalid",
        "BadMonitoredItemFilterUnsupported",
        "BadFilterNotAllowed",
    ),
    Quality.BAD_NOT_CONNECTED: ("BadNotConnected", "BadServerNotConnected"),
    Quality.BAD_DEVICE_FAILURE: (
        "BadDeviceFailure",
        "BadInternalError",
        "BadEncodingError",
        "BadDecodingError",
    ),
    Quality.BAD_SENSOR_FAILURE: ("BadSensorFailure",),
    Quality.BAD_COMMUNICATION: (
        "BadNoCommunication",
        "BadCommunicationError",
        "BadTimeout",
        "BadRequestTimeout",
        "BadConnectionClosed",
        "BadDisconnect",
        "BadServerTooBusy",
        "BadResourceUnavailable",
    ),
    Quality.BAD_OUT_OF_SERVICE: ("BadOutOfService", "BadShutdown", "BadServerHalted"),
    Quality.BAD_WAITING: (
        "BadWaitingForInitialData",
        "BadWaitingForResponse",
        "BadNoData",
        "BadNoDataAvailable",
        "BadDataUnavailable",
    ),
}
_TABLE: Final[dict[int, Quality]] = {
    getattr(Codes, name): quality for quality, names in _NAMES.items() for name in names
}

REFUSED_WRITES: Final[frozenset[int]] = frozenset(
    (
        Codes.BadNotWritable,
        Codes.BadTypeMismatch,
        Codes.BadOutOfRange,
        Codes.BadUserAccessDenied,
        Codes.BadWriteNotSupported,
        Codes.BadNodeIdUnknown,
        Codes.BadNodeIdInvalid,
        Codes.BadAttributeIdInvalid,
        Codes.BadIndexRangeInvalid,
        Codes.BadIndexRangeNoData,
        Codes.BadDataEncodingInvalid,
        Codes.BadDataEncodingUnsupported,
        Codes.BadServiceUnsupported,
        Codes.BadLocked,
        Codes.BadRequiresLock,
        Codes.BadSecurityModeInsufficient,
    )
)
"""Answers to a write after which it is certain that nothing was written (Part 4, 5.10.4.3)."""


def quality_of(code: int) -> int:
    """The quality byte of a status code; one that is not in the table keeps its severity.

    The limit bits (Part 4, 7.39.1: bits 8-9) mean the same as in the classic byte and are kept there.
    """
    known = _TABLE.get(code & _CODE_MASK)
    quality = _BY_SEVERITY[code >> _SEVERITY_SHIFT] if known is None else known
    if code & 0x0C00 == 0x0400:
        return quality | (code >> 8) & 0x03
    return int(quality)


def is_overflow(code: int) -> bool:
    """Whether the server discarded values of this item since the last notification."""
    return code & _OVERFLOW_MASK == _OVERFLOW


def is_good_status(code: int) -> bool:
    """By severity: whatever flags the low half carries."""
    return code >> _SEVERITY_SHIFT == 0


def code_name(code: int) -> str:
    """For people: the standard's name, or the number where it has none."""
    name: str = get_name_and_doc(code & _CODE_MASK)[0]
    return name if name and not name.startswith("Unknown") else f"{code:#010x}"
