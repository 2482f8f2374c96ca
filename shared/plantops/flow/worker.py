"""Effect workers: several processes share a durable, each message is acknowledged when its effect is done.

A message whose worker died comes again, to anybody. So an effect happens at least once, and whoever does
it makes the second time harmless: the first answer wins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import structlog

from plantops.events.envelope import TRACE
from plantops.flow.bus import Reader, Stored
from plantops.runtime.errors import BrokerUnavailable, PlantOpsError
from plantops.runtime.tracing import carried

log = structlog.get_logger()

Effect: TypeAlias = Callable[[Stored], Awaitable[None]]
"""Returns when the effect is done and its answer stored. A retryable error leaves the message for later."""

_FETCH_SECONDS: Final = 1.0
_PAUSE_SECONDS: Final = 0.5


async def run_worker(
    reader: Reader, effect: Effect, *, concurrency: int = 4, heartbeat_seconds: float = 10.0
) -> None:
    """Do effects until cancelled, at most `concurrency` at a time; those under way are then cancelled.

    While an effect lasts the broker is told so every `heartbeat_seconds`, which must be well below the
    consumer's wait for an acknowledgement. Raises: whatever an effect raises that is not retryable;
    StreamMissing.
    """
    places = asyncio.Semaphore(concurrency)
    running: set[asyncio.Task[None]] = set()
    try:
        while True:
            await places.acquire()
            places.release()
            _raise_failed(running)
            free = concurrency - len(running)
            for stored in await _fetch(reader, max(1, free)):
                await places.acquire()
                task = asyncio.create_task(_do(reader, effect, stored, heartbeat_seconds))
                running.add(task)
                task.add_done_callback(lambda _task: places.release())
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def _raise_failed(running: set[asyncio.Task[None]]) -> None:
    for task in [task for task in running if task.done()]:
        running.discard(task)
        task.result()


async def _fetch(reader: Reader, limit: int) -> list[Stored]:
    try:
        return await reader.fetch(limit, _FETCH_SECONDS)
    except BrokerUnavailable as error:
        log.info("worker.waiting", reason=error.message)
        await asyncio.sleep(_PAUSE_SECONDS)
        return []


async def _do(reader: Reader, effect: Effect, stored: Stored, heartbeat_seconds: float) -> None:
    beating = asyncio.create_task(_beat(reader, stored, heartbeat_seconds))
    try:
        with carried(stored.headers.get(TRACE, "")):
            await effect(stored)
        await reader.ack(stored)
    except PlantOpsError as error:
        if not error.retryable:
            raise
        log.warning("effect.again", subject=stored.subject, sequence=stored.sequence, reason=error.message)
    finally:
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)


async def _beat(reader: Reader, stored: Stored, seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            await reader.in_progress(stored)
        except BrokerUnavailable:
            continue  # it will come again, perhaps twice: the effect must bear that anyway
