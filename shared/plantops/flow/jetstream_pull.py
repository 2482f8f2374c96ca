"""What both ways of reading a durable consumer share: how they answer, start again, and fail."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Final

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from plantops.flow import wire
from plantops.flow.bus import Stored
from plantops.runtime.errors import BrokerError, BrokerUnavailable, StreamMissing

_ELECTION_SECONDS: Final = 5.0


class PullReader(ABC):
    """The part of `Reader` that does not depend on how messages are asked for.

    `check` raises when the connection cannot work, `reset` asks the broker to deliver from a sequence on.
    """

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
        self._reconnects = client.stats["reconnects"]
        self._nobody_since = 0.0

    @abstractmethod
    async def bind(self) -> None:
        """Take a fresh inbox: what is still under way to the old one is never seen again."""

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

    def _check_unbroken(self) -> None:
        """Raises: BrokerUnavailable once after each break, and whatever `check` raises."""
        self._check()
        if self._client.stats["reconnects"] != self._reconnects:
            # What was on its way when the connection broke is lost, and nothing later may ever show it.
            self._reconnects = self._client.stats["reconnects"]
            raise BrokerUnavailable(f"the connection broke while {self._consumer!r} was read")

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


def stored_of(message: Msg) -> Stored:
    """A delivered message as the bus gives it."""
    mark = wire.parse_delivery(message.reply)
    return Stored(
        mark.stream,
        mark.sequence,
        message.subject,
        message.data,
        mark.time_ns,
        message.headers or {},
        mark.delivery,
        mark.pending,
        message.reply,
    )
