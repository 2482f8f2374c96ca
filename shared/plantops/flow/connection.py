"""One NATS connection under one identity: requests with answers, and what happens when it breaks.

Requests are matched to answers here and not by the client, so that a permission violation, which the
server reports on the side, fails what waits.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from ssl import SSLContext
from typing import Any, Final, TypeAlias, TypeVar

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from plantops.flow.headers import QuickClient
from plantops.runtime.errors import BrokerError, BrokerUnavailable, NobodyAnswers, StreamMissing

log = structlog.get_logger()

OnFatal: TypeAlias = Callable[[BrokerError], None]
Headers: TypeAlias = Mapping[str, str]

TRY_SECONDS: Final = 2.0
_PAUSE_SECONDS: Final = 0.2
_PING_SECONDS: Final = 10
_CLOSE_SECONDS: Final = 2.0
_PENDING_BYTES: Final = 8 * 1024 * 1024
_QUIET: Final = (OSError, nats.errors.NoServersError, nats.errors.StaleConnectionError)

_T = TypeVar("_T")


async def close_client(client: Client) -> None:
    """Disconnect, and wait a bounded time for the end of it: after a failed TLS handshake it never comes."""
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await client.close()
    except TimeoutError:
        log.debug("broker.close_abandoned")


class NoStream(StreamMissing):
    """No responder on a JetStream subject: missing for good, or the server is still starting."""


class Connection:
    """Mends itself for ever after `open`; a permission violation or a withdrawn login ends it for good."""

    def __init__(self, identity: str, *, timeout: float, on_fatal: OnFatal | None) -> None:
        self.identity = identity
        self.timeout = timeout
        self.client: Client = QuickClient()
        self._on_fatal = on_fatal
        self._answers: dict[str, asyncio.Future[Msg]] = {}
        self._inbox = ""
        self._serial = itertools.count(1)
        self._fatal: BrokerError | None = None
        self._is_lost = self._is_closing = False

    async def open(self, servers: Sequence[str], seed: str, wait: float, tls: SSLContext | None) -> None:
        """Raises: BrokerUnavailable when no broker lets us in within `wait` seconds."""
        options: dict[str, Any] = {"nkeys_seed_str": seed} if seed else {}
        try:
            async with asyncio.timeout(wait):
                await self.client.connect(
                    servers=list(servers),
                    name=self.identity,
                    inbox_prefix=f"_INBOX.{self.identity}",
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=_PAUSE_SECONDS,  # type: ignore[arg-type] # it sleeps; fractions do
                    ping_interval=_PING_SECONDS,
                    pending_size=_PENDING_BYTES,
                    # Without it a full buffer on a broken connection waits for ever.
                    flush_timeout=self.timeout,
                    tls=tls,
                    error_cb=self._hear_error,
                    disconnected_cb=self._hear_lost,
                    reconnected_cb=self._hear_back,
                    closed_cb=self._hear_closed,
                    **options,
                )
        except TimeoutError as error:
            last = self.client.last_error or "no answer"
            await self.close()
            raise BrokerUnavailable(
                f"no broker lets {self.identity!r} in at {', '.join(servers)} within {wait:g} s: {last}"
            ) from error
        self._inbox = self.client.new_inbox()
        await self.client.subscribe(f"{self._inbox}.*", cb=self._hear_answer)

    async def close(self) -> None:
        """Flush and disconnect; what still waits for an answer fails."""
        self._is_closing = True
        if self.client.is_connected:
            try:
                await self.client.flush(timeout=2)
            except (nats.errors.Error, TimeoutError, OSError) as error:
                log.warning("broker.flush_failed", identity=self.identity, error=repr(error))
        await close_client(self.client)
        self._fail_waiting(BrokerUnavailable("this connection was closed"))

    def check(self) -> None:
        """Raises: BrokerUnavailable while it is broken; the fatal error when it will stay so."""
        if self._fatal is not None:
            raise self._fatal
        if not self.client.is_connected:
            raise BrokerUnavailable(f"{self.identity!r} is not connected to the broker")

    async def send(self, subject: str, data: bytes, headers: Headers | None = None, reply: str = "") -> None:
        """Without an answer. Raises: BrokerUnavailable, BrokerError when it is too large."""
        self.check()
        try:
            async with asyncio.timeout(self.timeout):
                await self.client.publish(subject, data, reply, dict(headers) if headers else None)
        except nats.errors.MaxPayloadError as error:
            raise BrokerError(
                f"{len(data)} bytes for {subject!r} are more than the broker takes: send less"
            ) from error
        except (TimeoutError, nats.errors.Error) as error:
            raise BrokerUnavailable(f"cannot send to {subject!r}: {error!r}") from error

    async def ask(
        self, subject: str, data: bytes, timeout: float, headers: Headers | None = None, stream: str = ""
    ) -> Msg:
        """One request, one answer; `stream` says that JetStream is asked.

        Raises: BrokerUnavailable, NobodyAnswers, NoStream, the fatal error.
        """
        token = f"{next(self._serial):x}"
        answer: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()
        self._answers[token] = answer
        try:
            async with asyncio.timeout(timeout):
                await self.send(subject, data, headers, f"{self._inbox}.{token}")
                message = await answer
        except TimeoutError as error:
            raise BrokerUnavailable(f"no answer on {subject!r} in {timeout:g} s", stream=stream) from error
        finally:
            self._answers.pop(token, None)
        if not message.data and (message.headers or {}).get("Status") == "503":
            if stream:
                raise NoStream(f"no stream answers on {subject!r}: run the provisioner", stream=stream)
            raise NobodyAnswers(f"nobody answers {subject!r}: is its process running?")
        return message

    async def insist(self, attempt: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        """Repeat what does no harm when repeated, until it works or `timeout` is over."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.timeout
        while True:
            try:
                return await attempt()
            except (BrokerUnavailable, NoStream):
                if loop.time() + _PAUSE_SECONDS >= deadline:
                    raise
            await asyncio.sleep(_PAUSE_SECONDS)

    async def subscribe(
        self, subject: str, hear: Callable[[Msg], Awaitable[None]], queue: str = ""
    ) -> Subscription:
        """Returns when the broker knows of it. Raises: BrokerUnavailable, the fatal error."""
        self.check()
        try:
            subscription = await self.client.subscribe(subject, queue=queue, cb=hear)
            await self.flush()
        except nats.errors.Error as error:
            raise BrokerUnavailable(f"cannot subscribe to {subject!r}: {error!r}") from error
        self.check()
        return subscription

    async def flush(self) -> None:
        """Returns when the broker has heard all that was said. Raises: nats.errors.Error, TimeoutError."""
        await self.client.flush(timeout=max(1, round(self.timeout)))

    async def _hear_answer(self, message: Msg) -> None:
        answer = self._answers.get(message.subject.rpartition(".")[2])
        if answer is not None and not answer.done():
            answer.set_result(message)

    async def _hear_error(self, error: Exception) -> None:
        text = str(error)
        if "permissions violation" in text.lower():
            self._die(BrokerError(f"the broker forbids {self.identity!r}: {text}; see its declaration"))
        elif isinstance(error, nats.errors.SlowConsumerError):
            log.warning("broker.slow_consumer", identity=self.identity, subject=error.subject)
        elif not isinstance(error, _QUIET):
            log.warning("broker.error", identity=self.identity, error=repr(error))

    async def _hear_lost(self) -> None:
        if not self._is_closing and not self._is_lost:
            self._is_lost = True
            log.warning("broker.lost", identity=self.identity)
        self._fail_waiting(BrokerUnavailable("the connection to the broker broke before the answer"))

    async def _hear_back(self) -> None:
        self._is_lost = False
        log.info("broker.back", identity=self.identity)

    async def _hear_closed(self) -> None:
        if not self._is_closing:
            reason = self.client.last_error or "no reason given"
            self._die(BrokerError(f"the broker closed the connection of {self.identity!r}: {reason}"))

    def _die(self, error: BrokerError) -> None:
        if self._fatal is not None:
            return
        self._fatal = error
        log.error("broker.forbidden", identity=self.identity, error=error.message)
        self._fail_waiting(error)
        if self._on_fatal is not None:
            self._on_fatal(error)

    def _fail_waiting(self, error: BrokerError) -> None:
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(error)
