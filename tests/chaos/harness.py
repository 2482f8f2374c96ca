"""Feeds inputs, kills whatever may be killed, and compares what is stored with one clean fold."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
from collections import Counter as Multiset
from dataclasses import dataclass, field
from pathlib import Path

from chaos.runner import FENCED
from plantops.events import decode, encode
from plantops.flow.bus import Stored
from plantops.flow.declaration import snapshot_stream, snapshot_subject
from plantops.flow.jetstream import JetStreamBus
from plantops.flow.processor import Recorded
from plantops.flow.replay import replay
from plantops.flow.signing import Signer
from plantops.ledger.keys import SigningKey
from plantops.runtime.errors import BrokerUnavailable
from support.counter import Counter, came_up
from support.nats import until
from support.stages import ServerStage

RUNNER = Path(__file__).with_name("runner.py")
ROOTS = [str(Path(__file__).parents[1])]


@dataclass
class Toll:
    """What happened to the processes on the way."""

    kills: int = 0
    crashes: int = 0
    broker_kills: int = 0
    takeovers: int = 0
    exits: list[int] = field(default_factory=list)


class Harness:
    """One broker, one feeder, and runs of the counter that do not live long."""

    def __init__(self, stage: ServerStage, log: Path, *, seed: int) -> None:
        self.stage = stage
        self.toll = Toll()
        self._log = log
        self._dice = random.Random(seed)
        self._alive: list[subprocess.Popen[bytes]] = []

    async def prepare(self) -> None:
        await self.stage.add_stream("SOURCES", "source.>")
        await self.stage.add_stream("EXTRA", "extra.>")
        await self.stage.add_stream("FINDINGS", "finding.>")
        await self.stage.add_stream("DEAD", "dead.>")
        await self.stage.add_stream(
            snapshot_stream("counter"), snapshot_subject("counter", ">"), keeps_last=True
        )
        for reads in Counter.consumes:
            await self.stage.add_consumer(reads.stream, "counter", *reads.subjects)

    async def feed(self, count: int, *, pause: float = 0.0) -> None:
        bus = await self.stage.bus("feeder")
        signer = Signer("feeder", SigningKey.from_seed(bytes(32)))
        dice = random.Random(3)
        for number in range(count):
            is_extra = dice.random() < 0.2
            stream, subject = ("EXTRA", "extra.demo") if is_extra else ("SOURCES", "source.demo.a.up")
            event = came_up(f"s{dice.randrange(50)}", dice.randrange(1000))
            message = signer.message(subject, event, id=f"in{number}", time=number)
            while True:
                try:
                    await bus.publish(message, stream=stream, message_id=f"in{number}")
                    break
                except BrokerUnavailable:
                    await asyncio.sleep(0.1)
            if pause:
                await asyncio.sleep(pause)

    def spawn(self, probability: float) -> subprocess.Popen[bytes]:
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join(ROOTS), PYTHONUNBUFFERED="1")
        with self._log.open("ab") as log:
            run = subprocess.Popen(
                [sys.executable, RUNNER, self.stage.url, str(probability), str(self._dice.randrange(2**31))],
                stdout=log,
                stderr=log,
                env=environment,
            )
        self._alive.append(run)
        return run

    async def kill_at_random(self, feeding: asyncio.Task[None], *, broker: bool, at_least: float) -> None:
        """One run after the other until all is fed: each dies by itself or after a while."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        while not feeding.done() or loop.time() - started < at_least:
            run = self.spawn(0.004)
            if broker and self._dice.random() < 0.3:
                await self._until_end(run, self._dice.uniform(0.8, 1.6))
                self.stage.server.kill()
                self.toll.broker_kills += 1
                await self.stage.start()
            await self._until_end(run, self._dice.uniform(0.8, 2.5))
            if run.poll() is None:
                run.kill()
                self.toll.kills += 1
            else:
                self.toll.crashes += 1
            run.wait()

    @staticmethod
    async def _until_end(run: subprocess.Popen[bytes], seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await until(lambda: run.poll() is not None, seconds=seconds)

    async def sleep_and_wake(self, feeding: asyncio.Task[None]) -> None:
        """Stop the owner in the middle of work, let another take over, then let the first go on."""
        bus = await self.stage.bus("watcher")
        owner = await self._spawn_owner(bus)
        while not feeding.done():
            await asyncio.sleep(self._dice.uniform(0.2, 0.7))
            owner.send_signal(signal.SIGSTOP)
            successor = await self._spawn_owner(bus)
            self.toll.takeovers += 1
            await asyncio.sleep(self._dice.uniform(0.0, 0.7))
            owner.send_signal(signal.SIGCONT)
            await self._until_end(owner, 20)
            self.toll.exits.append(owner.poll() or 0)
            owner = successor

    async def _spawn_owner(self, bus: JetStreamBus) -> subprocess.Popen[bytes]:
        """A new run; returns when it has claimed the work."""
        stream, subject = snapshot_stream("counter"), snapshot_subject("counter", "owner")
        before = await bus.last(stream, subject)
        run = self.spawn(0.0)

        async def has_claimed() -> bool:
            return await bus.last(stream, subject) != before

        await until(has_claimed, seconds=20)
        return run

    async def finish(self) -> None:
        """A last run without disturbance, until its snapshot stands for every input."""
        run = next((run for run in self._alive if run.poll() is None), None) or self.spawn(0.0)
        bus = await self.stage.bus("checker")
        wanted = {stream: (await bus.state(stream)).last for stream in ("SOURCES", "EXTRA")}
        info = {"SOURCES": 0, "EXTRA": 0}

        async def is_done() -> bool:
            for stream in wanted:
                answer = await self.stage.api(f"CONSUMER.INFO.{stream}.counter")
                info[stream] = answer["ack_floor"]["stream_seq"]
            return info == wanted

        await until(is_done, seconds=60)
        assert run.poll() is None, f"the last run ended with {run.returncode}"

    async def verdict(self) -> str:
        """Empty when what is stored is what one clean fold gives, in its order per source."""
        bus = await self.stage.bus("judge")
        history = [self._recorded(m) for s in ("SOURCES", "EXTRA") for m in await _all(bus, s)]
        _state, outputs = replay(Counter(), history)
        wanted = Multiset(encode(output.event) for output in outputs)
        stored = await _all(bus, "FINDINGS")  # the words with which runs begin follow from no input
        found = [message.data for message in stored if message.subject == "finding.demo.counter"]
        got = Multiset(found)
        missing, strange = (wanted - got).total(), (got - wanted).total()
        disorder = _disorder(found)
        if not (missing or strange or disorder) and wanted:
            return ""
        return f"wanted {wanted.total()}, got {got.total()}: {missing=} {strange=} {disorder=}"

    def close(self) -> None:
        for run in self._alive:
            if run.poll() is None:
                run.send_signal(signal.SIGCONT)
                run.kill()
            run.wait()

    @staticmethod
    def _recorded(stored: Stored) -> Recorded:
        return Recorded(stored.stream, stored.sequence, stored.subject, stored.time_ns, decode(stored.data))


def _disorder(found: list[bytes]) -> int:
    last: dict[str, int] = {}
    wrong = 0
    for data in found:
        event = decode(data)
        source, count = getattr(event, "source", ""), getattr(event, "epoch", 0)
        wrong += count <= last.get(source, 0)
        last[source] = count
    return wrong


async def _all(bus: JetStreamBus, stream: str) -> list[Stored]:
    found: list[Stored] = []
    while page := await bus.history(stream, ">", found[-1].sequence + 1 if found else 1, 1000):
        found += page
    return found


__all__ = ["FENCED", "Harness"]
