"""Asking again before the first answer is given up: for words that may be said twice and must not wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Set
from typing import TypeVar

from plantops.runtime.errors import BrokerError, BrokerUnavailable, Refused

AGAIN_SECONDS = 0.2
# After an attempt that failed: where nobody is now, another one may be in a moment.
SOON_SECONDS = 0.05

R = TypeVar("R")


async def first_answer(
    attempt: Callable[[float], Awaitable[R]], *, patience: float, again: float = AGAIN_SECONDS
) -> R:
    """The first answer to any attempt; one begins every `again` seconds and soon after each that failed,
    and all end with `patience`.

    Earlier attempts are listened to all the while: who is slow answers them, and not the latest. `attempt`
    gets the seconds that it may take, and must do no harm when it is done twice. A refusal ends it, but for
    that of a door which could not store the words. Raises: what the last attempt raised.
    """
    loop = asyncio.get_running_loop()
    due = loop.time()
    end = due + patience
    attempts: set[asyncio.Future[R]] = set()
    failed: BrokerError | Refused = BrokerUnavailable(f"in {patience:g} s nobody can be asked")
    try:
        while attempts or due < end:
            if due <= loop.time() and due < end:
                attempts.add(asyncio.ensure_future(attempt(end - due)))
                due += again
            for ended in await _ended(attempts, due - loop.time() if due < end else None):
                attempts.discard(ended)
                if (failure := _failure(ended)) is None:
                    return ended.result()
                failed, due = failure, min(due, loop.time() + SOON_SECONDS)
        raise failed
    finally:
        for each in attempts:
            each.cancel()
        await asyncio.gather(*attempts, return_exceptions=True)


async def _ended(attempts: Set[asyncio.Future[R]], seconds: float | None) -> Set[asyncio.Future[R]]:
    """Those that have ended, after `seconds` at the latest."""
    if attempts:
        wait = None if seconds is None else max(0.0, seconds)
        return (await asyncio.wait(attempts, timeout=wait, return_when=asyncio.FIRST_COMPLETED))[0]
    await asyncio.sleep(seconds or 0.0)
    return set()


def _failure(ended: asyncio.Future[R]) -> BrokerError | Refused | None:
    """Why to ask again; None for an answer, and for what asking again does not mend."""
    error = ended.exception()
    if isinstance(error, BrokerError) or (isinstance(error, Refused) and error.reason == "unavailable"):
        return error
    return None
