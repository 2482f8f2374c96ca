"""A stop, from the moment it is asked for to the write at the device, whatever else goes on."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

from plantops.bench.demo import Demo, demo_site, settled
from plantops.bench.figures import Bench, Figure, Load, Tell, percentiles
from plantops.bench.ground import child
from plantops.deployment.initialise import DEMO_PEOPLE
from plantops.deployment.runtime_file import read_running
from plantops.events import decode
from plantops.events.commands import FINAL, CommandExecuted
from plantops.events.envelope import Message
from plantops.events.command_parts import Intent, command_id
from plantops.runtime.errors import BrokerError, BrokerUnavailable, Refused

STOPS = 60
GOAL_MS = 1000.0
PATIENCE_SECONDS = 30.0


async def stopped(demo: Demo, *, asset: str = "valve-001", operation: str = "CloseValve") -> float:
    """Seconds from before the stop was signed to its first write. Raises: Refused, TimeoutError."""
    begun = datetime.now(UTC)
    intent = demo.intent(asset, operation, {})
    ended: asyncio.Future[CommandExecuted] = asyncio.get_running_loop().create_future()

    async def hear(message: Message) -> None:
        event = decode(message.data)
        if isinstance(event, FINAL) and not ended.done():
            if isinstance(event, CommandExecuted):
                ended.set_result(event)
            else:
                ended.set_exception(Refused(f"the stop was not executed: {event}", reason="bench"))

    command = command_id(intent.actor, intent.key)
    listening = await demo.bus.listen(f"cmd.{demo.site.name}.*.*.{command}", hear)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await _insist(demo, intent)
            executed = await ended
    finally:
        await listening.stop()
    written = [step.written_at for step in executed.steps if step.written_at is not None]
    return (min(written) - begun).total_seconds()


async def _insist(demo: Demo, intent: Intent) -> None:
    """The same words again and again until the door has answered, as `plantops command` does."""
    while True:
        try:
            await demo.send(intent)
            return
        except BrokerError:
            await asyncio.sleep(0.05)
        except Refused as error:
            if error.reason != "unavailable":
                raise
            await asyncio.sleep(0.05)


@asynccontextmanager
async def flooded(demo: Demo) -> AsyncIterator[None]:
    """Every login of the site knocks as fast as it can, the one that stops among them."""
    log = demo.site.folder.logs / "flood.log"
    words = ["plantops.bench.flood", str(demo.site.folder.root), *DEMO_PEOPLE]
    async with child(words, log, pipe=True) as process:
        assert process.stdout is not None
        if not await asyncio.wait_for(process.stdout.readline(), PATIENCE_SECONDS):
            raise BrokerUnavailable(f"the flood did not begin: see {log}")
        await asyncio.sleep(1.0)
        yield


async def _many(demo: Demo, count: int, tell: Tell, what: str) -> list[float]:
    seconds = []
    for number in range(count):
        tell(f"{what}, {number + 1} of {count}")
        seconds.append(await stopped(demo))
    return seconds


async def run(load: Load, tell: Tell) -> list[Figure]:
    """One stop after the other."""
    count = load.count(STOPS, least=3)
    figures: list[Figure] = []
    async with demo_site() as demo:
        quiet = await _many(demo, count, tell, "quiet")
        figures += percentiles(
            "stops.quiet", "stop -> write, quiet", quiet, shares=(50, 99), goals={99: GOAL_MS}
        )
        async with flooded(demo):
            busy = await _many(demo, count, tell, "flooded")
        figures += percentiles(
            "stops.flood",
            "stop -> write, doors flooded by 3 logins",
            busy,
            shares=(50, 99),
            goals={99: GOAL_MS},
        )
    return figures


BENCH = Bench("stops", "Stops: asked to written", run)
