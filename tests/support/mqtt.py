"""The first two packets of MQTT 3.1.1: enough to see who is let in."""

from __future__ import annotations

import socket
import ssl

ACCEPTED, NOT_AUTHORISED = 0, 5  # return codes of CONNACK (MQTT 3.1.1, table 3.1)


def connect(port: int, user: str = "", password: str = "", tls: ssl.SSLContext | None = None) -> int:
    """Connect to loopback and give the broker's return code. Raises: OSError when there is no broker."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        wire = tls.wrap_socket(plain, server_hostname="localhost") if tls else plain
        flags = 0x02 | (0xC0 if user else 0)  # clean session; user name and password follow
        payload = b"".join(_text(word) for word in ("tester", *([user, password] if user else [])))
        body = _text("MQTT") + bytes([4, flags, 0, 30]) + payload
        wire.sendall(bytes([0x10, len(body)]) + body)
        answer = wire.recv(4)
        if wire is not plain:
            wire.close()
    if len(answer) != 4 or answer[0] != 0x20:
        raise ConnectionError(f"no CONNACK: {answer!r}")
    return answer[3]


def _text(word: str) -> bytes:
    data = word.encode()
    return len(data).to_bytes(2, "big") + data
