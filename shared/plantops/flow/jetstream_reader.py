"""Reading a durable consumer by pull, and ending a subscription: the receiving half of `flow.jetstream`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.subscription import Subscription as NatsSubscription
from nats.js import JetStreamContext

from plantops.flow.bus import Stored
from plantops.flow.jetstream_ahead import stored_of
from plantops.runtime.errors import BrokerError, BrokerUnavailable, StreamMissing

_ELECTION_SECONDS: Final = 5.0


class JetStreamReader:
    """See `Reader`. `check` raises when the connection cannot work, `reset` asks the broker for it."""

    def __init__(
        self,
        client: Client,
        stream: str,
        consumer: str,
        *,
        check: Callable[[], None],
        reset: Callable[[str, str, int], Awaitable[None]],
    ) -> None:
        self._client, self._stream, self._consumer = client, stream, consumer
        self._check, self._reset = check, reset
        self._nobody_since = 0.0
        self._reconnects = client.stats["reconnects"]
        self._pull: JetStreamContext.PullSubscription | None = None

    async def bind(self) -> None:
        """Take a fresh inbox: what is still under way to the old one is never seen again."""
        old, self._pull = self._pull, None
        try:
            if old is not None:
                await old.unsubscribe()
            self._pull = await self._client.jetstream().pull_subscribe_bind(self._consumer, self._stream)
        except nats.errors.Error as error:
            raise self._unavailable(error) from error

    async def fetch(self, limit: int, timeout: float) -> list[Stored]:
        self._check()
        if self._client.stats["reconnects"] != self._reconnects:
            # What was on its way when the connection broke is lost, and nothing later may ever show it.
            self._reconnects = self._client.stats["reconnects"]
            raise BrokerUnavailable(f"the connection broke while {self._consumer!r} was read")
        if self._pull is None:
            await self.bind()
        assert self._pull is not None
        try:
            messages = await self._pull.fetch(limit, timeout=timeout)
        except TimeoutError:  # the client raises its own subclass and the bare one
            messages = []
        except nats.js.errors.ServiceUnavailableError as error:
            raise self._nobody() from error
        except nats.errors.Error as error:
            raise self._unavailable(error) from error
        self._nobody_since = 0.0
        if not messages:
            self._check()
        return [stored_of(message) for message in messages]

    async def reset(self, sequence: int) -> None:
        await self.bind()
        await self._reset(self._stream, self._consumer, sequence)

    async def ack(self, message: Stored) -> None:
        await self._say(message, b"+ACK")

    async def in_progress(self, message: Stored) -> None:
        await self._say(message, b"+WPI")

    async def _say(self, message: Stored, word: bytes) -> None:
        self._check()
        try:
            await self._client.publish(message.ack_subject, word)
        except nats.errors.Error as error:
            raise self._unavailable(error) from error

    def _nobody(self) -> BrokerError:
        """Nobody takes the pull: the consumer is missing, unless this is a change of leader and passes."""
        now = asyncio.get_running_loop().time()
        self._nobody_since = self._nobody_since or now
        text = f"consumer {self._consumer!r} of {self._stream!r} does not answer"
        if now - self._nobody_since < _ELECTION_SECONDS:
            return BrokerUnavailable(text, stream=self._stream)
        return StreamMissing(f"{text}: run the provisioner", stream=self._stream)

    def _unavailable(self, error: Exception) -> BrokerUnavailable:
        return BrokerUnavailable(
            f"consumer {self._consumer!r} of {self._stream!r} cannot be read: {error!r}", stream=self._stream
        )


class JetStreamSubscription:
    """See `Subscription`."""

    def __init__(self, subscription: NatsSubscription) -> None:
        self._subscription = subscription

    async def stop(self) -> None:
        try:
            await self._subscription.unsubscribe()
        except (nats.errors.BadSubscriptionError, nats.errors.ConnectionClosedError):
            return  # stopped already
