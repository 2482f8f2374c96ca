"""Appending to a log of a million records against an empty one, and how soon a checkpoint covers a record."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from plantops.bench.audit import BODY, KIND, WRITERS, append_all, login_as, running_auditor
from plantops.bench.audit_million import entries
from plantops.bench.figures import Bench, Figure, Load, Tell, figure, median, percentiles
from plantops.bench.ground import child, make_site, plant_process, running_broker, temporary_folder
from plantops.bench.machine import fsync_seconds
from plantops.bench.publisher import source_file
from plantops.deployment.policies import read_envelope, verify_envelope
from plantops.deployment.site import Site
from plantops.events.envelope import Message
from plantops.flow.auditing import Auditor
from plantops.flow.checkpoints import last_noted, open_checkpoint
from plantops.ledger.keys import SigningKey
from plantops.policy.audit_keys import notary_keys
from plantops.runtime.errors import BrokerUnavailable

GROWN = 1_000_000
BATCH = 1000
PER_RUN = 8000
RATE = 200.0  # records/s while the time to a checkpoint is measured
APPEND_GOAL = 5000.0
COVERED_GOAL_MS = 1500.0
CATCH_UP_SECONDS = 300.0


async def fill(site: Site, count: int, tell: Tell, writers: Sequence[str] = WRITERS) -> None:
    """Store `count` good records of all writers before anybody else runs."""
    keys = {name: SigningKey.load(site.folder.identity(name).signing) for name in writers}
    made = entries(count, keys, site=site.name)
    names = [*keys]
    async with AsyncExitStack() as stack:
        buses = {name: await stack.enter_async_context(login_as(site, name)) for name in names}
        for start in range(0, count, BATCH):
            if start % 50_000 == 0:
                tell(f"filling the log: {start:,} of {count:,}")
            # The order of the stream must be the one of the chains; one batch has one writer's login.
            size = min(BATCH, count - start)
            records = [next(made) for _ in range(size)]
            for place, name in enumerate(names):
                own = [
                    Message(f"audit.{site.name}.{name}", stored)
                    for number, stored in enumerate(records, start)
                    if number % len(names) == place
                ]
                if own:
                    await buses[name].publish_batch(own, stream="AUDIT")


@asynccontextmanager
async def _log(folder: Path, count: int, tell: Tell) -> AsyncIterator[tuple[Site, list[Auditor]]]:
    """A site whose log has `count` records under a checkpoint, its notary, and four writers."""
    site = make_site(folder, source_file(1))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running_broker(site))
        if count:
            await fill(site, count, tell)
        log = site.folder.logs / "notary.log"
        await stack.enter_async_context(child(plant_process(site, "notary"), log))
        tell(f"the notary reads {count:,} records")
        await covered(site, count)
        auditors = [await stack.enter_async_context(running_auditor(site, name)) for name in WRITERS]
        await asyncio.gather(*(each.append(KIND, BODY) for each in auditors))
        yield site, auditors


async def covered(site: Site, count: int, *, seconds: float = CATCH_UP_SECONDS) -> None:
    """Wait until a checkpoint covers so many. Raises: BrokerUnavailable when none does in `seconds`."""
    keys = notary_keys(verify_envelope(site.folder, read_envelope(site.folder)).policy)
    try:
        async with asyncio.timeout(seconds), login_as(site, "auditor") as bus:
            while count:
                noted = await last_noted(bus, site.name)
                if noted.note and open_checkpoint(noted.note, site.name, keys).size >= count:
                    return
                await asyncio.sleep(0.1)
    except TimeoutError as error:
        raise BrokerUnavailable(f"no checkpoint over {count} records in time: look at notary.log") from error


async def _untilcovered(site: Site, auditor: Auditor, seconds: float) -> list[float]:
    """Seconds from each append to the first checkpoint that was seen to cover it."""
    keys = notary_keys(verify_envelope(site.folder, read_envelope(site.folder)).policy)
    begun_at: dict[int, float] = {}
    times: list[float] = []
    async with login_as(site, "auditor") as bus:
        size = (await bus.state("AUDIT")).last
        done = False

        async def append() -> None:
            nonlocal size, done
            until = time.perf_counter() + seconds
            while (now := time.perf_counter()) < until:
                size += 1
                begun_at[size] = now
                await auditor.append(KIND, BODY)
                await asyncio.sleep(max(0.0, 1 / RATE - (time.perf_counter() - now)))
            done = True

        appending = asyncio.create_task(append())
        try:
            while not done or begun_at:
                noted = await last_noted(bus, site.name)
                if noted.note:
                    under = open_checkpoint(noted.note, site.name, keys).size
                    now = time.perf_counter()
                    times += [now - begun_at.pop(number) for number in [*begun_at] if number <= under]
                await asyncio.sleep(0.01)
        finally:
            await appending
    return times


async def run(load: Load, tell: Tell) -> list[Figure]:
    """Two logs on one disk, one of them grown; both are appended to in turn."""
    grown, count = load.count(GROWN, least=2000), load.count(PER_RUN, least=40)
    rates: dict[str, list[float]] = {"empty": [], "grown": []}
    async with temporary_folder() as folder, AsyncExitStack() as stack:
        fsyncs = await asyncio.to_thread(fsync_seconds, folder, 200)
        _small, few = await stack.enter_async_context(_log(folder / "empty", 0, tell))
        site, many = await stack.enter_async_context(_log(folder / "grown", grown, tell))
        sides: Sequence[tuple[str, list[Auditor]]] = (("empty", few), ("grown", many))
        for number in range(max(load.runs, 1)):
            for name, auditors in sides:
                tell(f"append to the {name} log, run {number + 1}")
                rates[name].append(await append_all(auditors, max(5, count // len(auditors))))
        await covered(site, grown)
        tell("from append to checkpoint")
        times = await _untilcovered(site, many[0], load.bounded(20.0))
    return _told(rates, times, grown, f"fsync p50 {1000 * median(fsyncs):.2f} ms")


def _told(
    rates: Mapping[str, Sequence[float]], times: Sequence[float], grown: int, fsync: str
) -> list[Figure]:
    note = f"{fsync}; 4 writers, runs in turn on both logs"
    rows = (("empty", "log of few records"), ("grown", f"log of {grown:,} records"))
    appended = [
        figure(
            f"audit_growth.append_{name}",
            f"audit append, 4 writers, {words}",
            rates[name],
            "records/s",
            better="higher",
            goal=APPEND_GOAL,
            note=note,
        )
        for name, words in rows
    ]
    ratio = figure(
        "audit_growth.ratio",
        "rate of the long log, of the short one's",
        median(rates["grown"]) / median(rates["empty"]),
        "ratio",
        better="higher",
        goal=0.8,
        note=note,
    )
    title = f"append until a checkpoint covers it, log of {grown:,}"
    goals = {99: COVERED_GOAL_MS}
    soon = percentiles("audit_growth.covered", title, times, shares=(50, 99), goals=goals, note=fsync)
    return [*appended, ratio, *soon]


BENCH = Bench("audit_growth", "Audit: a long log, and the time to a checkpoint", run)
