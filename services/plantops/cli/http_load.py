"""Loads an HTTP server with one request again and again, over connections that stay open.

It speaks as much of HTTP/1.1 (RFC 9112) as our gateway answers with, no more, so that it takes little of the
machine whose server it measures.
"""

from __future__ import annotations

import asyncio
import math
import ssl
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias
from urllib.parse import urlsplit

import msgspec

from plantops.runtime.errors import SettingsError

MAX_BODY: Final = 16 * 1024 * 1024
"""Answers that are larger count as lost."""

LOST: Final = "lost"
TIMED_OUT: Final = "timed out"
REFUSED: Final = "no connection"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an answer counts as: a short word of it, and whether it is an error."""

    word: str
    is_error: bool


Judge: TypeAlias = Callable[[int, bytes], Verdict]


@dataclass(frozen=True, slots=True)
class Request:
    """Bytes that are sent, and where to."""

    host: str
    port: int
    data: bytes
    tls: bool = False

    @classmethod
    def of(
        cls, url: str, method: str, path: str, headers: Mapping[str, str] = {}, body: bytes = b""
    ) -> Request:
        """Raises: SettingsError for a URL that is none, and for headers that would be two."""
        parts = urlsplit(url)
        try:
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError as error:
            raise SettingsError(
                f"{url!r} has no usable port: write http://host:port", setting="url"
            ) from error
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SettingsError(f"{url!r} is no address: write http://host:port", setting="url")
        lines = {"Host": parts.netloc.rpartition("@")[2], **headers}
        if body or method == "POST":
            lines |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
        for name, value in lines.items():
            if not (name + value).isascii() or not (name + value).isprintable():
                raise SettingsError(f"header {name}: {value!r} cannot be sent", setting=name)
        head = f"{method} {parts.path.rstrip('/')}{path} HTTP/1.1\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        return cls(parts.hostname, port, f"{head}\r\n".encode() + body, parts.scheme == "https")


@dataclass
class Loaded:
    """What came of it. `seconds` are of answered requests, good or not; `elapsed` of the whole."""

    seconds: list[float] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    elapsed: float = 0.0

    @property
    def requests(self) -> int:
        return sum(self.answers.values()) + sum(self.errors.values())

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return sum(self.answers.values()) / self.elapsed if self.elapsed else 0.0

    @property
    def error_rate(self) -> float:
        """Of all requests; 1 when there was none."""
        return sum(self.errors.values()) / self.requests if self.requests else 1.0


def by_status(status: int, body: bytes) -> Verdict:
    """Anything from 400 on is an error, named by the code of its envelope."""
    if status < 400:
        return Verdict(str(status), is_error=False)
    try:
        code = msgspec.json.decode(body)["error"]["code"]
    except (msgspec.DecodeError, KeyError, TypeError):
        return Verdict(str(status), is_error=True)
    return Verdict(f"{status} {code}"[:80], is_error=True)


class _Lost(Exception):
    """The server ended a connection in the middle, or answered what is no HTTP."""


class _Connection:
    """One connection, opened anew when the server has closed it."""

    def __init__(self, request: Request, context: ssl.SSLContext | None) -> None:
        self._request, self._context = request, context
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self) -> tuple[int, bytes]:
        """Send it, read the answer. Raises: _Lost, OSError."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(
                self._request.host, self._request.port, ssl=self._context, limit=1 << 20
            )
        reader, writer = self._streams
        try:
            writer.write(self._request.data)
            head = await reader.readuntil(b"\r\n\r\n")
            status, length, closes = _head(head)
            body = await reader.readexactly(length) if length else b""
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
            raise _Lost from error
        if closes:
            self.close()
        return status, body

    def close(self) -> None:
        """Cut it."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None


def _head(head: bytes) -> tuple[int, int, bool]:
    """(status, length of the body, whether the server closes). Raises: ValueError."""
    first, *lines = head.lower().split(b"\r\n")
    length, closes = 0, False
    for line in lines:
        name, _, value = line.partition(b":")
        if name == b"content-length":
            length = int(value)
        elif name == b"connection":
            closes = value.strip() == b"close"
        elif name == b"transfer-encoding":
            raise ValueError("an answer without a length")
    if length > MAX_BODY:
        raise ValueError("an answer that is too long")
    return int(first.split(b" ", 2)[1]), length, closes


async def load(
    request: Request,
    *,
    concurrency: int,
    requests: int = 0,
    seconds: float = math.inf,
    timeout: float = 30.0,
    judge: Judge = by_status,
    told: Callable[[int], None] = lambda _done: None,
) -> Loaded:
    """Send until `requests` are answered (0: without a bound) or `seconds` are over, `concurrency` at a time.

    `told` hears how many are done. Nothing is sent again: what fails is counted.
    """
    loaded, left = Loaded(), requests or math.inf
    context = ssl.create_default_context() if request.tls else None
    begun = time.perf_counter()

    async def one() -> None:
        nonlocal left
        connection = _Connection(request, context)
        try:
            while left > 0 and time.perf_counter() - begun < seconds:
                left -= 1
                await _measure(connection, timeout, judge, loaded)
                told(loaded.requests)
        finally:
            connection.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(one())
    loaded.elapsed = time.perf_counter() - begun
    return loaded


async def _measure(connection: _Connection, seconds: float, judge: Judge, loaded: Loaded) -> None:
    begun = time.perf_counter()
    try:
        async with asyncio.timeout(seconds):
            status, body = await connection.ask()
    except TimeoutError:
        word = TIMED_OUT
    except (_Lost, ConnectionResetError, BrokenPipeError):
        word = LOST
    except OSError:
        word = REFUSED
    else:
        loaded.seconds.append(time.perf_counter() - begun)
        verdict = judge(status, body)
        (loaded.errors if verdict.is_error else loaded.answers)[verdict.word] += 1
        return
    connection.close()
    loaded.errors[word] += 1


def percentile(seconds: Sequence[float], share: float) -> float:
    """Nearest rank; 0 where nothing was answered."""
    ordered = sorted(seconds)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0
