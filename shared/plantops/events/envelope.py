"""A message and its envelope attributes: CloudEvents 1.0 in binary mode, as NATS headers.

The payload stays the plain event. The signature is a DSSE signature over the exact payload bytes and
the payload type, carried beside them, so that anybody can read what was signed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from plantops.events.unreadable import EventUnreadable

EVENT_ID = "ce-id"
EVENT_TYPE = "ce-type"
EVENT_SOURCE = "ce-source"
EVENT_TIME = "ce-time"
DATA_SCHEMA = "ce-dataschema"
"""Type and version of the payload; a message without it is of version 1 (`BEFORE_VERSIONS`)."""
SPEC_VERSION = "ce-specversion"
CONTENT_TYPE = "content-type"
CORRELATION = "plantops-correlation"
CAUSATION = "plantops-causation"
SIGNATURE = "plantops-signature"
POSITION = "plantops-position"
"""Input positions that a processor's stored batch stands for, JSON {stream: sequence}."""
TRACE = "traceparent"

BEFORE_VERSIONS = 1
JSON = "application/json"
MSGPACK = "application/msgpack"


@dataclass(frozen=True, slots=True)
class Message:
    """Bytes on a subject, with headers; `reply` is where a request is answered, its name until then."""

    subject: str
    data: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    reply: str = ""

    def header(self, name: str) -> str:
        """The header's text, empty where there is none."""
        return self.headers.get(name, "")


_SCHEMA = re.compile(r"urn:plantops:event:([a-z0-9_.]+):([1-9][0-9]{0,8})")


def data_schema(event_type: str, version: int) -> str:
    """The name of an event's JSON Schema, for `DATA_SCHEMA`."""
    return f"urn:plantops:event:{event_type}:{version}"


def read_data_schema(text: str) -> tuple[str, int]:
    """Type and version in a `DATA_SCHEMA` header. Raises: EventUnreadable when it names no event."""
    match = _SCHEMA.fullmatch(text)
    if match is None:
        raise EventUnreadable(
            f"the header {DATA_SCHEMA} says {text!r}: it must be urn:plantops:event:<type>:<version>"
        )
    return match[1], int(match[2])


def payload_type(event_type: str, version: int, content: str = JSON) -> str:
    """The DSSE payload type that a signature over an event is bound to."""
    return f"application/vnd.plantops.{event_type}.v{version}+{'json' if content == JSON else 'msgpack'}"
