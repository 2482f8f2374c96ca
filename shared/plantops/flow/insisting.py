"""Asking again before the first answer is given up: for words that may be said twice and must not wait."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

from plantops.runtime.errors import BrokerError, Refused

AGAIN_SECONDS = 0.5

R = TypeVar("R")


async def first_answer(
    attempt: Callable[[float], Awaitable[R]], *, patience: float, again: float = AGAIN_SECONDS
) -> R:
    """The first answer to any attempt; one begins every `again` seconds, and all end with `patience`.

    Earlier attempts are listened to all the while: who is slow answers them, and not the latest. `attempt`
    gets the seconds that it may take, and must do no harm when it is done twice. A refusal ends it, but for
    that of a door which could not store the words. Raises: what the last attempt raised.
    """

    async def begun_after(seconds: float) -> R:
        await asyncio.sleep(seconds)
        return await attempt(patience - seconds)

    count = max(1, math.ceil(patience / again))
    attempts = [asyncio.create_task(begun_after(number * again)) for number in range(count)]
    try:
        for ended in asyncio.as_completed(attempts):
            try:
                return await ended
            except BrokerError as error:
                failed: BrokerError | Refused = error
            except Refused as error:
                if error.reason != "unavailable":
                    raise
                failed = error
        raise failed
    finally:
        for each in attempts:
            each.cancel()
        await asyncio.wait(attempts)
