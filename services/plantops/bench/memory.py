"""What an idle `plantops up` keeps in memory, process by process."""

from __future__ import annotations

import asyncio
from pathlib import Path

from plantops.bench.demo import Demo, demo_site
from plantops.bench.figures import Bench, Figure, Load, Tell, figure
from plantops.bench.machine import descendants, resident_megabytes

IDLE_SECONDS = 10.0


def _names(demo: Demo) -> dict[int, str]:
    """Every process of the site with its name."""
    known = {pid: name for name, pid in demo.running.processes.items()}
    known[demo.supervisor.pid] = "supervisor"
    names = {}
    for pid in descendants(demo.supervisor.pid):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        guess = "nats-server" if "nats-server" in words else "simulated plant"
        names[pid] = known.get(pid, guess)
    return names


async def run(load: Load, tell: Tell) -> list[Figure]:
    """RSS counts shared pages in each process, PSS shares them out: its sum is what the site really takes."""
    async with demo_site() as demo:
        tell("idle")
        await asyncio.sleep(load.bounded(IDLE_SECONDS))
        sizes = {name: resident_megabytes(pid) for pid, name in _names(demo).items()}
    own = {name: size for name, size in sizes.items() if name != "simulated plant"}
    rss, pss = (sum(size[part] for size in own.values()) for part in (0, 1))
    note = f"{len(own)} processes, without the simulated plant"
    figures = [
        figure("memory.pss", "plantops up, idle: PSS", pss, "MB", better="lower", note=note),
        figure("memory.rss", "plantops up, idle: sum of RSS", rss, "MB", better="lower", note=note),
    ]
    for name, (resident, shared) in sorted(sizes.items()):
        token = name.replace(" ", "_")
        figures += [
            figure(f"memory.{token}.rss", f"{name}: RSS", resident, "MB", better="lower"),
            figure(f"memory.{token}.pss", f"{name}: PSS", shared, "MB", better="lower"),
        ]
    return figures


BENCH = Bench("memory", "Resident memory", run)
