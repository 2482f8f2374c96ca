"""From a change at the device until a client sees it in the twin."""

from __future__ import annotations

import asyncio
import random
import time

from plantops.bench.demo import OPC_TAG, PLC_TAG, POLL_MS, Control, Demo, control, demo_site
from plantops.bench.figures import Bench, Figure, Load, Tell, percentiles
from plantops.events.base import TagName

CHANGES = 100
LOOK_SECONDS = 0.004
PATIENCE_SECONDS = 10.0


async def _seen_after(demo: Demo, plant: Control, word: str, tag: TagName, value: float) -> float:
    """Seconds from the change to the first answer of the twin that shows it. Raises: TimeoutError."""
    begun = time.perf_counter()
    await plant.command(word, value)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            [state] = (await demo.look(tag)).tags
            if state.value is not None and float(state.value) == value:
                return time.perf_counter() - begun
            await asyncio.sleep(LOOK_SECONDS)


async def run(load: Load, tell: Tell) -> list[Figure]:
    """Each change at its own point within the period."""
    count = load.count(CHANGES, least=3)
    delays: dict[str, list[float]] = {"modbus": [], "opcua": []}
    ways = (("modbus", "speed", PLC_TAG, 1000.0), ("opcua", "valve", OPC_TAG, 20.0))
    pause = random.Random(1)  # noqa: S311 - a phase, not a secret
    async with demo_site() as demo, control(demo) as plant:
        for number in range(count):
            tell(f"change {number + 1} of {count}")
            for name, word, tag, base in ways:
                delays[name].append(await _seen_after(demo, plant, word, tag, base + number % 50))
                await asyncio.sleep(pause.uniform(0, POLL_MS / 1000))
    titles = {
        "modbus": f"device -> twin, Modbus polled every {POLL_MS} ms",
        "opcua": f"device -> twin, OPC UA subscription of {POLL_MS} ms",
    }
    note = "from the change to a client's answer, plantops up, encrypted OPC UA"
    return [
        figure
        for name, title in titles.items()
        for figure in percentiles(f"latency.{name}", title, delays[name], note=note)
    ]


BENCH = Bench("latency", "Device to twin", run)
