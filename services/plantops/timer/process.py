"""The timer as a process: says when somebody's patience with a command has run out.

It keeps what is due in memory and finds it again from the stream after a restart.
"""

from __future__ import annotations

import asyncio
import heapq
from datetime import datetime, timedelta
from typing import TypeAlias

from plantops.events.base import CommandId
from plantops.events.operations import TimerFired
from plantops.events.subjects import timer
from plantops.flow.context import Context
from plantops.flow.declaration import ProcessSpec, Writes
from plantops.flow.policies import follow
from plantops.flow.shell import Shell
from plantops.flow.standby import take_turns
from plantops.timer.core import NAME, Due, Purpose, Timer, TimerState, inputs_of

# What was told, by command and purpose, and when.
Told: TypeAlias = dict[tuple[CommandId, Purpose], tuple[Due, datetime]]

OWNER = "gate"
# The gate's own check at use is what counts; the word comes a little later, so that it is never early.
GRACE = timedelta(milliseconds=500)
AGAIN = timedelta(seconds=30)
LOOK_SECONDS = 0.25


def timer_spec(site: str) -> ProcessSpec:
    """What the timer may do on the broker."""
    return ProcessSpec(
        name=NAME,
        reads=inputs_of(site),
        writes=(
            Writes("TIMERS", (timer(site, OWNER),), ("timer.fired",)),
            Writes("DEAD", (f"dead.{NAME}",), ("message.buried",)),
        ),
        lookups=("POLICY",),
        snapshots=True,
        standby=True,
    )


async def run_timer(context: Context) -> None:
    """Until cancelled: at work, or standing by.

    A deadline that was told stays open until the gate answers, and is told again.
    """
    context.ready()
    async with asyncio.TaskGroup() as group:
        group.create_task(follow(context.bus, context.in_force))
        group.create_task(take_turns(context.bus, lambda: _keep_time(context)))


async def _keep_time(context: Context) -> None:
    """Raises: Fenced when another timer has taken over. What both tell counts once."""
    shell = Shell(Timer(context.site), context.bus, context.signer, context.in_force, site=context.site)
    await shell.restore()
    async with asyncio.TaskGroup() as group:
        group.create_task(shell.run())
        group.create_task(shell.hold())
        group.create_task(_ring(context, shell))


async def _ring(context: Context, shell: Shell[TimerState]) -> None:
    told: Told = {}
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        now, open_ = context.now(), shell.state.open
        told = {key: word for key, word in told.items() if open_.get(key) == word[0]}
        ready = [due for due in open_.values() if due.due + GRACE <= now and is_new(told, due, now)]
        for due in heapq.nsmallest(100, ready):
            event = TimerFired(site=context.site, command=due.command, due=due.due, purpose=due.purpose)
            identity = f"timer.{due.command}.{due.purpose}"
            message = context.signer.message(timer(context.site, OWNER), event, id=identity, time=now)
            await context.bus.publish(message, stream="TIMERS")
            told[due.command, due.purpose] = (due, now)


def is_new(told: Told, due: Due, now: datetime) -> bool:
    """Not told yet, or not heard: the gate ignores a word that comes before its own deadline."""
    word = told.get((due.command, due.purpose))
    return word is None or word[0] != due or now - word[1] >= AGAIN
