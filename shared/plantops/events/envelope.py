"""A message and its envelope attributes: CloudEvents 1.0 in binary mode, as NATS headers.

The payload stays the plain event. The signature is a DSSE signature over the exact payload bytes and
the payload type, carried beside them, so that anybody can read what was signed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

EVENT_ID = "ce-id"
EVENT_TYPE = "ce-type"
EVENT_SOURCE = "ce-source"
EVENT_TIME = "ce-time"
SPEC_VERSION = "ce-specversion"
CONTENT_TYPE = "content-type"
CORRELATION = "plantops-correlation"
CAUSATION = "plantops-causation"
SIGNATURE = "plantops-signature"
POSITION = "plantops-position"
"""Input positions that a processor's stored batch stands for, JSON {stream: sequence}."""
TRACE = "traceparent"

JSON = "application/json"
MSGPACK = "application/msgpack"


@dataclass(frozen=True, slots=True)
class Message:
    """Bytes on a subject, with headers."""

    subject: str
    data: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    def header(self, name: str) -> str:
        """The header's text, empty where there is none."""
        return self.headers.get(name, "")


def payload_type(event_type: str, version: int, content: str = JSON) -> str:
    """The DSSE payload type that a signature over an event is bound to."""
    return f"application/vnd.plantops.{event_type}.v{version}+{'json' if content == JSON else 'msgpack'}"
