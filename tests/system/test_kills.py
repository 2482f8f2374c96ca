"""`kill -9` of every part in the middle of work: the site heals, and the log stays true."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count

import pytest

from plantops.cli.session import Session
from plantops.events.base import CommandId
from plantops.events.commands import CommandClaimed, CommandExecuted
from plantops.events.queries import CommandAsked, CommandStatus
from plantops.flow.results import is_at_rest
from plantops.runtime.errors import BrokerError, Refused
from support.history import (
    check_claims_audited,
    check_commands,
    check_counter,
    check_source,
    history_of,
    verified,
)
from support.site import RunningSite, send_patiently, until

PARTS = ("broker", "field", "core", "gate", "notary")
BEFORE, AFTER = 3, 3
# A host that dies with an order in hand gets it again 30 s later, starts again after 15 s at most, and waits
# for its old lease. Where parts are killed over and over, that may happen to one command several times.
PATIENCE_SECONDS = 300.0
NUMBERS = count(1)


@dataclass
class Work:
    """One command after the other, each with its own key and value; what is down is waited for."""

    here: Session
    sent: list[CommandId] = field(default_factory=list)
    ended: list[CommandStatus] = field(default_factory=list)
    reconciled: list[CommandId] = field(default_factory=list)
    task: asyncio.Task[None] | None = None  # what runs them

    async def run(self) -> None:
        while True:
            number = next(NUMBERS)
            value = 1.0 + number % 990 / 10
            words = self.here.intent("valve-001", "SetPosition", {"PERCENT": value}, key=f"kill-{number}")
            taken = await send_patiently(self.here, words, seconds=PATIENCE_SECONDS)
            self.sent.append(taken.command)
            await self.follow(taken.command)

    async def follow(self, command: CommandId) -> None:
        """Until the command is at its end; what nobody knows of it then is asked of the device, as without
        that the asset takes no further command."""
        ended = await self._end_of(command)
        self.ended.append(ended)
        if ended.outcome == "command.outcome_unknown":
            words = self.here.intent("valve-001", "act-reconcile", {"command": command}, key=f"ask-{command}")
            taken = await send_patiently(self.here, words, seconds=PATIENCE_SECONDS)
            asked = await self._end_of(taken.command)
            assert asked.phase == "done", asked
            self.reconciled.append(command)

    async def _end_of(self, command: CommandId) -> CommandStatus:
        async def look() -> CommandStatus | None:
            return await self._status(command)

        ended = await until(
            look, lambda now: now is not None and is_at_rest(now), f"{command} ends", seconds=PATIENCE_SECONDS
        )
        assert ended is not None
        return ended

    async def _status(self, command: CommandId) -> CommandStatus | None:
        try:
            return await self.here.ask("command", "get", CommandAsked(command=command), CommandStatus)
        except (BrokerError, Refused):
            return None  # the gate is away, or has not folded it yet

    async def until_executed(self, more: int) -> None:
        """Returns when that many commands more were executed. Raises: what ended the worker, if it ended."""
        wanted = self._executed() + more

        async def look() -> int:
            if self.task is not None and self.task.done():
                self.task.result()
            return self._executed()

        await until(
            look, lambda now: now >= wanted, f"{more} more commands are executed", seconds=PATIENCE_SECONDS
        )

    def _executed(self) -> int:
        return sum(status.outcome == "command.executed" for status in self.ended)


@asynccontextmanager
async def at_work(site: RunningSite) -> AsyncIterator[Work]:
    """Commands run one after the other inside the block; the last one ends before it does."""
    async with site.session("alice") as alice:
        work = Work(alice)
        work.task = task = asyncio.create_task(work.run())
        try:
            yield work
        finally:
            task.cancel()
            (result,) = await asyncio.gather(task, return_exceptions=True)
        assert isinstance(result, asyncio.CancelledError), result
        if len(work.sent) > len(work.ended):
            await work.follow(work.sent[-1])


async def check_all(site: RunningSite, work: Work) -> None:
    """Everything that is promised of commands, tags and audit."""
    await site.healthy()
    async with site.reader() as bus:
        found = await check_commands(bus, work.sent)
        await check_claims_audited(site, found)
        valve = [life for life in found.values() if life.may_write("opc1.valve.command")]
        claimed = sum(life.count(CommandClaimed) for life in valve)
        executed = sum(life.count(CommandExecuted) for life in valve)
        writes = (await site.plant({"state": True}))["writes_valve"]
        assert executed <= writes <= claimed
        for source in ("plc1", "opc1"):
            check_source(await history_of(bus, source))
        check_counter((await history_of(bus, "plc1")).values("plc1.counter0"))
        assert (await bus.state("DEAD")).last == 0

    report = await until(
        lambda: verified(site), lambda report: report.ok and not report.uncovered, "the audit verifies"
    )
    assert report.covered == report.size


async def kill_at_work(site: RunningSite, part: str) -> None:
    async with at_work(site) as work:
        await work.until_executed(BEFORE)
        await site.kill(part)
        await work.until_executed(AFTER)
    await check_all(site, work)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", PARTS)
async def test_a_killed_part_comes_back_and_nothing_is_lost_or_done_twice(
    demo: RunningSite, part: str
) -> None:
    await kill_at_work(demo, part)


@pytest.mark.chaos
@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", PARTS)
async def test_a_part_killed_again_and_again_comes_back_each_time(demo: RunningSite, part: str) -> None:
    for _ in range(6):
        await kill_at_work(demo, part)


@pytest.mark.chaos
@pytest.mark.timeout(900)
async def test_everything_killed_at_once_comes_back(demo: RunningSite) -> None:
    for _ in range(4):
        async with at_work(demo) as work:
            await work.until_executed(BEFORE)
            await asyncio.gather(*(demo.kill(part) for part in PARTS))
            await work.until_executed(AFTER)
        await check_all(demo, work)
