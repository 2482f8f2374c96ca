"""The demo site as it is shipped, with tools, agent and gateway: what it writes, and who uses the cores."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import msgspec

from plantops.bench.demo import Demo, demo_site, nothing
from plantops.bench.machine import cpu_seconds, descendants
from plantops.cli.http_load import Loaded, Request, load
from plantops.deployment.runtime_file import read_running
from plantops.deployment.site import Site
from plantops.runtime.errors import BrokerUnavailable, Refused

ROLE = {"X-Roles": "operator"}
CONNECTIONS = 8
STREAMS = ("INTENTS", "COMMANDS", "AGENT", "AUDIT", "CHECKPOINTS")
START_SECONDS = 90.0


@asynccontextmanager
async def front_site(
    *,
    edits: Mapping[str, Sequence[tuple[str, str]]] = {},
    before: Callable[[Site], Awaitable[None]] = nothing,
    seconds: float = START_SECONDS,
) -> AsyncIterator[tuple[Demo, str]]:
    """The site, and its gateway's address; the agent answers there. Raises: BrokerUnavailable."""
    async with demo_site(front=True, edits=edits, before=before, seconds=seconds) as demo:
        try:
            async with asyncio.timeout(seconds):
                url = await _answering(demo)
        except TimeoutError as error:
            raise BrokerUnavailable("gateway and agent did not come up: look at `plantops up`") from error
        yield demo, url


async def _answering(demo: Demo) -> str:
    while True:
        running = read_running(demo.site.folder)
        if running is not None and running.gateway:
            url = f"http://127.0.0.1:{running.gateway}"
            asked = await load(chat(url, "status"), concurrency=1, requests=1)
            if asked.answers:
                return url
        await asyncio.sleep(0.2)


def chat(url: str, message: str) -> Request:
    """One turn, in a conversation of its own."""
    return Request.of(url, "POST", "/chat", ROLE, msgspec.json.encode({"message": message}))


def command(url: str, body: dict[str, Any]) -> Request:
    """One command, waited for."""
    return Request.of(url, "POST", "/v1/commands?wait=20", ROLE, msgspec.json.encode(body))


def good(loaded: Loaded, *words: str) -> Loaded:
    """It, when all answers are of these words. Raises: Refused: a fast error is no figure."""
    wrong = {word: count for word, count in loaded.answers.items() if word not in words}
    if loaded.errors or wrong or not loaded.answers:
        raise Refused(f"answers that are none: {dict(loaded.errors) | wrong}", reason="bench")
    return loaded


async def sequences(demo: Demo) -> dict[str, int]:
    """The last place in each stream of the site, over both accounts (nats-server's monitoring, `/jsz`)."""
    monitor = f"http://127.0.0.1:{demo.running.monitor_port}/jsz?streams=1"
    answer = await asyncio.to_thread(_fetched, monitor)
    accounts = msgspec.json.decode(answer).get("account_details") or ()
    streams = [each for account in accounts for each in account.get("stream_detail") or ()]
    return {each["name"]: each["state"]["last_seq"] for each in streams}


def _fetched(url: str) -> bytes:
    with urlopen(url, timeout=10) as answer:  # noqa: S310 - our own broker
        return bytes(answer.read())


def used(demo: Demo) -> dict[str, float]:
    """Seconds of processor time by process so far; the broker and the simulated plant too."""
    names = {pid: name for name, pid in demo.running.processes.items()}
    running = read_running(demo.site.folder)
    if running is not None:
        names |= {pid: name for name, pid in running.processes.items()}
    seconds: dict[str, float] = {}
    for pid in descendants(demo.supervisor.pid):
        name = names.get(pid) or _guess(pid)
        seconds[name] = seconds.get(name, 0.0) + cpu_seconds(pid)
    return seconds


def _guess(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return "gone"
    for mark, name in (("nats-server", "broker"), ("plantops.simulation", "plant"), (" up", "supervisor")):
        if mark in words.replace("\0", " "):
            return name
    return "other"
