"""The root of everything that can be said on the wire."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, ClassVar, NewType, TypeAlias

import msgspec

SiteName = NewType("SiteName", str)
SourceName = NewType("SourceName", str)
TagName = NewType("TagName", str)
AssetName = NewType("AssetName", str)
OperationName = NewType("OperationName", str)
PrincipalName = NewType("PrincipalName", str)
CommandId = NewType("CommandId", str)
Digest = NewType("Digest", str)
"""Lower-case hexadecimal SHA-256 of exact bytes."""

Scalar: TypeAlias = bool | int | float | str
"""A tag value or argument. Absence is `None`, and absence is never good."""

# One subject token of NATS; also a file name and a DNS label apart from the underscore.
TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A value on the wire. Readers ignore fields that they do not know; new fields have defaults."""


class Event(Record, frozen=True, kw_only=True, tag_field="type"):
    """A fact, in the past tense, with one meaning for ever.

    `tag` (the stable string in the field `type`) never follows a rename of the class. A new meaning
    is a new `version`, and the bytes of the old one stay readable: `also_reads` are the older versions whose
    bytes decode into this class with their own meaning. Where that cannot be, the old class stays beside a
    new type (`schemas/COMPAT.md`).
    """

    version: ClassVar[int] = 1
    also_reads: ClassVar[tuple[int, ...]] = ()


def event_type(event: Event | type[Event]) -> str:
    """The stable type string, for example `command.permitted`."""
    tag = event.__struct_config__.tag
    if not isinstance(tag, str):
        raise TypeError(f"{event!r} carries no type string: give its class tag=")
    return tag


def is_token(text: str) -> bool:
    """Whether `text` may stand as one token of a subject (no dots, no wildcards, 1 to 64 characters)."""
    return TOKEN.fullmatch(text) is not None


def from_nanoseconds(nanoseconds: int) -> datetime:
    """UTC time of an integer count of nanoseconds since 1970, truncated to microseconds."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return datetime.fromtimestamp(seconds, tz=UTC).replace(microsecond=rest // 1000)


def to_nanoseconds(moment: datetime) -> int:
    """Nanoseconds since 1970 of an aware time; exact, never through a float."""
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return ((delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds) * 1000


def encode_json(value: Any) -> bytes:
    """JSON bytes of a record, with keys in a fixed order, so that equal values give equal bytes.

    Non-finite floats have no JSON form: a control event never carries one (a missing value is null with
    a bad quality), and frames have their own encoding.
    """
    return _JSON.encode(value)


_JSON = msgspec.json.Encoder(order="deterministic")
