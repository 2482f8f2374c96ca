"""The quicker reading of headers gives what the client's own gives, for every header there can be."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from nats.aio.client import Client

from plantops.flow.headers import QuickClient

PIECES = st.sampled_from(
    [
        b":",
        b" ",
        b"\r\n",
        b"\n",
        b"\t",
        b"\x0b",
        b"\x1c",
        b"\x85",
        b"\x00",
        b"\xff",
        b"\xc3\xa9",
        b"ce-id",
        b"a",
    ]
)


@given(st.lists(PIECES, max_size=16).map(b"".join))
@example(b"ce-id: plc1.1.1\r\ncontent-type:application/json\r\nX:\tY \r\n\r\n")
def test_agrees_with_the_client(raw: bytes) -> None:
    assert QuickClient._parse_header_lines(raw) == Client._parse_header_lines(raw)


def test_is_what_the_client_calls() -> None:
    # Should a release rename it, this fails, and the override can go or follow.
    assert "_parse_header_lines" in vars(Client)
