"""`python -m plantops.bench.sse_clients PORT CLIENTS SECONDS`: many readers of live events in one process.

Raw sockets, so that the readers take little of the machine: of most of them the updates are only counted, of
every `SAMPLED`th each is read, for how old it is. One line of JSON says what came.
"""

from __future__ import annotations

import re
import selectors
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

SAMPLED = 20
START_SECONDS = 60.0
_RECEIVED = 1 << 16
_CHANGED = re.compile(rb'"changed_at":"([^"]+)"')
_UPDATE = b"event: tag.changed\n"
_CUT = b"event: cut\n"


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What came within `seconds`: `updates` of all readers, `least` of the one with the fewest; `ages` in
    seconds, from the change as the twin dates it until it was read, of a sample."""

    clients: int
    seconds: float
    updates: int
    least: int
    ended: int
    ages: tuple[float, ...]
    cpu_seconds: float


@dataclass(slots=True)
class _Reader:
    connection: socket.socket
    is_sampled: bool
    rest: bytes = b""
    updates: int = 0
    ages: list[float] = field(default_factory=list)
    is_ended: bool = False

    def read(self) -> None:
        try:
            data = self.connection.recv(_RECEIVED)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data or _CUT in data:
            self.is_ended = True
            return
        now = time.time()
        # A chunk of a transfer carries whole events; one that the network cut is put together here.
        parts = (self.rest + data).split(b"\n\n")
        self.rest = parts.pop()
        for part in parts:
            if _UPDATE in part:
                self.updates += 1
                if self.is_sampled:
                    self.ages += [now - _moment(text) for text in _CHANGED.findall(part)]


def _moment(text: bytes) -> float:
    return datetime.fromisoformat(text.decode()).astimezone(UTC).timestamp()


def _connect(port: int, number: int) -> _Reader:
    connection = socket.create_connection(("127.0.0.1", port), timeout=START_SECONDS)
    head = f"GET /v1/events?types=tag HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-Roles: operator\r\n\r\n"
    connection.sendall(head.encode())
    answer = connection.recv(_RECEIVED)
    if not answer.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"reader {number} was answered {answer[:200]!r}")
    connection.setblocking(False)
    return _Reader(connection, number % SAMPLED == 0)


def read(port: int, clients: int, seconds: float) -> Seen:
    """All are connected first; then counts begin. What was heard before is forgotten."""
    with selectors.DefaultSelector() as selector:
        readers = []
        for number in range(clients):
            readers.append(_connect(port, number))
            selector.register(readers[-1].connection, selectors.EVENT_READ, readers[-1])
            _read_for(selector, 0.0)
        _read_for(selector, min(2.0, seconds))
        for reader in readers:
            reader.updates, reader.ages = 0, []
        begun, used = time.monotonic(), time.process_time()
        _read_for(selector, seconds)
        elapsed = time.monotonic() - begun
        for reader in readers:
            reader.connection.close()
    return Seen(
        clients=clients,
        seconds=elapsed,
        updates=sum(reader.updates for reader in readers),
        least=min(reader.updates for reader in readers),
        ended=sum(reader.is_ended for reader in readers),
        ages=tuple(age for reader in readers for age in reader.ages),
        cpu_seconds=time.process_time() - used,
    )


def _read_for(selector: selectors.BaseSelector, seconds: float) -> None:
    until = time.monotonic() + seconds
    while True:
        for key, _events in selector.select(max(0.0, until - time.monotonic())):
            reader: _Reader = key.data
            reader.read()
            if reader.is_ended:
                selector.unregister(reader.connection)
        if time.monotonic() >= until:
            return


def main(words: Sequence[str]) -> None:
    """The three words of the module's line."""
    port, clients, seconds = int(words[0]), int(words[1]), float(words[2])
    sys.stdout.write(msgspec.json.encode(read(port, clients, seconds)).decode() + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
