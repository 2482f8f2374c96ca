"""The tools as a process: one door, behind which everybody reads under the same rules.

Any number of them may run: each request is heard by one, budgets stand in the log, their audit is one chain.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from plantops.flow.audited import keep_auditing
from plantops.flow.auditing import Auditor
from plantops.flow.bus import Bus
from plantops.flow.context import Context
from plantops.flow.policies import follow
from plantops.runtime.errors import BrokerError, IntegrityError
from plantops.tools.contract import AnyTool
from plantops.tools.desk import Desk
from plantops.tools.door import Door
from plantops.tools.governor import Governor
from plantops.tools.registry import TOOLS
from plantops.tools.settings import ToolSettings

_DRAIN_SECONDS: Final = 2.0
_LAST_RECORD_SECONDS: Final = 1.0

log = structlog.get_logger("plantops.tools")


async def run_tools(
    context: Context, audit: Bus, settings: ToolSettings, served: Path, tools: Sequence[AnyTool] = TOOLS
) -> None:
    """Until cancelled; then who is inside gets his answer, and the audit what it waits for.

    `context` has an auditor, `audit` is the login that reads the audit, `served` the archive's snapshot,
    which need not exist. Raises: SettingsError for tools of one name; what ends a process for good.
    """
    context = _sharing(context)
    door = door_of(context, audit, settings, served, tools)
    async with asyncio.TaskGroup() as group:
        group.create_task(keep_auditing(context))
        group.create_task(follow(context.bus, context.in_force))
        # Before anybody is let in: what is wrong with the tools themselves is wrong for good.
        door.desk.check()
        serving = await context.bus.serve(f"door.tool.{context.site}.>", door.answer)
        context.ready()
        try:
            await asyncio.Event().wait()
        finally:
            await serving.drain()
            await door.drain(_DRAIN_SECONDS)
            await _finish(context)


def door_of(
    context: Context, audit: Bus, settings: ToolSettings, served: Path, tools: Sequence[AnyTool]
) -> Door:
    """The door with everything behind it. `context.auditor` must be running for anything to get through."""
    assert context.auditor is not None
    governor = Governor(context.site, context.bus, context.signer, context.in_force, settings, context.now)
    desk = Desk(
        site=context.site,
        plant=context.plant,
        in_force=context.in_force,
        bus=context.bus,
        audit=audit,
        served=served,
        settings=settings,
        governor=governor,
        tools=tools,
        now=context.now,
    )
    return Door(desk=desk, in_force=context.in_force, auditor=context.auditor, now=context.now)


def _sharing(context: Context) -> Context:
    """With an auditor that does not mind others under its name."""
    old = context.auditor
    if old is None:
        raise ValueError(f"{context.name!r} has no auditor: declare it with audits=True")
    auditor = Auditor(old.site, old.bus, old.signer, old.journal, old.now, is_shared=True)
    return dataclasses.replace(context, auditor=auditor)


async def _finish(context: Context) -> None:
    """Records go out in order: when the last one is stored, all are."""
    assert context.auditor is not None
    with suppress(TimeoutError, BrokerError, IntegrityError):
        async with asyncio.timeout(_LAST_RECORD_SECONDS):
            await context.auditor.append("tools.stopped", b'{"name":"tools"}')
