"""What JetStream says on the wire, read without the client: answers, stored messages, delivery marks.

Sources: nats-architecture-and-design ADR-1 (API), ADR-15 (ack subject), ADR-50 (atomic batches),
ADR-60 (consumer reset); error codes from the server's errors.json.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final, NamedTuple, TypeVar

import msgspec

from plantops.events.base import to_nanoseconds
from plantops.flow.bus import Stored, StreamState
from plantops.runtime.errors import BrokerError, BrokerUnavailable, Conflict, Misrouted, StreamMissing

EXPECTED_STREAM: Final = "Nats-Expected-Stream"
EXPECTED_LAST: Final = "Nats-Expected-Last-Subject-Sequence"
EXPECTED_SUBJECT: Final = "Nats-Expected-Last-Subject-Sequence-Subject"
MESSAGE_ID: Final = "Nats-Msg-Id"
BATCH_ID: Final = "Nats-Batch-Id"
BATCH_SEQUENCE: Final = "Nats-Batch-Sequence"
BATCH_COMMIT: Final = "Nats-Batch-Commit"
SERVICE_ERROR: Final = "Nats-Service-Error"
MAX_BATCH: Final = 1000

_WRONG_LAST: Final = (10071, 10164)
_WRONG_STREAM: Final = 10060
_MISSING: Final = (10014, 10059)
_NO_MESSAGE: Final = 10037
_BATCH_INCOMPLETE: Final = 10176
# One of its messages is stored: the batch that was repeated, or an id that was used before.
_BATCH_REPEATED: Final = 10201


class ApiError(msgspec.Struct, frozen=True):
    """The error part of an answer."""

    code: int
    err_code: int = 0
    description: str = ""


class PubAck(msgspec.Struct, frozen=True):
    """Where a published message, or the last one of a batch, was stored."""

    stream: str = ""
    seq: int = 0
    duplicate: bool = False
    error: ApiError | None = None


class _Kept(msgspec.Struct, frozen=True):
    subject: str
    seq: int
    time: str
    data: bytes = b""
    hdrs: bytes = b""


class _Got(msgspec.Struct, frozen=True):
    message: _Kept | None = None
    error: ApiError | None = None


class _Extent(msgspec.Struct, frozen=True):
    first_seq: int
    last_seq: int


class _Info(msgspec.Struct, frozen=True):
    created: str = ""
    state: _Extent | None = None
    error: ApiError | None = None


class _Reset(msgspec.Struct, frozen=True):
    num_pending: int = 0
    error: ApiError | None = None


class Delivery(NamedTuple):
    """What an ack subject tells about a delivered message."""

    stream: str
    sequence: int
    delivery: int
    time_ns: int
    pending: int


_S = TypeVar("_S", bound=msgspec.Struct)


def _read(data: bytes, kind: type[_S]) -> _S:
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.DecodeError as error:
        raise BrokerError(f"the broker's answer cannot be read: {error}") from error


def accept(data: bytes, stream: str, expected_last: int | None) -> tuple[int, bool]:
    """The sequence in a publish answer, and whether the broker had a message of this id already.

    Raises: Conflict, Misrouted, BrokerUnavailable, BrokerError.
    """
    ack = _read(data, PubAck)
    if ack.error is None:
        if ack.stream != stream:
            raise Misrouted(
                f"stream {ack.stream!r} took a message meant for {stream!r}: look who made that stream",
                stream=stream,
            )
        return ack.seq, ack.duplicate
    if ack.error.err_code in _WRONG_LAST:
        tail = ack.error.description.rpartition(":")[2].strip()
        raise Conflict(
            f"{stream} has moved on: expected last sequence {expected_last}, {ack.error.description}",
            stream=stream,
            last=int(tail) if tail.isdigit() else None,
        )
    if ack.error.err_code == _WRONG_STREAM:
        raise Misrouted(
            f"another stream than {stream!r} holds this subject: {ack.error.description}", stream=stream
        )
    raise refused(ack.error, stream)


def refused(error: ApiError, stream: str) -> BrokerError:
    """The exception for an error that is neither a conflict nor a missing message."""
    text = f"the broker refuses on stream {stream!r}: {error.description} ({error.err_code or error.code})"
    if error.err_code in _MISSING:
        return StreamMissing(f"{text}; run the provisioner", stream=stream)
    if error.code == 503 or error.err_code in (_BATCH_INCOMPLETE, _BATCH_REPEATED):
        return BrokerUnavailable(text, stream=stream)
    return BrokerError(text, stream=stream)


def stored_message(data: bytes, stream: str) -> Stored | None:
    """The answer of STREAM.MSG.GET; None when there is no such message."""
    got = _read(data, _Got)
    if got.error is not None:
        if got.error.err_code == _NO_MESSAGE:
            return None
        raise refused(got.error, stream)
    if got.message is None:
        raise BrokerError(f"the broker's answer for {stream!r} holds neither message nor error")
    kept = got.message
    return Stored(stream, kept.seq, kept.subject, kept.data, nanoseconds(kept.time), parse_headers(kept.hdrs))


def stream_state(data: bytes, stream: str) -> StreamState:
    """The answer of STREAM.INFO."""
    info = _read(data, _Info)
    if info.error is not None:
        raise refused(info.error, stream)
    if info.state is None:
        raise BrokerError(f"the broker's answer for {stream!r} holds no state", stream=stream)
    return StreamState(info.created, info.state.first_seq, info.state.last_seq)


def pending_after_reset(data: bytes, stream: str) -> int:
    """The answer of CONSUMER.RESET: how many messages the consumer has still to deliver."""
    answer = _read(data, _Reset)
    if answer.error is not None:
        raise refused(answer.error, stream)
    return answer.num_pending


def parse_delivery(ack_subject: str) -> Delivery:
    """$JS.ACK.<stream>.<consumer>.<delivered>.<sequence>.<delivery>.<time>.<pending>, or its longer form."""
    tokens = ack_subject.split(".")
    if len(tokens) > 9:
        del tokens[2:4]  # domain and account hash
    if len(tokens) < 9 or tokens[:2] != ["$JS", "ACK"]:
        raise BrokerError(f"{ack_subject!r} is no delivery of a consumer")
    return Delivery(tokens[2], int(tokens[5]), int(tokens[6]), int(tokens[7]), int(tokens[8]))


def parse_headers(block: bytes) -> dict[str, str]:
    """Headers of a stored message: a status line, then `name: value` lines."""
    headers: dict[str, str] = {}
    for line in block.split(b"\r\n")[1:]:
        name, separator, value = line.partition(b":")
        if separator:
            headers[name.decode()] = value.strip().decode()
    return headers


def nanoseconds(text: str) -> int:
    """Nanoseconds since 1970 of an RFC 3339 time with up to nine decimals."""
    head, dot, tail = text.partition(".")
    if not dot:
        return to_nanoseconds(datetime.fromisoformat(text))
    digits = tail.rstrip("Z") if tail.endswith("Z") else tail.partition("+")[0].partition("-")[0]
    zone = tail[len(digits) :]
    return to_nanoseconds(datetime.fromisoformat(head + zone)) + int(digits.ljust(9, "0")[:9])


def expectation(
    headers: Mapping[str, str], stream: str, subject: str, expected_last: int | None, expected_subject: str
) -> dict[str, str]:
    """`headers` with the conditions under which the broker may store the message."""
    complete = {**headers, EXPECTED_STREAM: stream}
    if expected_last is not None:
        complete[EXPECTED_LAST] = str(expected_last)
        if expected_subject and expected_subject != subject:
            complete[EXPECTED_SUBJECT] = expected_subject
    return complete
