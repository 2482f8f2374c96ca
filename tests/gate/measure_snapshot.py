"""How long a gate that remembers many commands lets nobody else in while it saves its snapshot.

Run by hand: `PYTHONPATH=tests python tests/gate/measure_snapshot.py [commands]`. Prints the longest pause of
the event loop in milliseconds, with the state in one piece and in pieces, and how long a restore takes.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from typing import Any

import msgspec

from plantops.events.base import CommandId
from plantops.events.envelope import Message
from plantops.flow.declaration import snapshot_stream, snapshot_subject
from plantops.flow.memory import MemoryBroker, MemoryBus
from plantops.flow.saving import Saver
from plantops.flow.snapshot import SnapshotStore
from plantops.gate.core import Gate
from plantops.gate.state import GateState
from plantops.ledger.keys import SigningKey
from support.gate_samples import Story

KEY = SigningKey.from_seed(bytes(32))


class InOnePiece(Gate):
    """As it was."""

    def dump_in_pieces(self, state: GateState) -> Iterator[bytes]:
        return iter((self.dump(state),))


def remembering(count: int) -> Story:
    """A gate with `count` permitted commands that nobody took yet: the largest that are kept."""
    story = Story()
    first = story.ask("SetSpeed", {"RPM": 1200.0}, confirms=story.simulated())
    state, asked = story.state, story.state.asked[first]
    for number in range(count):
        command = CommandId(f"{first[:-6]}{number:06d}")
        state.asked[command] = again = msgspec.structs.replace(asked, sequence=100 + number)
        state.courses[command] = state.courses[first]
        state.uses[command] = msgspec.structs.replace(state.uses[first], command=command)
        state.index(command, again)
    return story


class Bus(MemoryBus):
    """Lets others in while it stores, as a broker elsewhere does."""

    async def publish(self, message: Message, **more: Any) -> int:
        await asyncio.sleep(0)
        return await super().publish(message, **more)


async def longest_pause(gate: Gate, state: GateState) -> tuple[float, float, float]:
    """The longest time in which nothing else got a turn, that of this thread's own work (a busy machine
    adds nothing to it), and the whole; in milliseconds."""
    broker = MemoryBroker()
    broker.add_stream(snapshot_stream("gate"), [snapshot_subject("gate", ">")], max_per_subject=1)
    store = SnapshotStore(Bus(broker, "gate"), "gate", gate.version, KEY)
    await store.claim()
    longest = work = 0.0

    async def beat() -> None:
        nonlocal longest, work
        last, last_work = time.perf_counter(), time.thread_time()
        while True:
            await asyncio.sleep(0)
            now, now_work = time.perf_counter(), time.thread_time()
            longest, work = max(longest, now - last), max(work, now_work - last_work)
            last, last_work = now, now_work

    beating = asyncio.create_task(beat())
    await asyncio.sleep(0.01)
    begun_at, longest, work = time.perf_counter(), 0.0, 0.0
    saver = Saver(gate, store, [], lambda _point: None)
    await saver.save(saver.moment(state, {}, 0, 0))
    await asyncio.sleep(0.01)
    whole = time.perf_counter() - begun_at - 0.01
    beating.cancel()
    return 1000 * longest, 1000 * work, 1000 * whole


def _tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")


async def main(count: int) -> None:
    story = remembering(count)
    data = story.gate.dump(story.state)
    begun_at = time.perf_counter()
    state = story.gate.load(data)  # with values of its own for each command, as a gate that lived through it
    took = time.perf_counter() - begun_at
    _tell(f"{count} commands, {len(data) / 1e6:.0f} MB, read back in {took:.2f} s")
    one = InOnePiece(story.gate.site, story.gate.plant, story.gate.root)
    for name, gate in (("in one piece", one), ("in pieces", story.gate)):
        told = [await longest_pause(gate, state) for _turn in range(3)]
        longest, work, whole = (", ".join(f"{one:.1f}" for one in part) for part in zip(*told, strict=True))
        _tell(f"{name}: longest pause {longest} ms (own work {work} ms); the whole {whole} ms")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000))
