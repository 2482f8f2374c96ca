"""Plain words over HTTP: turns a second with shipped defaults, what each writes, and who spends the time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from plantops.bench.demo import Demo
from plantops.bench.figures import Bench, Figure, Load, Tell, figure, percentiles
from plantops.bench.front import CONNECTIONS, ROLE, STREAMS, chat, command, front_site, good, sequences, used
from plantops.bench.observer import person
from plantops.cli.http_load import Request, load
from plantops.cli.loadtest import MESSAGE, judge_chat, judge_command
from plantops.events.base import Scalar
from plantops.events.command_parts import command_id
from plantops.events.envelope import Message
from plantops.flow.results import may_rest
from plantops.runtime.errors import Refused

GOAL_RATE = 300.0
GOAL_P99_MS = 80.0
GOAL_COMMAND_MS = 50.0
PART_SECONDS = 10.0
COMMANDS = 200
HEALTHS = 1000
PATIENCE_SECONDS = 30.0
STILL_SECONDS = 1.0
SIMULATED = "200 simulated_only"


@dataclass
class Turns:
    """What rounds of chats gave: turns a second of each, all times, and costs of one turn."""

    rates: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    count: int = 0
    cpu: dict[str, float] = field(default_factory=dict)
    records: dict[str, int] = field(default_factory=dict)


async def rounds(demo: Demo, url: str, runs: int, seconds: float) -> Turns:
    """Set-points simulated by words, `CONNECTIONS` at a time. Raises: Refused when an answer is another."""
    turns = Turns()
    request = chat(url, MESSAGE)
    warm = await load(request, concurrency=CONNECTIONS, seconds=min(1.0, seconds), judge=judge_chat)
    good(warm, SIMULATED)
    records = await _written(demo)
    cpu = used(demo)
    for _ in range(runs):
        loaded = await load(request, concurrency=CONNECTIONS, seconds=seconds, judge=judge_chat)
        good(loaded, SIMULATED)
        turns.rates.append(loaded.rate)
        turns.seconds += loaded.seconds
        turns.count += loaded.requests
    after = await _written(demo)
    turns.cpu = _risen(cpu, used(demo))
    turns.records = {name: round(more) for name, more in _risen(records, after).items()}
    return turns


async def _written(demo: Demo) -> dict[str, int]:
    """As `sequences`, once what is audited beside the way is stored. Raises: TimeoutError."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        before = await sequences(demo)
        while True:
            await asyncio.sleep(STILL_SECONDS)
            after = await sequences(demo)
            if all(after.get(stream) == before.get(stream) for stream in STREAMS):
                return after
            before = after


def _risen(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    return {name: count - before.get(name, 0) for name, count in after.items()}


async def _health(url: str, runs: int) -> list[float]:
    """Answers a second of a route that asks nobody; fewer of them than one address may ask at once."""
    request = Request.of(url, "GET", "/health", ROLE)
    loaded = [await load(request, concurrency=CONNECTIONS, requests=HEALTHS) for _ in range(runs)]
    return [good(each, "200").rate for each in loaded]


async def _gate_alone(demo: Demo, runs: int, seconds: float) -> list[float]:
    """Signed simulations a second by NATS, each followed to its result, by several clients.

    Raises: Refused when one comes to another end, TimeoutError when it comes to none.
    """
    ends: dict[str, asyncio.Future[str]] = {}

    async def hear(message: Message) -> None:
        parts = message.subject.split(".")
        end = ends.get(parts[-1])
        if may_rest(parts[2]) and end is not None and not end.done():
            end.set_result(parts[2])

    async def one(until: float) -> int:
        done = 0
        arguments: dict[str, Scalar] = {"RPM": 1200}
        async with person(demo.site) as bus:
            own = replace(demo, bus=bus)
            while time.perf_counter() < until:
                intent = demo.intent("pump-001", "SetSpeed", arguments, mode="simulate")
                name = command_id(intent.actor, intent.key)
                end = ends[name] = asyncio.get_running_loop().create_future()
                await own.send(intent)
                async with asyncio.timeout(PATIENCE_SECONDS):
                    if await end != "simulated":
                        raise Refused(f"pump-001.SetSpeed was {end.result()}, not simulated", reason="bench")
                del ends[name]
                done += 1
        return done

    rates = []
    listening = await demo.bus.listen(f"cmd.{demo.site.name}.>", hear)
    try:
        for _ in range(runs):
            begun = time.perf_counter()
            counts = await asyncio.gather(*(one(begun + seconds) for _ in range(CONNECTIONS)))
            rates.append(sum(counts) / (time.perf_counter() - begun))
    finally:
        await listening.stop()
    return rates


async def run(load_: Load, tell: Tell) -> list[Figure]:
    """Ceilings first and last, the chats between them, all on one site."""
    seconds = load_.bounded(PART_SECONDS)
    runs = max(load_.runs, 1)
    async with front_site() as (demo, url):
        tell("ceilings: /health, and the gate alone")
        ceilings = _ceilings(await _health(url, runs), await _gate_alone(demo, runs, min(seconds, 5.0)))
        tell(f"/chat, {CONNECTIONS} connections, {runs} times {seconds:.0f} s")
        turns = await rounds(demo, url, runs, seconds)
        tell("/v1/commands, one after the other")
        told = await _commands(demo, url, load_.count(COMMANDS, least=3))
    return [*ceilings, *told_turns("chat", turns, ceilings[1]), *told]


def _ceilings(health: list[float], gate: list[float]) -> tuple[Figure, Figure]:
    many = f"{CONNECTIONS} connections"
    return (
        figure("ceiling.chat.health", f"/health, {many}", health, "requests/s", better="higher"),
        figure(
            "ceiling.chat.gate",
            f"the gate alone: signed simulations by NATS to their result, {CONNECTIONS} clients",
            gate,
            "commands/s",
            better="higher",
        ),
    )


def told_turns(name: str, turns: Turns, ceiling: Figure | None = None, note: str = "") -> list[Figure]:
    """Figures of rounds under the bench's name."""
    title = f"/chat, rules, simulated set-point, {CONNECTIONS} connections"
    told = f"{turns.count} turns" + (f"; {note}" if note else "")
    records = {stream: turns.records.get(stream, 0) / turns.count for stream in STREAMS}
    cpu = {process: 1000 * spent / turns.count for process, spent in turns.cpu.items()}
    return [
        figure(
            f"{name}.rate",
            title,
            turns.rates,
            "requests/s",
            better="higher",
            goal=GOAL_RATE,
            ceiling=ceiling,
            note=told,
        ),
        *percentiles(f"{name}.time", title, turns.seconds, goals={99: GOAL_P99_MS}, note=note),
        *_records(name, "one chat", records),
        figure(
            f"{name}.cpu",
            "processor time of one chat, all processes",
            sum(cpu.values()),
            "ms",
            better="lower",
            note=", ".join(f"{process} {spent:.2f}" for process, spent in sorted(cpu.items(), key=_most)),
        ),
    ]


def _most(item: tuple[str, float]) -> float:
    return -item[1]


def _records(name: str, what: str, records: Mapping[str, float]) -> list[Figure]:
    parts = ", ".join(f"{stream} {count:.2f}" for stream, count in records.items())
    total = sum(records.values())
    return [
        figure(f"{name}.records", f"records that {what} writes", total, "records", better="lower", note=parts)
    ]


async def _commands(demo: Demo, url: str, count: int) -> list[Figure]:
    """Medium risk, one at a time, each waited for until its outcome. Raises: Refused."""
    seconds: list[float] = []
    before = await _written(demo)
    for number in range(count):
        arguments = {"PERCENT": 30.0 + number % 40}
        body = {"asset": "valve-001", "operation": "SetPosition", "arguments": arguments}
        loaded = await load(command(url, body), concurrency=1, requests=1, judge=judge_command)
        seconds += good(loaded, "200 executed").seconds
    after = await _written(demo)
    records = {stream: (after.get(stream, 0) - before.get(stream, 0)) / count for stream in STREAMS}
    title = "/v1/commands, asked -> outcome, valve-001.SetPosition (medium)"
    goals = {99: GOAL_COMMAND_MS}
    return [
        *percentiles("chat.command", title, seconds, shares=(50, 99), goals=goals, note="one at a time"),
        *_records("chat.command", "one command", records),
    ]


BENCH = Bench("chat", "Plain words and commands over HTTP", run)
