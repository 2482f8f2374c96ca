"""The client with a quicker way to read headers, which cost more than all else that it does per message.

It overrides a private function of nats-py, which gives the same result at any later release in which that
function has another name: only slower. A test holds both against each other.
"""

from __future__ import annotations

from nats.aio.client import Client


class QuickClient(Client):
    """nats-py's client, otherwise unchanged."""

    @staticmethod
    def _parse_header_lines(raw: bytes) -> dict[str, str]:
        found: dict[str, str] = {}
        for line in raw.split(b"\r\n"):
            name, colon, value = line.partition(b":")
            if not colon:
                continue
            name = name.strip()
            # What is no ASCII or has white space in it is no name (RFC 9110, 5.1), and is left out.
            if not name.isascii() or len(name.split()) > 1:
                continue
            key = name.decode()
            if not key.isprintable() and any(letter.isspace() for letter in key):
                continue
            found[key] = value.strip().decode("utf-8", "replace")
        return found
