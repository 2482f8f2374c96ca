"""A whole site with two gates, and `kill -9` of any part at random for `CHAOS_MINUTES` (default 30)."""

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
from support.history import check_claims_audited, check_commands, claims_audited, lives, verified
from support.site import RunningSite, make_site, send_patiently, until
from system.test_kills import Work, at_work
from system.test_replicas import check_one_answer_each

PARTS = ("broker", "gate", "gate-2", "field", "notary")
PAUSE_SECONDS = (1.0, 6.0)
EVERY = 5


async def hurt(site: RunningSite, dice: random.Random, deadline: float) -> dict[str, int]:
    """Kill one part after the other, now and then two gates at once; gives how often each."""
    toll = dict.fromkeys(PARTS, 0)
    while time.monotonic() < deadline:
        parts = ("gate", "gate-2") if dice.random() < 0.1 else (dice.choice(PARTS),)
        await asyncio.gather(*(site.kill(part) for part in parts))
        for part in parts:
            toll[part] += 1
        await asyncio.sleep(dice.uniform(*PAUSE_SECONDS))
    return toll


async def check_log(site: RunningSite, work: Work, stops: list[CommandId]) -> None:
    """Each command once and recorded first; a stop too, unless the journal stood in for the audit."""
    await site.healthy()
    async with site.reader() as bus:
        await until(
            lambda: lives(bus), lambda each: all(each[stop].finals for stop in stops), "all stops are over"
        )
        found = await check_commands(bus, work.sent)
        assert all(found[stop].count(CommandClaimed) <= 1 for stop in stops)
        await check_claims_audited(site, {each: found[each] for each in work.sent})
        assert (await bus.state("DEAD")).last == 0
    claimed = {stop for stop in stops if found[stop].count(CommandClaimed)}
    await until(lambda: claims_audited(site), lambda told: claimed <= told.keys(), "all stops are recorded")
    await until(
        lambda: verified(site), lambda report: report.ok and not report.uncovered, "the audit verifies"
    )


@pytest.mark.chaos
@pytest.mark.timeout(4 * 3600)
async def test_a_site_under_random_kills_loses_nothing_and_does_nothing_twice(tmp_path: Path) -> None:
    minutes = float(os.environ.get("CHAOS_MINUTES", "30"))
    seed = int(os.environ.get("CHAOS_SEED", "0")) or random.randrange(1, 2**31)
    sys.stdout.write(f"CHAOS_SEED={seed}\n")  # pytest shows it when the test fails
    site = make_site(tmp_path / "demo")
    site.gates = 2
    stops: list[CommandId] = []
    try:
        await site.start()
        async with at_work(site) as work, site.session("bob") as bob:
            hurting = asyncio.create_task(hurt(site, random.Random(seed), time.monotonic() + 60.0 * minutes))
            while not hurting.done():
                stop = bob.intent("pump-001", "StopPump", {})
                await send_patiently(bob, stop)
                stops.append(command_id(stop.actor, stop.key))
                await asyncio.wait([hurting], timeout=EVERY)
            toll = await hurting
            await work.until_executed(1)
        sys.stdout.write(f"killed {toll}; {len(work.sent)} commands, {len(stops)} stops\n")
        await check_one_answer_each(site, work)
        await check_log(site, work, stops)
        site.stop()
    finally:
        if site.process is not None:
            site.clear(site.process)
