"""Values of a query as text: for people, for spreadsheets, and as JSON."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
from rich.text import Text

_MAX_EXACT = 2**53


def shown_cell(value: Any) -> Text:
    """For people: six digits, milliseconds, and nothing for no value; no mark in it is a colour."""
    return Text(_shown(value))


def _shown(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.6g}"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M:%S}.{value.microsecond // 1000:03d}"
        case _:
            return " ".join(str(plain(value)).split())


def plain(value: Any) -> Any:
    """For spreadsheets: everything exactly, times in ISO 8601 and UTC."""
    match value:
        case datetime():
            utc = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
            return f"{utc.isoformat()}Z"
        case bool():
            return "true" if value else "false"
        case bytes():
            return value.hex()
        case _:
            return value


def json_row(value: Any) -> str:
    """JSON on one line. What JSON cannot say or others would round is text, as on the wire."""
    return msgspec.json.encode(_json(value), enc_hook=str).decode()


def _json(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _json(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_json(one) for one in value]
    return _json_scalar(value)


def _json_scalar(value: Any) -> Any:
    match value:
        case bool():
            return value
        case int() if abs(value) > _MAX_EXACT:
            return str(value)
        case float() if not math.isfinite(value):
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        case datetime() | bytes():
            return plain(value)
        case Decimal():
            return str(value)
        case _:
            return value
