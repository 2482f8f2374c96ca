"""Plain words over HTTP where the audit log is long already, against one that has just begun."""

from __future__ import annotations

import asyncio
import time

from plantops.bench.audit_growth import covered, fill
from plantops.bench.chat import PART_SECONDS, Turns, rounds, told_turns
from plantops.bench.demo import Demo
from plantops.bench.figures import Bench, Figure, Load, Tell, figure, median
from plantops.bench.front import front_site, used
from plantops.bench.ground import running_broker
from plantops.deployment.site import Site
from plantops.runtime.errors import BrokerUnavailable

GROWN = 1_000_000
GOAL_SHARE = 0.9
START_SECONDS = 900.0
QUIET_SHARE = 0.5  # of a core: reading a log anew takes a whole one
LOOK_SECONDS = 3.0
WRITERS = ("gate", "adapter-plc1", "adapter-opc1")


async def _quiet(demo: Demo) -> None:
    """Whoever reads the log from its beginning has done so. Raises: TimeoutError."""
    async with asyncio.timeout(START_SECONDS):
        while True:
            before, begun = used(demo), time.monotonic()
            await asyncio.sleep(LOOK_SECONDS)
            after, seconds = used(demo), time.monotonic() - begun
            names = ("notary", "witness", "archive")
            if all(after.get(each, 0) - before.get(each, 0) < QUIET_SHARE * seconds for each in names):
                return


async def _measured(count: int, load: Load, tell: Tell) -> Turns:
    async def before(site: Site) -> None:
        if count:
            async with running_broker(site):
                await fill(site, count, tell, WRITERS)

    async with front_site(before=before, seconds=START_SECONDS) as (demo, url):
        if count:
            tell(f"notary, witness and archive read {count:,} records")
            await covered(demo.site, count, seconds=START_SECONDS)
            await _quiet(demo)
        tell(f"/chat behind {count:,} records")
        turns = await rounds(demo, url, max(load.runs, 1), load.bounded(PART_SECONDS))
        if turns.records["AUDIT"] <= 0:
            raise BrokerUnavailable("no record was written: look at notary.log")
        return turns


async def run(load: Load, tell: Tell) -> list[Figure]:
    """Two sites, one after the other."""
    count = load.count(GROWN, least=2000)
    few = await _measured(0, load, tell)
    many = await _measured(count, load, tell)
    share = median(many.rates) / median(few.rates)
    note = f"behind {count:,} audit records"
    return [
        figure(
            "chat_million.few", "/chat behind few audit records", few.rates, "requests/s", better="higher"
        ),
        *told_turns("chat_million", many, note=note),
        figure(
            "chat_million.share",
            "rate behind the long log, of the short one's",
            share,
            "ratio",
            better="higher",
            goal=GOAL_SHARE,
            note=note,
        ),
    ]


BENCH = Bench("chat_million", "Plain words behind a million audit records", run, more_seconds=1800.0)
