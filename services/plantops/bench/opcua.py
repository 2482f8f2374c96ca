"""OPC UA: changing values/s through our adapter and host, beside a bare asyncua subscription."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
from asyncua import Client, Node, ua
from asyncua.common.subscription import DataChangeNotif

from plantops.bench.delivered import deliver, delivered_figures, through_host
from plantops.bench.figures import Bench, Figure, Load, Tell, figure
from plantops.bench.ground import child, tail, temporary_folder
from plantops.runtime.errors import DeviceUnavailable
from plantops.simulation.opcua_map import NAMESPACE, counter_path

COUNTERS = 1200
GOAL_VALUES = 10_000.0
# Offered with the goal in reach, and twice as much: more than the simulated server can tell.
RATES = (10.0, 20.0)
PERIOD_MS = 100
QUEUE = 100
START_SECONDS = 60.0
PART_SECONDS = 5.0


class _Told(msgspec.Struct):
    opcua: str


@asynccontextmanager
async def _device(counters: int, rate: float, log: Path) -> AsyncIterator[tuple[str, int]]:
    """The simulated plant in a process of its own; its address and process id."""
    words = ["plantops.simulation", "--counters", str(counters), "--counter-rate", str(rate), "--anonymous"]
    async with child(words, log, pipe=True) as process:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), START_SECONDS)
        if not line:
            raise DeviceUnavailable(f"the simulated plant did not start: {tail(log)}")
        yield msgspec.json.decode(line, type=_Told).opcua, process.pid


def _source_file(url: str, counters: int) -> str:
    head = f'adapter = "opcua"\n[connection]\nendpoint_url = "{url}"\nqueue_size = {QUEUE}\n'
    group = f'[[groups]]\nname = "all"\nperiod_ms = {PERIOD_MS}\n'
    one = '[[tags]]\nname = "bench.c{0:05d}"\naddress = "nsu={1};s={2}|uint32"\n'
    return head + group + "".join(one.format(n, NAMESPACE, counter_path(n)) for n in range(counters))


@dataclass
class _Count:
    """Counts notifications; asyncua calls it by this name."""

    values: int = 0

    def datachange_notification(self, node: Node, value: object, data: DataChangeNotif) -> None:
        self.values += 1


async def _bare(url: str, counters: int, seconds: float) -> float:
    """Changes/s that the library alone tells."""
    async with Client(url) as client:
        space = await client.get_namespace_index(NAMESPACE)
        nodes = [
            client.get_node(ua.NodeId(ua.String(counter_path(n)), ua.Int16(space))) for n in range(counters)
        ]
        count = _Count()
        subscription = await client.create_subscription(PERIOD_MS, count)
        await subscription.subscribe_data_change(nodes, queuesize=QUEUE)
        await asyncio.sleep(1.0)
        begun, before = time.perf_counter(), count.values
        await asyncio.sleep(seconds)
        rate = (count.values - before) / (time.perf_counter() - begun)
        await subscription.delete()
        return rate


async def run(load: Load, tell: Tell) -> list[Figure]:
    """At each offered rate: the library alone, then the whole way to a reader of the log."""
    counters = load.count(COUNTERS, least=20)
    figures: list[Figure] = []
    async with temporary_folder() as folder:
        for rate, name in zip(RATES, ("opcua", "opcua.most"), strict=True):
            figures += await _at(
                load, tell, counters=counters, rate=rate, name=name, log=folder / f"{name}.log"
            )
    return figures


async def _at(load: Load, tell: Tell, *, counters: int, rate: float, name: str, log: Path) -> list[Figure]:
    offered = counters * rate
    async with _device(counters, rate, log) as (url, pid):
        bare = []
        for number in range(load.runs):
            tell(f"bare asyncua at {offered:,.0f} changes/s, run {number + 1} of {load.runs}")
            bare.append(await _bare(url, counters, load.bounded(PART_SECONDS)))
        title = f"bare asyncua subscription, {offered:,.0f} offered"
        ceiling = figure(f"ceiling.{name}", title, bare, "values/s", better="higher")
        tell(f"through host and broker at {offered:,.0f} changes/s for {load.seconds:g} s")
        async with through_host(_source_file(url, counters), step=1, modulus=1 << 32) as (here, reader):
            told = await deliver(here, reader, load.seconds, load.runs, {"device": pid})
    is_goal = name == "opcua"
    title = f"OPC UA -> host -> broker -> reader, {offered:,.0f} offered"
    return [
        ceiling,
        *delivered_figures(name, title, told, goal=GOAL_VALUES if is_goal else None, ceiling=ceiling),
    ]


BENCH = Bench("opcua", "OPC UA: changing values", run)
