"""What the broker says is read exactly, in every form that it may take."""

from __future__ import annotations

import pytest

from plantops.flow import wire
from plantops.flow.bus import Stored
from plantops.runtime.errors import BrokerError, BrokerUnavailable, Conflict, Misrouted, StreamMissing


@pytest.mark.parametrize(
    "subject",
    [
        "$JS.ACK.TAGS.twin.1.17.5.1795324053449342965.9",
        "$JS.ACK._.HASH.TAGS.twin.1.17.5.1795324053449342965.9.random",
        "$JS.ACK.hub.HASH.TAGS.twin.1.17.5.1795324053449342965.9",
    ],
)
def test_reads_a_delivery_in_both_forms(subject: str) -> None:
    assert wire.parse_delivery(subject) == ("TAGS", 17, 5, 1795324053449342965, 9)


def test_refuses_what_is_no_delivery() -> None:
    with pytest.raises(BrokerError):
        wire.parse_delivery("_INBOX.somebody.else")


def test_reads_a_stored_message_with_its_headers_and_nanoseconds() -> None:
    answer = (
        b'{"message":{"subject":"tag.demo.a","seq":7,"hdrs":"TkFUUy8xLjANCmNlLWlkOiBhOmINCg0K","data":"eHg=",'
        b'"time":"2026-01-01T00:00:00.123456789Z"}}'
    )
    time_ns = 1_767_225_600_123_456_789
    wanted = Stored("TAGS", 7, "tag.demo.a", b"xx", time_ns, {"ce-id": "a:b"})
    assert wire.stored_message(answer, "TAGS") == wanted


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b'{"stream":"OTHER","seq":1}', Misrouted),
        (b'{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 5"}}', Conflict),
        (
            b'{"error":{"code":400,"err_code":10060,"description":"expected stream does not match"}}',
            Misrouted,
        ),
        (b'{"error":{"code":404,"err_code":10059,"description":"stream not found"}}', StreamMissing),
        (
            b'{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"}}',
            BrokerUnavailable,
        ),
        (b'{"error":{"code":400,"err_code":10176,"description":"batch abandoned"}}', BrokerUnavailable),
        (b'{"error":{"code":400,"err_code":10054,"description":"message too large"}}', BrokerError),
        (b"not json", BrokerError),
    ],
)
def test_every_refusal_says_what_to_do(answer: bytes, error: type[BrokerError]) -> None:
    with pytest.raises(BrokerError) as caught:
        wire.accept(answer, "TAGS", 4)
    assert type(caught.value) is error


def test_a_conflict_tells_the_real_last_sequence() -> None:
    with pytest.raises(Conflict) as caught:
        wire.accept(
            b'{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 5"}}', "TAGS", 4
        )
    assert caught.value.last == 5
