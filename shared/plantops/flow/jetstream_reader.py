"""Reading a durable consumer by pull, and ending a subscription: the receiving half of `flow.jetstream`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.subscription import Subscription as NatsSubscription
from nats.js import JetStreamContext

from plantops.flow.bus import Stored
from plantops.flow.jetstream_pull import PullReader, stored_of
from plantops.runtime.cancelling import heed_cancel


class JetStreamReader(PullReader):
    """See `Reader` and `PullReader`."""

    def __init__(
        self,
        client: Client,
        stream: str,
        consumer: str,
        *,
        check: Callable[[], None],
        reset: Callable[[str, str, int], Awaitable[None]],
    ) -> None:
        super().__init__(client, stream, consumer, check=check, reset=reset)
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
        self._check_unbroken()
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
        heed_cancel()
        self._nobody_since = 0.0
        if not messages:
            self._check()
        return [stored_of(message) for message in messages]


class JetStreamSubscription:
    """See `Subscription`."""

    def __init__(self, subscription: NatsSubscription) -> None:
        self._subscription = subscription

    async def stop(self) -> None:
        try:
            await self._subscription.unsubscribe()
        except (nats.errors.BadSubscriptionError, nats.errors.ConnectionClosedError):
            return  # stopped already
