"""A whole site with two gates, and any part killed or hung at random for `CHAOS_MINUTES` (default 30)."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from pathlib import Path

import pytest

from plantops.events.base import CommandId
from plantops.events.command_parts import command_id
from plantops.events.commands import CommandClaimed
from support.history import check_commands, lives, requested, verified
from support.replaying import check_replayed
from support.site import RunningSite, make_site, send_patiently, until
from support.written import check_writes
from system.test_kills import PATIENCE_SECONDS, Work, at_work
from system.test_replicas import GATES, check_one_answer_each, gate_at_work

AT_WORK, STANDBY, HANGS = "gate at work", "gate standing by", "gate at work hangs"
PARTS = ("broker", "field", AT_WORK, STANDBY, "notary", HANGS)
PAUSE_SECONDS = (1.0, 6.0)
# Killed together, now and then. A host that comes back and finds no notary cannot reach AUDIT: its stops
# stand in its journal first.
PAIRS = {"both gates": GATES, "field and notary": ("field", "notary")}
# Long enough to be replaced, or nearly.
HANG_SECONDS = (0.8, 3.0)
EVERY = 2
# Below that there may be no time for each part.
MINUTES_FOR_ALL = 2.0


async def names_of(site: RunningSite, part: str) -> tuple[str, ...]:
    """The processes that are that part at this moment."""
    if part not in (AT_WORK, STANDBY, HANGS):
        return (part,)
    at_work = await gate_at_work(site)
    return tuple(name for name in GATES if (name == at_work) == (part != STANDBY))


async def hurt(site: RunningSite, dice: random.Random, deadline: float) -> dict[str, int]:
    """Kill one part after the other, now and then two at once; gives how often each. A gate that hangs
    wakes up with what it was about to say, when another one is at work.

    Each part comes once before any comes again, in an order that the dice choose anew.
    """
    toll = dict.fromkeys((*PARTS, *PAIRS), 0)
    left: list[str] = []
    while time.monotonic() < deadline:
        left = left or dice.sample(PARTS, len(PARTS))
        part = dice.choice((*PAIRS,)) if dice.random() < 0.2 else left.pop()
        names = PAIRS[part] if part in PAIRS else await names_of(site, part)
        if part == HANGS:
            async with site.paused(names[0]):
                await asyncio.sleep(dice.uniform(*HANG_SECONDS))
        else:
            await asyncio.gather(*(site.kill(name) for name in names))
        toll[part] += 1
        await asyncio.sleep(dice.uniform(*PAUSE_SECONDS))
    return toll


async def check_log(site: RunningSite, work: Work, stops: list[CommandId]) -> str:
    """Each command and stop once, with its end, and recorded before the device saw it. Gives the figures."""
    await site.healthy()
    async with site.reader() as bus:
        await until(
            lambda: lives(bus), lambda each: all(each[stop].finals for stop in stops), "all stops are over"
        )
        found = await check_commands(bus, [*work.sent, *stops])
        asked = {*await requested(bus)}  # of what was under way at the end nobody heard an answer
        assert (await bus.state("DEAD")).last == 0
    claimed = {command for command, life in found.items() if life.count(CommandClaimed)}
    assert claimed <= asked, "something is claimed that nobody asked for"
    await until(
        lambda: verified(site), lambda report: report.ok and not report.uncovered, "the audit verifies"
    )
    return await check_writes(site, found, normal=found.keys() - {*stops}, stops=stops)


@pytest.mark.chaos
@pytest.mark.timeout(4 * 3600)
async def test_a_site_under_random_kills_loses_nothing_and_does_nothing_twice(tmp_path: Path) -> None:
    minutes = float(os.environ.get("CHAOS_MINUTES", "30"))
    seed = int(os.environ.get("CHAOS_SEED", "0")) or random.randrange(1, 2**31)
    sys.stdout.write(f"CHAOS_SEED={seed}\n")  # pytest shows it when the test fails
    site = make_site(tmp_path / "demo")
    site.gates = len(GATES)
    stops: list[CommandId] = []
    try:
        await site.start()
        async with at_work(site) as work, site.session("bob") as bob:
            hurting = asyncio.create_task(hurt(site, random.Random(seed), time.monotonic() + 60.0 * minutes))
            while not hurting.done():
                stop = bob.intent("pump-001", "StopPump", {})
                await send_patiently(bob, stop, seconds=PATIENCE_SECONDS)
                stops.append(command_id(stop.actor, stop.key))
                await asyncio.wait([hurting], timeout=EVERY)
            toll = await hurting
            await work.until_executed(1)
        sys.stdout.write(f"killed {toll}; {len(work.sent)} commands, {len(stops)} stops, ")
        sys.stdout.write(f"{len(work.reconciled)} commands asked of the device\n")
        if minutes >= MINUTES_FOR_ALL:
            assert all(toll[part] for part in PARTS), toll
        await check_one_answer_each(site, work)
        sys.stdout.write(f"{await check_log(site, work, stops)}\n")
        sys.stdout.write(f"{await check_replayed(site)}\n")
        site.stop()
    finally:
        if site.process is not None:
            site.clear(site.process)
