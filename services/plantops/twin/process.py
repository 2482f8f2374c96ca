"""The twin as a process: one fold, four services."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from plantops.events.base import to_nanoseconds
from plantops.events.subjects import service
from plantops.flow.context import Context
from plantops.flow.declaration import ProcessSpec, Writes
from plantops.flow.policies import follow
from plantops.flow.processor import Recorded
from plantops.flow.shell import Shell
from plantops.flow.standby import take_turns
from plantops.twin.core import Twin, TwinState
from plantops.twin.service import VERBS, TwinService

# Half a frame period of a busy source: messages pile up, and the reader's CPU halves.
LINGER_SECONDS = 0.02


def twin_spec(site: str) -> ProcessSpec:
    """What the twin may do on the broker."""
    core = Twin(site)  # type: ignore[arg-type]  # a site's name comes checked from the settings
    return ProcessSpec(
        name=core.name,
        reads=core.consumes,
        writes=(Writes("DEAD", (f"dead.{core.name}",), ("message.buried",)),),
        lookups=("DEFINITIONS", "POLICY"),
        public=tuple(service("twin", site, verb) for verb in VERBS),
        snapshots=True,
        standby=True,
    )


async def run_twin(context: Context) -> None:
    """Until cancelled: at work, or standing by."""
    context.ready()
    async with asyncio.TaskGroup() as group:
        group.create_task(follow(context.bus, context.in_force))
        group.create_task(take_turns(context.bus, lambda: _shadow(context)))


async def _shadow(context: Context) -> None:
    """Raises: Fenced when another twin has taken over."""
    waiting: list[TwinService] = []

    def on_batch(_state: TwinState, _inputs: Sequence[Recorded]) -> None:
        for answering in waiting:
            answering.changed()

    shell = Shell(
        Twin(context.site),
        context.bus,
        context.signer,
        context.in_force,
        site=context.site,
        linger_seconds=LINGER_SECONDS,
        on_batch=on_batch,
    )
    await shell.restore()
    answering = TwinService(
        site=context.site,
        model=context.plant.model,
        state=lambda: shell.state,
        position=lambda: shell.positions,
        now_ns=lambda: to_nanoseconds(context.now()),
    )
    waiting.append(answering)
    # A twin that hangs keeps its place in its own group, and nobody waits for it.
    serving = await answering.serve(context.bus, group=shell.token)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(shell.run())
            group.create_task(shell.hold())
    finally:
        for each in serving:
            await each.stop()
