"""One device through its real host to the second reader: values/s, and what was lost or out of order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import msgspec

from plantops.bench.counting import Totals
from plantops.bench.figures import Figure, figure
from plantops.bench.ground import SOURCE, Ground, ground
from plantops.bench.machine import cpu_seconds
from plantops.bench.observer import ReaderSeen, second_reader
from plantops.runtime.errors import DeviceUnavailable

HOST = f"adapter-{SOURCE}"
FIRST_SECONDS = 40.0
SETTLE_SECONDS = 1.0


@dataclass(frozen=True)
class Delivered:
    """`rates` are values/s at the reader in equal parts of the time; `cpu` is by process."""

    rates: tuple[float, ...]
    totals: Totals
    cpu: Mapping[str, float]
    seconds: float

    @property
    def rate(self) -> float:
        """Over the whole time."""
        return sum(self.rates) / len(self.rates)


@asynccontextmanager
async def through_host(source: str, *, step: int, modulus: int) -> AsyncIterator[tuple[Ground, ReaderSeen]]:
    """The host of a source file and the reader behind it, delivering. Raises: DeviceUnavailable."""
    async with AsyncExitStack() as stack:
        here = await stack.enter_async_context(ground(source, names=(HOST,)))
        reader = await stack.enter_async_context(
            second_reader(here, prefix="bench.", step=step, modulus=modulus)
        )
        try:
            await reader.until(lambda totals: totals.samples > 0, FIRST_SECONDS)
        except TimeoutError as error:
            raise DeviceUnavailable(f"nothing came from the device:\n{here.log_tail()}") from error
        await asyncio.sleep(SETTLE_SECONDS)
        yield here, reader


async def deliver(
    here: Ground, reader: ReaderSeen, seconds: float, parts: int, pids: Mapping[str, int]
) -> Delivered:
    """Count for `seconds`; `pids` are further processes whose CPU time is told."""
    known = {**pids, "host": here.processes[HOST].pid, "reader": reader.pid, "nats": here.server.pid}
    before = {name: cpu_seconds(pid) for name, pid in known.items()}
    rates = []
    for _ in range(parts):
        old, begun = await _newest(reader)
        await asyncio.sleep(seconds / parts)
        new, ended = await _newest(reader)
        rates.append((new.samples - old.samples) / (ended - begun))
    cpu = {name: cpu_seconds(pid) - before[name] for name, pid in known.items()}
    return Delivered(tuple(rates), msgspec.structs.replace(reader.totals), cpu, seconds)


async def _newest(reader: ReaderSeen) -> tuple[Totals, float]:
    """The next totals that the reader tells, and when."""
    position = reader.totals.position
    totals = await reader.until(lambda totals: totals.position > position, FIRST_SECONDS)
    return msgspec.structs.replace(totals), time.monotonic()


def delivered_figures(
    name: str, title: str, told: Delivered, *, goal: float | None, ceiling: Figure
) -> list[Figure]:
    """Values/s, losses and CPU time of a run."""
    values = told.rate * told.seconds
    cpu = ", ".join(f"{who} {1e6 * used / values:.1f}" for who, used in sorted(told.cpu.items()))
    totals = told.totals
    return [
        figure(
            f"{name}.values",
            title,
            told.rates,
            "values/s",
            better="higher",
            goal=goal,
            ceiling=ceiling,
            note=f"CPU s per million values: {cpu}",
        ),
        figure(
            f"{name}.lost",
            f"{title}: lost, by counters",
            totals.lost,
            "values",
            better="lower",
            goal=0,
            note=f"of {totals.samples:,}; {totals.bad} without a value, {totals.historical} frames late",
        ),
        figure(
            f"{name}.out_of_order",
            f"{title}: out of order",
            totals.out_of_order,
            "values",
            better="lower",
            goal=0,
        ),
    ]
