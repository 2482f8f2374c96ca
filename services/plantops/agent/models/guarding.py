"""A provider that is not trusted to answer: bounded in time and number, tried again, left alone when it is
ill, and stood in for by the rules.

Clock, pause and chance are given, so that every pause can be tested. A cancelled call leaves nothing behind:
neither a place taken nor a probe counted.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import msgspec
import structlog

from plantops.agent.models.breaker import Breaker, BreakerOpen
from plantops.agent.models.failures import RequestTooLarge, TryFailed, TryLater
from plantops.agent.models.settings import ModelSettings, RetrySettings
from plantops.agent.port import LanguageModel, ModelReply, ModelRequest, ModelUnavailable, OnText

log = structlog.get_logger()

_MAX_PROBLEM: Final = 300


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a test replaces: the monotonic clock in seconds, the pause, and a number from 0 up to 1."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    # It spreads tries over time; nobody gains from guessing it.
    chance: Callable[[], float] = random.random


class GuardedModel:
    """See the module. `second` answers when `first` does not; None: ModelUnavailable is raised then.

    `most_tools` is that of the first: whoever stands in is offered the same ones. A reply that broke off
    after something of it was told is not tried again: the beginning would be told twice.
    """

    def __init__(
        self,
        first: LanguageModel,
        second: LanguageModel | None,
        settings: ModelSettings,
        around: Surroundings | None = None,
    ) -> None:
        self._first, self._second, self._settings = first, second, settings
        self._around = around or Surroundings()
        self._places = asyncio.Semaphore(settings.concurrency)
        self.breaker = Breaker(settings.breaker, self._around.clock)

    @property
    def name(self) -> str:
        """Of the first."""
        return self._first.name

    @property
    def most_tools(self) -> int:
        """Of the first."""
        return self._first.most_tools

    async def complete(self, request: ModelRequest, on_text: OnText) -> ModelReply:
        """See the port. Raises: ModelUnavailable."""
        deadline = self._around.clock() + request.limits.seconds
        try:
            await self._take_place(request.limits.seconds)
            try:
                return await self._tried(request, on_text, deadline)
            finally:
                self._places.release()
        except (TryFailed, BreakerOpen) as error:
            problem = error.message[:_MAX_PROBLEM]
        if self._second is None:
            raise ModelUnavailable(f"{self.name} gave no reply: {problem}. Try again later")
        log.warning("model.fell_back", provider=self.name, problem=problem)
        reply = await self._second.complete(request, on_text)
        return msgspec.structs.replace(reply, fell_back_from=self.name, problem=problem)

    async def close(self) -> None:
        """Both."""
        await self._first.close()
        if self._second is not None:
            await self._second.close()

    async def _take_place(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._places.acquire()
        except TimeoutError as error:
            raise TryLater(f"{self._settings.concurrency} replies are under way already") from error

    async def _tried(self, request: ModelRequest, on_text: OnText, deadline: float) -> ModelReply:
        retry = self._settings.retry
        for number in range(1, retry.tries + 1):
            speaker = _Speaker(on_text)
            try:
                return await self._try(request, speaker, deadline)
            except TryLater as error:
                pause = max(pause_before(retry, number, self._around.chance()), error.after_seconds or 0.0)
                is_late = self._around.clock() + pause >= deadline
                if number == retry.tries or speaker.has_spoken or is_late:
                    raise
            await self._around.sleep(pause)
        raise AssertionError("the last try returns or raises")

    async def _try(self, request: ModelRequest, speaker: _Speaker, deadline: float) -> ModelReply:
        """One call under the breaker: a time-out counts like any other failure."""
        seconds = min(self._settings.try_seconds, deadline - self._around.clock())
        permission = self.breaker.enter()
        try:
            async with asyncio.timeout(seconds):
                reply = await self._first.complete(request, speaker)
        except TimeoutError as error:
            permission.settle("badly")
            raise TryLater(f"no reply within {seconds:.3g} s") from error
        except RequestTooLarge:
            # The provider is well: it said no to this one request.
            permission.settle("well")
            raise
        except TryFailed:
            permission.settle("badly")
            raise
        else:
            permission.settle("well")
            return reply
        finally:
            # Cancelled, or a defect: a probe that never ends would keep the breaker half open for ever.
            permission.settle("away")


@dataclass(slots=True)
class _Speaker:
    """Passes pieces of text on, and knows whether there was one."""

    on_text: OnText
    has_spoken: bool = field(default=False)

    def __call__(self, text: str) -> None:
        self.has_spoken = self.has_spoken or bool(text)
        self.on_text(text)


def pause_before(retry: RetrySettings, number: int, chance: float) -> float:
    """Seconds to wait after the try of that number, counted from 1. `chance` is from 0 up to 1."""
    whole = min(retry.most_seconds, retry.first_seconds * 2.0 ** (number - 1))
    return float(whole * (1 - chance / 2))
