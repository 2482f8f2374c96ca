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
    EVENT_ID,
    EVENT_SOURCE,
    EVENT_TIME,
    EVENT_TYPE,
    JSON,
    MSGPACK,
    SIGNATURE,
    SPEC_VERSION,
    Message,
    payload_type,
)
from plantops.events.frames import encode_frame
from plantops.events.tags import TagFrame
from plantops.ledger.dsse import detached
from plantops.ledger.keys import SigningKey


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

        `headers` come on top and are not signed.
        """
        return self._sign(subject, event, encode(event), JSON, id, time, causation, correlation, headers)

    def frame_message(
        self, subject: str, frame: TagFrame, *, headers: Mapping[str, str] | None = None
    ) -> Message:
        """A tag frame as a signed msgpack message; its id is `source.epoch.sequence`.

        Raises: FrameMalformed above the frame's size limit.
        """
        identity = f"{frame.source}.{frame.epoch}.{frame.sequence}"
        data = encode_frame(frame)
        return self._sign(subject, frame, data, MSGPACK, identity, frame.observed_at, "", "", headers)

    def _sign(
        self,
        subject: str,
        event: Event,
        data: bytes,
        content: str,
        identity: str,
        time: datetime | int,
        causation: str,
        correlation: str,
        headers: Mapping[str, str] | None,
    ) -> Message:
        kind = event_type(event)
        envelope = {
            SPEC_VERSION: "1.0",
            EVENT_ID: identity,
            EVENT_TYPE: kind,
            EVENT_SOURCE: self.name,
            EVENT_TIME: rfc3339(time),
            CONTENT_TYPE: content,
            SIGNATURE: detached(payload_type(kind, event.version, content), data, self.key),
        }
        if causation:
            envelope[CAUSATION] = causation
        if correlation:
            envelope[CORRELATION] = correlation
        return Message(subject, data, {**envelope, **(headers or {})})


def rfc3339(time: datetime | int) -> str:
    """UTC with nine decimals, so that nanoseconds survive."""
    nanoseconds = time if isinstance(time, int) else to_nanoseconds(time)
    return f"{from_nanoseconds(nanoseconds):%Y-%m-%dT%H:%M:%S}.{nanoseconds % 1_000_000_000:09d}Z"
