"""An event on its way out: headers, and a signature over the exact payload bytes and their type."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from plantops.events import Event, encode, event_type
from plantops.events.base import from_nanoseconds, to_nanoseconds
from plantops.events.envelope import (
    CAUSATION,
    CONTENT_TYPE,
    CORRELATION,
    DATA_SCHEMA,
    EVENT_ID,
    EVENT_SOURCE,
    EVENT_TIME,
    EVENT_TYPE,
    JSON,
    MSGPACK,
    SIGNATURE,
    SPEC_VERSION,
    TRACE,
    Message,
    data_schema,
    payload_type,
)
from plantops.events.frames import encode_frame
from plantops.events.tags import TagFrame
from plantops.ledger.dsse import detached
from plantops.ledger.keys import SigningKey
from plantops.runtime import tracing


class Signer:
    """The voice of one principal: `name` and its signing key (never its connection key)."""

    def __init__(self, name: str, key: SigningKey) -> None:
        self.name = name
        self.key = key

    def message(
        self,
        subject: str,
        event: Event,
        *,
        id: str,  # noqa: A002 - the attribute's name in CloudEvents
        time: datetime | int,
        causation: str = "",
        correlation: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Message:
        """`event` as a signed JSON message; `time` is aware, or nanoseconds since 1970 and kept exactly.

        `headers` come on top and are not signed; nor is the trace of the work at hand (`runtime.tracing`).
        """
        data = encode(event)
        envelope = self._envelope(event, data, JSON)
        envelope |= {EVENT_ID: id, EVENT_TIME: rfc3339(time)}
        if causation:
            envelope[CAUSATION] = causation
        if correlation:
            envelope[CORRELATION] = correlation
        if trace := tracing.current():
            envelope[TRACE] = trace
        return Message(subject, data, envelope | dict(headers or {}))

    def frame_message(
        self, subject: str, frame: TagFrame, *, headers: Mapping[str, str] | None = None
    ) -> Message:
        """A tag frame as a signed msgpack message; its id is `source.epoch.sequence`.

        Raises: FrameMalformed above the frame's size limit.
        """
        data = encode_frame(frame)
        envelope = self._envelope(frame, data, MSGPACK)
        envelope[EVENT_ID] = f"{frame.source}.{frame.epoch}.{frame.sequence}"
        envelope[EVENT_TIME] = rfc3339(frame.observed_at)
        return Message(subject, data, envelope | dict(headers or {}))

    def _envelope(self, event: Event, data: bytes, content: str) -> dict[str, str]:
        kind = event_type(event)
        return {
            SPEC_VERSION: "1.0",
            EVENT_TYPE: kind,
            DATA_SCHEMA: data_schema(kind, event.version),
            EVENT_SOURCE: self.name,
            CONTENT_TYPE: content,
            SIGNATURE: detached(payload_type(kind, event.version, content), data, self.key),
        }


def rfc3339(time: datetime | int) -> str:
    """UTC with nine decimals, so that nanoseconds survive."""
    nanoseconds = time if isinstance(time, int) else to_nanoseconds(time)
    return f"{from_nanoseconds(nanoseconds):%Y-%m-%dT%H:%M:%S}.{nanoseconds % 1_000_000_000:09d}Z"
