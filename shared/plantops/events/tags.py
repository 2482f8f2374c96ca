"""Tag frames and the definitions that give their columns a meaning."""

from __future__ import annotations

import hashlib
from typing import Literal, TypeAlias

from plantops.events.base import Digest, Event, Record, Scalar, SiteName, SourceName, TagName, encode_json

Kind: TypeAlias = Literal["f8", "i8", "u8", "b1", "s"]
"""How a tag's values are packed: IEEE 754 double, signed, unsigned 64 bit, one byte 0/1, UTF-8 text."""

MAX_SAMPLES = 1000
MAX_FRAME_BYTES = 256 * 1024


class Range(Record, frozen=True):
    """A closed interval, `low <= x <= high`."""

    low: float
    high: float


class ScanGroup(Record, frozen=True):
    """Tags that are read or watched together; the unit of freshness.

    A frame that `confirms` a group says: each tag of it was seen at the frame's time and what was not
    sent has not changed. A tag is stale after two `period_ms` without confirmation.
    """

    name: str
    period_ms: int

    @property
    def stale_ns(self) -> int:
        """Age of the last confirmation above which a tag of the group is stale.

        A period of 10 ms must not make every tag stale on a hiccup: nothing is below a quarter second.
        """
        return max(2 * self.period_ms * 1_000_000, 250_000_000)


class TagDefinition(Record, frozen=True, omit_defaults=True):
    """What a tag is; fields at their default are left out, since a source may have ten thousands of tags.

    `raw` and `engineering` give the linear scaling that the adapter applied.

    `unit` is a UCUM code ("Cel", "rpm", "%"); `limits` are alarm limits in engineering units by name
    (`low_low`, `low`, `high`, `high_high`); `texts` name the values of an enumeration or the bits of a word.
    """

    name: TagName
    kind: Kind
    group: int = 0
    address: str = ""
    unit: str = ""
    description: str = ""
    writable: bool = False
    raw: Range | None = None
    engineering: Range | None = None
    clamp: bool = False
    limits: dict[str, float] = {}
    texts: dict[str, str] = {}
    deadband: float = 0.0
    area: str = ""
    alarm_priority: int = 0
    alarm_class: str = ""
    operator_position: str = ""


class SourceDefined(Event, frozen=True, tag="source.defined"):
    """The tags of a source in the order of its columns; kept for ever under its own hash (`layout`)."""

    site: SiteName
    source: SourceName
    groups: tuple[ScanGroup, ...]
    tags: tuple[TagDefinition, ...]


def layout_of(definition: SourceDefined) -> Digest:
    """Content hash of a definition: the first 32 hexadecimal digits of SHA-256 over its JSON bytes."""
    return Digest(hashlib.sha256(encode_json(definition)).hexdigest()[:32])


class Column(Record, frozen=True, array_like=True, kw_only=False):
    """Samples of one kind inside a frame.

    `index`: little-endian u32 positions in the definition, empty for all tags of this kind in order.
    `values`: packed little-endian, or a list of texts for kind `s`. `quality`: one byte per sample, or
    one number for all. `source_time`: nanoseconds before the frame's `observed_at` (i64), or one number.
    """

    kind: Kind
    index: bytes
    values: bytes | list[str]
    quality: int | bytes
    source_time: int | bytes


class TagFrame(Event, frozen=True, tag="tag.frame"):
    """Up to 1,000 samples of one source, as they travel (msgpack). Cores see a `Frame` instead.

    `sequence` rises by one within an `epoch`; `observed_at` is the adapter's clock in nanoseconds since
    1970; `confirms` holds the numbers of the scan groups that this frame confirms, a byte each.
    `historical` samples never become current and raise no alarm.
    """

    source: SourceName
    epoch: int
    sequence: int
    observed_at: int
    layout: Digest
    columns: list[Column]
    confirms: bytes = b""
    historical: bool = False


class NamedSample(Record, frozen=True):
    """One sample of a JSON frame. Non-finite floats travel as "NaN", "Infinity", "-Infinity"."""

    tag: TagName
    value: Scalar | None
    quality: int = 192
    source_time: int | str | None = None


class NamedFrame(Event, frozen=True, tag="tag.frame.named"):
    """The JSON form of a frame, for writers without msgpack; integers above 2^53 come as strings."""

    source: SourceName
    epoch: int
    sequence: int
    observed_at: int | str
    layout: Digest
    samples: list[NamedSample]
    confirms: tuple[int, ...] = ()
    historical: bool = False
