"""The one way to a device: who goes next, how long an answer may take, and the loss of the connection.

Only one request is on the wire at a time, unless the adapter says that reads may run beside writes. Writes
never run beside each other: a stop must not be overtaken by the set-point that was sent before it.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from enum import IntEnum
from itertools import count

from plantops.adapters.contract import Browsed, Capabilities, Connection, Invoked, Invoker
from plantops.events.base import Scalar
from plantops.events.command_parts import Invocation
from plantops.events.frames import Sample
from plantops.runtime.cancelling import heed_cancel
from plantops.runtime.errors import DeviceProtocolError, DeviceUnavailable, WriteRejected

# Over the adapter's own time-out, whose error says more about the cause.
_GRACE_SECONDS = 0.25


class Lane(IntEnum):
    """Who goes first when several wait; in order within a lane."""

    SAFE = 0
    COMMAND = 1
    POLL = 2
    SERVICE = 3


class PriorityLock:
    """A lock that is handed to the waiter of the lowest lane, then to the one who waits longest.

    While it is reserved only the safe lane gets it.
    """

    def __init__(self) -> None:
        self._is_taken = False
        self._reserved = 0
        self._waiters: list[tuple[int, int, asyncio.Future[None]]] = []
        self._serial = count()

    @asynccontextmanager
    async def hold(self, lane: Lane) -> AsyncIterator[None]:
        """Hold it for one request."""
        await self._acquire(lane)
        try:
            yield
        finally:
            self._hand_on()

    @contextmanager
    def reserve(self) -> Iterator[None]:
        """Let nobody but the safe lane in, also between two of its requests."""
        self._reserved += 1
        try:
            yield
        finally:
            self._reserved -= 1
            if not self._is_taken:
                self._hand_on()

    def _may(self, lane: int) -> bool:
        return not self._reserved or lane == Lane.SAFE

    async def _acquire(self, lane: Lane) -> None:
        if not self._is_taken and self._may(lane):
            self._is_taken = True
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiters, (lane, next(self._serial), turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._hand_on()
            raise

    def _hand_on(self) -> None:
        while self._waiters and self._may(self._waiters[0][0]):
            turn = heapq.heappop(self._waiters)[2]
            if not turn.done():
                self._is_taken = True
                turn.set_result(None)
                return
        self._is_taken = False


class Device:
    """The connection that stands at the moment, shared by polls, commands and services.

    After a time-out or a protocol error the connection is dropped, so that a late reply is never taken for
    a newer one. `encoder` is a connection that is never opened.
    """

    def __init__(
        self, source: str, encoder: Connection, capabilities: Capabilities, *, timeout_seconds: float
    ) -> None:
        self._source, self._encoder, self._timeout = source, encoder, timeout_seconds
        self._writes = PriorityLock()
        self._reads = PriorityLock() if capabilities.concurrent else self._writes
        self._can_write, self._can_invoke = capabilities.write, capabilities.invoke
        self._connection: Connection | None = None
        self._lost: asyncio.Future[str] | None = None
        self.wanted = asyncio.Event()
        """Set while somebody needs the connection now: then the session does not wait out its backoff."""

    @property
    def is_attached(self) -> bool:
        """Whether a connection stands."""
        return self._connection is not None

    def attach(self, connection: Connection) -> asyncio.Future[str]:
        """Use this connection from now on; the future ends with the cause when it is lost."""
        self._connection = connection
        self.wanted.clear()
        self._lost = asyncio.get_running_loop().create_future()
        return self._lost

    def lose(self, cause: str) -> None:
        """The connection cannot be used any more; said by whoever sees it first."""
        self._connection = None
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(cause)

    def reserve(self) -> AbstractContextManager[None]:
        """Until the end of it, only the safe lane writes (nor reads, where reads share the wire)."""
        return self._writes.reserve()

    def encode(self, tag: int, value: Scalar) -> str:
        """What would go over the wire. Raises: WriteRejected."""
        self._check_writable()
        return self._encoder.encode(tag, value)

    async def read(self, tags: Sequence[int], lane: Lane) -> list[Sample]:
        """One sample for each tag asked, in that order. Raises: DeviceUnavailable, DeviceProtocolError."""
        async with self._reads.hold(lane), self._use("read") as connection:
            samples = await connection.read(tags)
            if [sample.index for sample in samples] != list(tags):
                raise DeviceProtocolError(
                    f"{self._source!r} answered a read with other tags than asked: the adapter is broken",
                    source=self._source,
                )
            return samples

    async def write(self, tag: int, value: Scalar, lane: Lane, guard: Callable[[], str]) -> str:
        """Write one value, unless `guard` gives a reason not to when it is this write's turn.

        Returns that reason, empty when the device took the value. Raises: WriteRejected and NotSent (it is
        certain that nothing was written); any other DeviceError: it may have been written.
        """
        self._check_writable()
        async with self._writes.hold(lane):
            if self._connection is None:
                raise NotSent(f"{self._source!r} is not connected: nothing was written", source=self._source)
            if reason := guard():
                return reason
            async with self._use("write") as connection:
                await connection.write(tag, value)
            return ""

    async def invoke(
        self, invocation: Invocation, key: str, *, simulate: bool, guard: Callable[[], str]
    ) -> Invoked | str:
        """Have a whole operation carried out, unless `guard` gives a reason not to; returns that reason.

        Invocations run beside each other and beside everything else: one may take minutes, and a stop does
        not wait for it. So none of them drops the connection either, which others are using. Raises:
        WriteRejected and NotSent (it is certain that nothing was started); any other DeviceError: it may
        have been.
        """
        if not self._can_invoke:
            raise WriteRejected(f"the protocol of {self._source!r} carries no operation out")
        connection = self._connection
        if connection is None:
            raise NotSent(f"{self._source!r} is not connected: nothing was started", source=self._source)
        assert isinstance(connection, Invoker)  # what the adapter says of itself
        if reason := guard():
            return reason
        try:
            async with asyncio.timeout(invocation.timeout_seconds + _GRACE_SECONDS):
                done = await connection.invoke(invocation, key, simulate)
        except TimeoutError as error:
            cause = f"no answer to {invocation.path!r} within {invocation.timeout_seconds:g} s"
            raise DeviceUnavailable(f"{self._source!r}: {cause}", source=self._source) from error
        heed_cancel()
        return done

    async def browse(self, limit: int) -> list[Browsed]:
        """The first `limit` things that the device offers."""
        found: list[Browsed] = []
        async with self._reads.hold(Lane.SERVICE), self._use("browse") as connection:
            async for one in connection.browse():
                found.append(one)
                if len(found) >= limit:
                    break
        return found

    def _check_writable(self) -> None:
        if not self._can_write:
            raise WriteRejected(f"the protocol of {self._source!r} cannot write", source=self._source)

    @asynccontextmanager
    async def _use(self, what: str) -> AsyncIterator[Connection]:
        connection = self._connection
        if connection is None:
            raise DeviceUnavailable(f"{self._source!r} is not connected", source=self._source)
        try:
            async with asyncio.timeout(self._timeout + _GRACE_SECONDS):
                yield connection
            heed_cancel()
        except TimeoutError as error:
            cause = f"no answer to a {what} within {self._timeout} s"
            self._drop(connection, cause)
            raise DeviceUnavailable(f"{self._source!r}: {cause}", source=self._source) from error
        except (DeviceUnavailable, DeviceProtocolError) as error:
            self._drop(connection, error.message)
            raise
        except asyncio.CancelledError:
            # The reply of an abandoned request may come later and must find nobody.
            self._drop(connection, f"a {what} was abandoned")
            raise

    def _drop(self, connection: Connection, cause: str) -> None:
        if self._connection is connection:
            self.lose(cause)


class NotSent(DeviceUnavailable):
    """The device was away before the write began: it is certain that nothing was written."""
