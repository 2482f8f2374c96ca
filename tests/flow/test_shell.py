"""The shell loses, doubles and reorders nothing, whatever happens between its steps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from plantops.events import decode, encode
from plantops.events.envelope import EVENT_ID, EVENT_TIME, Message
from plantops.events.operations import MessageBuried
from plantops.flow.declaration import consumer_name, snapshot_stream, snapshot_subject
from plantops.flow.memory import MemoryBroker, MemoryBus
from plantops.flow.processor import Processor, Recorded
from plantops.flow.replay import replay
from plantops.flow.shell import Shell
from plantops.flow.signing import Signer
from plantops.flow.trust import TrustAll
from plantops.ledger.keys import SigningKey
from plantops.runtime.errors import Fenced, IntegrityError
from support.counter import Counter, Follower, Tally, came_up
from support.nats import until

SIGNER = Signer("counter", SigningKey.from_seed(bytes(32)))


class Plant:
    """A memory broker with everything that the counter needs."""

    def __init__(self, processor: Processor[Tally] | None = None) -> None:
        self.processor = processor or Counter()
        self.broker = MemoryBroker()
        self.feeder = self.broker.bus("feeder")
        for name, subject in (
            ("SOURCES", "source.>"),
            ("EXTRA", "extra.>"),
            ("FINDINGS", "finding.>"),
            ("DEAD", "dead.>"),
        ):
            self.broker.add_stream(name, [subject])
        for reads in self.processor.consumes:
            self.broker.add_consumer(reads.stream, consumer_name(self.processor.name, reads), reads.subjects)
        name = self.processor.name
        self.broker.add_stream(snapshot_stream(name), [snapshot_subject(name, ">")], max_per_subject=1)

    async def feed(self, count: int, *, first: int = 0) -> None:
        for number in range(first, first + count):
            stream, subject = ("EXTRA", "extra.demo") if number % 5 == 0 else ("SOURCES", "source.demo.a.up")
            message = SIGNER.message(
                subject, came_up(f"s{number % 3}", number), id=f"in{number}", time=self.broker.now_ns
            )
            await self.feeder.publish(message, stream=stream)
            self.broker.advance(0.01)

    def shell(self, bus: MemoryBus | None = None, **options: Any) -> Shell[Tally]:
        return Shell(
            self.processor, bus or self.broker.bus("counter"), SIGNER, TrustAll(), site="demo", **options
        )

    @asynccontextmanager
    async def running(self, shell: Shell[Tally]) -> AsyncIterator[asyncio.Task[None]]:
        await shell.restore()
        task = asyncio.create_task(shell.run())
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def settle(self, shell: Shell[Tally]) -> None:
        """Run until every input is folded, then stop in order."""
        async with self.running(shell) as task:
            await until(lambda: task.done() or self.is_folded(shell))
        if not task.cancelled():
            task.result()

    async def end(self, shell: Shell[Tally]) -> None:
        """Run until it ends by itself."""
        async with self.running(shell) as task:
            await until(task.done)
        task.result()

    def is_folded(self, shell: Shell[Tally]) -> bool:
        return all(self.broker.streams[stream].last == at for stream, at in shell.positions.items())

    def findings(self) -> list[bytes]:
        return [m.data for m in self.broker.streams["FINDINGS"].messages.values()]

    def expected(self) -> tuple[Tally, list[bytes]]:
        """One clean fold over the streams, one after the other."""
        history = []
        for stream in ("SOURCES", "EXTRA"):
            for stored in self.broker.streams[stream].messages.values():
                fact = decode(stored.data)
                history.append(
                    Recorded(stream, stored.sequence, stored.subject, stored.time_ns, fact, "", "")
                )
        state, outputs = replay(self.processor, history)
        return state, [encode(output.event) for output in outputs]

    def check(self, shell: Shell[Tally] | None = None) -> None:
        state, outputs = self.expected()
        assert sorted(self.findings()) == sorted(outputs)
        if shell is not None:
            assert self.processor.dump(shell.state) == self.processor.dump(state)


class Dies(Exception):
    """The process is gone."""


def mortal(plant: Plant, point: str, **options: Any) -> Shell[Tally]:
    """A shell that dies when it reaches `point` for the first time."""

    class Mortal(Shell[Tally]):
        def reached(self, place: str) -> None:
            if place == point:
                raise Dies(point)

    return Mortal(plant.processor, plant.broker.bus("counter"), SIGNER, TrustAll(), site="demo", **options)


async def test_stores_one_answer_for_each_that_a_clean_fold_gives() -> None:
    plant = Plant()
    await plant.feed(500)
    shell = plant.shell()
    await plant.settle(shell)
    plant.check(shell)
    assert len(plant.findings()) > 50


async def test_follows_what_comes_while_it_runs() -> None:
    plant = Plant()
    shell = plant.shell()
    async with plant.running(shell):
        for part in range(10):
            await plant.feed(30, first=30 * part)
        await until(lambda: plant.is_folded(shell))
    plant.check(shell)


@pytest.mark.parametrize("point", ["fetched", "stepped", "stored", "saved", "acknowledged"])
async def test_a_death_between_any_two_steps_loses_and_doubles_nothing(point: str) -> None:
    plant = Plant()
    for part in range(6):
        await plant.feed(40, first=40 * part)
        with pytest.raises(Dies):
            await plant.end(mortal(plant, point, fetch_limit=16, snapshot_inputs=30))
        await plant.feed(40, first=1000 + 40 * part)
        await plant.settle(plant.shell(fetch_limit=16, snapshot_inputs=30))
    shell = plant.shell()
    await plant.settle(shell)
    plant.check(shell)


async def test_a_lost_answer_of_the_broker_does_not_double_the_batch() -> None:
    plant = Plant()
    await plant.feed(300)
    shell = plant.shell(fetch_limit=50)
    async with plant.running(shell):
        plant.broker.lose_acks(3)
        await until(lambda: plant.is_folded(shell))
    plant.check(shell)


async def test_goes_on_when_the_broker_is_back() -> None:
    plant = Plant()
    bus = plant.broker.bus("counter")
    shell = plant.shell(bus)
    async with plant.running(shell) as task:
        await plant.feed(100)
        await until(lambda: plant.is_folded(shell))
        bus.disconnect()
        await plant.feed(100, first=100)
        bus.reconnect()
        await until(lambda: plant.is_folded(shell))
        assert not task.done()
    plant.check(shell)


async def test_an_owner_that_slept_is_refused_and_stops() -> None:
    plant = Plant()
    await plant.feed(100)
    bus = plant.broker.bus("counter")
    sleeper = plant.shell(bus)
    async with plant.running(sleeper) as task:
        await until(lambda: plant.is_folded(sleeper))
        bus.pause()
        await plant.feed(100, first=100)
        successor = plant.shell()
        await plant.settle(successor)
        await plant.feed(100, first=200)
        bus.resume()
        await until(task.done)
        with pytest.raises(Fenced):
            task.result()
    await plant.settle(plant.shell())
    plant.check()


async def test_an_owner_that_slept_cannot_overwrite_the_snapshot() -> None:
    plant = Plant(Follower())
    await plant.feed(50)
    sleeper = plant.shell(snapshot_inputs=1)
    await sleeper.restore()
    await plant.settle(plant.shell())
    await plant.feed(10, first=50)
    with pytest.raises(Fenced):
        await sleeper.run()


async def test_a_core_without_answers_is_restored_from_its_snapshot_alone() -> None:
    plant = Plant(Follower())
    await plant.feed(200)
    await plant.settle(plant.shell())
    shell = plant.shell()
    await shell.restore()
    assert shell.positions == {"SOURCES": 160, "EXTRA": 40}
    plant.check(shell)


async def test_restores_own_answers_and_covered_inputs_without_deciding_again() -> None:
    class Silent(Counter):
        def decide(self, state: Tally, recorded: Recorded) -> Any:
            raise AssertionError(f"decided again on {recorded.sequence}")

    plant = Plant()
    await plant.feed(300)
    await plant.settle(plant.shell())
    plant.broker.add_stream(snapshot_stream("counter"), [snapshot_subject("counter", ">")], max_per_subject=1)
    plant.processor = Silent()
    shell = plant.shell()
    await shell.restore()
    covered = sum(shell.positions.values())
    assert 250 < covered <= 300


async def test_a_large_state_survives_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plantops.flow.snapshot.CHUNK_BYTES", 20)
    plant = Plant(Follower())
    for part in range(4):
        await plant.feed(50, first=50 * part)
        shell = plant.shell()
        await plant.settle(shell)
    plant.check(shell)


@pytest.mark.parametrize("key", ["meta", "chunk-0-0", "chunk-1-0"])
async def test_a_damaged_snapshot_is_not_believed_and_rebuilt_from_the_log(key: str) -> None:
    plant = Plant()
    await plant.feed(200)
    await plant.settle(plant.shell())
    bucket = plant.broker.streams[snapshot_stream("counter")]
    subject = snapshot_subject("counter", key)
    if bucket.last_on(subject) is not None:
        await plant.feeder.publish(Message(subject, b"forged"), stream=bucket.name)
    shell = plant.shell()
    await plant.settle(shell)
    plant.check(shell)


async def test_a_snapshot_signed_by_another_key_is_not_believed() -> None:
    plant = Plant()
    await plant.feed(100)
    await plant.settle(plant.shell())
    stranger = Signer("counter", SigningKey.from_seed(bytes(31) + b"x"))
    shell = Shell(plant.processor, plant.broker.bus("counter"), stranger, TrustAll(), site="demo")
    await plant.settle(shell)
    plant.check(shell)


async def test_a_stream_that_was_made_again_stops_it_by_name() -> None:
    plant = Plant()
    await plant.feed(100)
    await plant.settle(plant.shell())
    plant.broker.add_stream("EXTRA", ["extra.>"])
    plant.broker.add_consumer("EXTRA", "counter", ["extra.>"])
    with pytest.raises(IntegrityError, match="EXTRA"):
        await plant.shell().restore()


async def test_a_stream_that_shrank_stops_it_by_name() -> None:
    plant = Plant()
    await plant.feed(100)
    await plant.settle(plant.shell())
    plant.broker.streams["SOURCES"].last = 10
    with pytest.raises(IntegrityError, match="SOURCES"):
        await plant.shell().restore()


async def test_lost_answers_stop_it_by_name() -> None:
    plant = Plant()
    await plant.feed(300)
    await plant.settle(plant.shell())
    findings = plant.broker.streams["FINDINGS"]
    findings.drop(list(findings.messages)[-1:])
    with pytest.raises(IntegrityError, match="FINDINGS"):
        await plant.shell().restore()


async def test_inputs_that_expired_do_not_keep_it_from_starting() -> None:
    plant = Plant(Follower())
    await plant.feed(100)
    await plant.settle(plant.shell())
    sources = plant.broker.streams["SOURCES"]
    sources.drop(list(sources.messages))
    await plant.feed(10, first=100)
    await plant.settle(plant.shell())


async def test_a_message_that_cannot_be_read_is_buried_with_its_reason_and_stops_nothing() -> None:
    plant = Plant()
    await plant.feed(20)
    for data in (b"not json", b'{"type":"unknown.thing"}', b"[" * 100_000):
        await plant.feeder.publish(Message("source.demo.a.up", data), stream="SOURCES")
    await plant.feed(100, first=20)
    shell = plant.shell()
    await plant.settle(shell)
    buried = [decode(m.data) for m in plant.broker.streams["DEAD"].messages.values()]
    assert [b.sequence for b in buried if isinstance(b, MessageBuried)] == [17, 18, 19]
    assert shell.dead.buried == 3
    assert shell.positions == {"SOURCES": 99, "EXTRA": 24}


async def test_a_burial_that_fails_is_counted() -> None:
    plant = Plant()
    del plant.broker.streams["DEAD"]
    await plant.feeder.publish(Message("source.demo.a.up", b"not json"), stream="SOURCES")
    shell = plant.shell()
    await plant.settle(shell)
    assert (shell.dead.buried, shell.dead.lost) == (0, 1)


async def test_parts_answers_of_many_inputs_into_batches_that_the_broker_takes() -> None:
    plant = Plant(Counter(burst=400))
    await plant.feed(150)
    shell = plant.shell()
    await plant.settle(shell)
    plant.check(shell)
    assert len(plant.findings()) > 4000


async def test_answers_carry_identity_and_the_time_of_their_cause() -> None:
    plant = Plant()
    await plant.feed(100)
    await plant.settle(plant.shell())
    first = next(iter(plant.broker.streams["FINDINGS"].messages.values()))
    processor, stream, sequence, index = first.headers[EVENT_ID].split(".")
    cause = plant.broker.streams[stream].messages[int(sequence)]
    assert (processor, index) == ("counter", "0")
    assert first.headers[EVENT_TIME].endswith(f"{cause.time_ns % 1_000_000_000:09d}Z")


async def test_broker_time_never_falls_for_a_core() -> None:
    times: list[int] = []

    class Watch(Follower):
        def evolve(self, state: Tally, recorded: Recorded) -> Tally:
            times.append(recorded.time_ns)
            return super().evolve(state, recorded)

    plant = Plant(Watch())
    await plant.feed(3, first=1)
    plant.broker.advance(-5)
    await plant.feed(1, first=1)
    await plant.settle(plant.shell())
    await plant.feed(1, first=1)
    await plant.settle(plant.shell())
    assert times == sorted(times)
    assert len(times) == 5


async def test_tells_batches_and_answers_only_once_they_are_stored() -> None:
    plant = Plant()
    told: list[int] = []
    batches: list[int] = []
    shell = plant.shell(
        on_batch=lambda _state, inputs: batches.append(len(inputs)),
        on_outputs=lambda outputs: told.append(len(outputs) - len(plant.findings())),
    )
    await plant.feed(100)
    await plant.settle(shell)
    assert sum(batches) == 100
    assert max(told) <= 0


async def test_a_locked_state_does_not_change() -> None:
    plant = Plant()
    shell = plant.shell()
    async with plant.running(shell):
        async with shell.locked() as state:
            await plant.feed(20)
            for _turn in range(100):
                await asyncio.sleep(0)
            assert not state.seen
        await until(lambda: plant.is_folded(shell))


async def test_a_clean_stop_leaves_a_snapshot_and_acknowledges() -> None:
    plant = Plant()
    await plant.feed(50)
    await plant.settle(plant.shell())
    assert plant.broker.streams["SOURCES"].consumers["counter"].ack_floor == 40


async def test_an_undeclared_answer_ends_it() -> None:
    class Wrong(Counter):
        emits = ()

    plant = Plant(Wrong())
    await plant.feed(50)
    with pytest.raises(ValueError, match="without declaring"):
        await plant.settle(plant.shell())
