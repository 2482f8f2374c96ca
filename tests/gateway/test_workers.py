"""Several workers on one port: each a process of its own, and one count of limits and metrics."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from support.nats import free_port

TESTS = Path(__file__).parents[1]
WORKER = """
import asyncio, pathlib, signal, sys
sys.path.insert(0, {tests!r})
from plantops.gateway.settings import DemoSettings, GatewaySettings, LimitSettings, RateSettings
from support.gateway_frame import frame_of

async def main():
    folder, port, number = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    limits = LimitSettings(caller=RateSettings(per_minute=1, burst=30))
    settings = GatewaySettings(
        port=port, workers=2, demo=DemoSettings(enabled=True), limits=limits, stop_seconds=1.0
    )
    async with frame_of(folder, settings, worker=number) as frame:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, frame.desk.stopping.set)
        print("ready", flush=True)
        await frame.desk.stopping.wait()
        await frame.stop()

asyncio.run(main())
"""


class Workers:
    """Two of them on one port."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.running: dict[int, Process] = {}

    async def start(self, number: int) -> None:
        program = WORKER.format(tests=str(TESTS))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, str(self.folder), str(self.port), str(number), stdout=PIPE
        )
        self.running[number] = process
        assert process.stdout is not None
        async with asyncio.timeout(100):
            while (line := await process.stdout.readline()) != b"ready\n":
                assert line, "the worker ended"

    async def ask(self, path: str, **headers: str) -> httpx.Response:
        """By a connection of its own, so that any worker may get it."""
        async with httpx.AsyncClient(timeout=60.0) as client:
            return await client.get(f"http://127.0.0.1:{self.port}{path}", headers=headers)

    async def counted(self) -> float:
        """Requests for `/v1/me`; those for `/metrics` before are taken off."""
        text = (await self.ask("/metrics")).text
        found = re.findall(r'plantops_http_requests_total\{[^}]*route="(.*?)"[^}]*\} ([0-9.]+)', text)
        return sum(float(count) for route, count in found if route != "/metrics")


@pytest.fixture
async def workers(tmp_path: Path) -> AsyncIterator[Workers]:
    made = Workers(tmp_path)
    try:
        await made.start(1)
        await made.start(2)
        yield made
    finally:
        for process in made.running.values():
            if process.returncode is None:
                process.kill()
            await process.wait()


async def test_limits_and_metrics_are_of_all_of_them_and_outlive_each(workers: Workers) -> None:
    seen = [(await workers.ask("/v1/me", **{"X-Roles": "operator"})).status_code for _number in range(60)]
    assert seen.count(200) in (30, 31)
    assert await workers.counted() == 60

    os.kill(workers.running[2].pid, signal.SIGKILL)
    await workers.running[2].wait()
    assert (await workers.ask("/v1/me", **{"X-Roles": "operator"})).status_code == 429
    await workers.start(2)
    for _number in range(5):
        assert (await workers.ask("/v1/me", **{"X-Roles": "viewer"})).status_code == 200
    assert await workers.counted() == 66

    for process in workers.running.values():
        process.send_signal(signal.SIGTERM)
    ends = [await asyncio.wait_for(process.wait(), 60) for process in workers.running.values()]
    assert ends == [0, 0]
