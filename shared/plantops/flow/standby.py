"""Several processes under one identity: one is at work, the others stand by.

Who is at work answers on `alive.<identity>`, which only this identity may ask and serve. For a connection
that died the broker answers at once that nobody is there; a process that hangs is given three time-outs.
This says when a standby tries, and nothing else: whoever claimed the fold's bucket last is the owner, and
the broker refuses what an older one still writes (see `snapshot` and `outlet`).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from plantops.events.envelope import Message
from plantops.flow.bus import Bus, Subscription
from plantops.flow.declaration import alive_subject
from plantops.runtime.errors import BrokerUnavailable, Fenced, NobodyAnswers

log = structlog.get_logger()

ASK_SECONDS: Final = 0.25
# Not all standbys at the same moment.
_PAUSE_SECONDS: Final = (0.1, 0.2)
# Sooner, and as far apart.
_IN_DOUBT_SECONDS: Final = (0.02, 0.12)
_AGAIN_SECONDS: Final = 0.5
# Doubts: a time-out is one, an empty place two; after a broken connection the other one must come back first.
_ENOUGH: Final = 3
_NOBODY: Final = 2
_RETURNING: Final = -6


async def take_turns(bus: Bus, work: Callable[[], Awaitable[None]]) -> None:
    """Do `work` whenever nobody else under this identity is at it; until cancelled, or `work` ends.

    `work` begins by claiming the fold (`Shell.restore`) and leaves nothing behind when it ends. When another
    run has taken over (Fenced), or the broker is away while it begins, this process stands by again.
    Raises: whatever else ends `work`.
    """
    while True:
        await _until_alone(bus)
        try:
            # Before the claim: two that begin at once must see each other, or they would fence each other
            # for ever.
            serving = await _answer(bus)
            try:
                await _in_a_task(work)
            finally:
                await serving.stop()
        except* Fenced as replaced:
            log.warning("standby.replaced", identity=bus.identity, reason=_first(replaced))
        except* BrokerUnavailable as away:
            log.warning("standby.broker_away", identity=bus.identity, reason=_first(away))
        else:
            return
        await asyncio.sleep(_AGAIN_SECONDS)


async def _in_a_task(work: Callable[[], Awaitable[None]]) -> None:
    """Do it with a count of cancellations of its own.

    Python 3.11's task group cancels its parent when a child fails and does not take that back: the next turn
    in the same task would end at its first wait, as if somebody had cancelled it.
    """

    async def worked() -> None:
        await work()

    task = asyncio.create_task(worked())
    try:
        await asyncio.wait([task])
    finally:
        task.cancel()
        await asyncio.wait([task])
    if task.cancelled():
        raise Fenced("the work was given up from within", owned="")
    task.result()


async def _answer(bus: Bus) -> Subscription:
    async def alive(_message: Message) -> bytes:
        return b"+"

    return await bus.serve(alive_subject(bus.identity), alive)


async def _until_alone(bus: Bus) -> None:
    """Returns when nobody answers for this identity. While the broker is away it is nobody's turn."""
    loop = asyncio.get_running_loop()
    doubts, is_told = 0, False
    while True:
        asked_at = loop.time()
        try:
            await bus.request(alive_subject(bus.identity), b"", timeout=ASK_SECONDS)
            doubts = 0
            if not is_told:
                log.info("standby.waiting", identity=bus.identity)
                is_told = True
        except NobodyAnswers:
            doubts += _NOBODY
        except BrokerUnavailable:
            is_broken = loop.time() - asked_at < ASK_SECONDS * 0.8
            doubts = _RETURNING if is_broken else doubts + 1
        if doubts >= _ENOUGH:
            log.info("standby.begins", identity=bus.identity, was_waiting=is_told)
            return
        pause = _IN_DOUBT_SECONDS if doubts > 0 else _PAUSE_SECONDS
        await asyncio.sleep(random.uniform(*pause))  # noqa: S311 - no secret


def _first(group: BaseExceptionGroup[BaseException]) -> str:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error)
