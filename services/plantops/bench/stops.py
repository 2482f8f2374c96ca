"""A stop, from the moment it is asked for to the write at the device, whatever else goes on."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from plantops.bench.demo import Demo, demo_site, settled
from plantops.bench.figures import Bench, Figure, Load, Tell, figure, percentile
from plantops.bench.ground import child
from plantops.bench.stops_hindered import audit_full, executing, expire_policy
from plantops.bench.stops_killed import EVER, gate_at_work
from plantops.deployment.initialise import DEMO_PEOPLE
from plantops.events import decode
from plantops.events.command_parts import Intent, command_id
from plantops.events.commands import FINAL, CommandExecuted
from plantops.events.envelope import Message
from plantops.events.queries import IntentTaken
from plantops.flow.insisting import first_answer
from plantops.runtime.errors import BrokerUnavailable, Refused

STOPS = 60
KILLS = 30
# From before the words are at the door to after they are permitted on a quiet site.
KILL_STEPS, KILL_STEP_SECONDS = 5, 0.003
GOAL_MS = 1000.0
# Nothing is judged by it: a machine that is busy with other things takes long to work off a flood.
PATIENCE_SECONDS = 120.0


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
    """The same words again and again until the door has answered, as every client does it with a stop."""

    async def hand_in(seconds: float) -> IntentTaken:
        try:
            async with asyncio.timeout(seconds):
                return await demo.send(intent)
        except TimeoutError as error:
            raise BrokerUnavailable(f"the door did not answer in {seconds:g} s") from error

    await first_answer(hand_in, patience=PATIENCE_SECONDS)


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


async def _while_killed(demo: Demo, count: int, tell: Tell) -> list[float]:
    """The gate at work is killed as the stop is sent, or some milliseconds later; another one stands by."""
    seconds, since = [], EVER
    for number in range(count):
        tell(f"gate killed, {number + 1} of {count}")
        at_work = await gate_at_work(demo, since)
        since = datetime.now(UTC)
        asking = asyncio.create_task(stopped(demo))
        await asyncio.sleep(KILL_STEP_SECONDS * (number % KILL_STEPS))
        os.kill(at_work, signal.SIGKILL)
        seconds.append(await asking)
    await gate_at_work(demo, since)  # what is measured next shall not meet the next start
    return seconds


_SHARES = {"p50": 0.5, "p99": 0.99, "max": 1.0}


def _told(name: str, title: str, seconds: list[float], quiet: list[Figure], note: str = "") -> list[Figure]:
    """How long the middle, the slowest of a hundred and the slowest took, beside those of a quiet site."""
    return [
        figure(
            f"stops.{name}.{share}",
            f"stop -> write, {title}, {share}",
            1000 * percentile(seconds, part),
            "ms",
            better="lower",
            goal=None if share == "p50" else GOAL_MS,
            ceiling=quiet[place] if quiet else None,
            note=f"{len(seconds)} measured" + (f"; {note}" if note else ""),
        )
        for place, (share, part) in enumerate(_SHARES.items())
    ]


async def _over_others(demo: Demo, count: int, tell: Tell) -> list[float]:
    seconds = []
    for number in range(count):
        tell(f"over another command, {number + 1} of {count}")
        async with executing(demo, number):
            seconds.append(await stopped(demo))
    return seconds


async def run(load: Load, tell: Tell) -> list[Figure]:
    """One stop after the other. The last case ends the site's normal work: its policy has expired."""
    count = load.count(STOPS, least=3)
    async with demo_site(gates=2) as demo:
        quiet = _told("quiet", "quiet", await _many(demo, count, tell, "quiet"), [])
        figures = list(quiet)
        others = await _over_others(demo, count, tell)
        figures += _told("over", "another command of its asset being executed", others, quiet)
        async with audit_full(demo):
            full = await _many(demo, count, tell, "audit full")
        note = "the host waits 100 ms for AUDIT before its own disk stands in"
        figures += _told("audit_full", "the audit full", full, quiet, note)
        killed = await _while_killed(demo, load.count(KILLS, least=1), tell)
        title = "the gate at work killed with kill -9 at that moment"
        figures += _told("killed", title, killed, quiet, "two gates, one of them standing by")
        async with flooded(demo):
            busy = await _many(demo, count, tell, "flooded")
        figures += _told("flood", "doors flooded by 3 logins", busy, quiet)
        tell("the policy expires")
        await settled(demo, PATIENCE_SECONDS)
        await expire_policy(demo)
        expired = await _many(demo, count, tell, "policy expired")
        figures += _told("expired", "the policy expired", expired, quiet)
    return figures


BENCH = Bench("stops", "Stops: asked to written", run)
