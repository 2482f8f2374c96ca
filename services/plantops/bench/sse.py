"""Many who listen to live events of one gateway: what reaches them, how old it is, and what it takes."""

from __future__ import annotations

import asyncio
import time
from urllib.parse import urlsplit

import msgspec

from plantops.bench.demo import Demo
from plantops.bench.figures import Bench, Figure, Load, Tell, figure, percentiles
from plantops.bench.front import front_site
from plantops.bench.ground import child, tail
from plantops.bench.machine import cpu_seconds, resident_megabytes
from plantops.bench.sse_clients import START_SECONDS, Seen
from plantops.deployment.runtime_file import read_running
from plantops.gateway.live import TAG_SECONDS
from plantops.runtime.errors import BrokerUnavailable

CLIENTS = 1000
SECONDS = 20.0
UPDATES = 10.0
POLL_MS = 50
# Something has changed each time when the gateway tells changed tags (`TAG_SECONDS`).
OFTEN = {"sources/plc1.toml": [("period_ms = 500", f"period_ms = {POLL_MS}")]}


def _gateway(demo: Demo) -> int:
    running = read_running(demo.site.folder)
    if running is None or "gateway" not in running.processes:
        raise BrokerUnavailable("the gateway's process is gone")
    return running.processes["gateway"]


async def _listened(demo: Demo, url: str, clients: int, seconds: float) -> tuple[Seen, float, float]:
    """What came; the gateway's share of a core and its memory (RSS, MB) while all listened."""
    log = demo.site.folder.logs / "bench-sse.log"
    words = ["plantops.bench.sse_clients", str(urlsplit(url).port), str(clients), str(seconds)]
    pid = _gateway(demo)
    async with child(words, log, pipe=True) as process:
        assert process.stdout is not None
        reading = asyncio.create_task(process.stdout.read())
        looks = [(time.monotonic(), cpu_seconds(pid))]
        most = 0.0
        bound = time.monotonic() + START_SECONDS + 2 * seconds + 30
        while not reading.done() and time.monotonic() < bound:
            await asyncio.wait([reading], timeout=0.5)
            looks.append((time.monotonic(), cpu_seconds(pid)))
            most = max(most, resident_megabytes(pid)[0])
        line = await asyncio.wait_for(reading, 1.0)
    if not line:
        raise BrokerUnavailable(f"the readers ended: {tail(log)}")
    seen = msgspec.json.decode(line, type=Seen)
    # The last look but one is within the time that was measured, and so are those of `seconds` before.
    ended = looks[-2] if len(looks) > 2 else looks[-1]
    begun = min(looks, key=lambda look: abs(look[0] - (ended[0] - 0.9 * seen.seconds)))
    percent = 100 * (ended[1] - begun[1]) / max(ended[0] - begun[0], 0.01)
    return seen, percent, most


async def run(load: Load, tell: Tell) -> list[Figure]:
    """All listen to all tags of the demo site."""
    clients, seconds = load.count(CLIENTS, least=5), load.bounded(SECONDS)
    async with front_site(edits=OFTEN) as (demo, url):
        idle = resident_megabytes(_gateway(demo))[0]
        tell(f"{clients} readers for {seconds:.0f} s")
        seen, percent, megabytes = await _listened(demo, url, clients, seconds)
    many = f"{clients:,} clients of one gateway"
    share = 100 * seen.cpu_seconds / seen.seconds
    note = (
        f"{seen.seconds:.0f} s; the readers took {share:.0f} % of a core; the one with the fewest had"
        f" {seen.least / seen.seconds:.1f}/s; {seen.ended} were cut"
    )
    return [
        figure(
            "sse.each",
            f"live events, {many}: updates of each",
            seen.updates / seen.seconds / clients,
            "updates/s",
            better="higher",
            goal=UPDATES,
            note=note,
        ),
        figure(
            "sse.rate",
            f"live events, {many}: updates",
            seen.updates / seen.seconds,
            "updates/s",
            better="higher",
        ),
        *percentiles(
            "sse.age",
            f"live events, {many}: from the change to the client",
            seen.ages or (0.0,),
            shares=(50, 99),
            note=f"as the twin dates it; told at most every {1000 * TAG_SECONDS:.0f} ms",
        ),
        figure("sse.cpu", f"the gateway, {many}", percent, "% of a core", better="lower"),
        figure(
            "sse.rss",
            f"the gateway, {many}: RSS",
            megabytes,
            "MB",
            better="lower",
            note=f"{idle:.0f} MB before",
        ),
    ]


BENCH = Bench("sse", "Live events", run)
