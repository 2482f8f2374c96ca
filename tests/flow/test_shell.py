"""The shell loses, doubles and reorders nothing, whatever happens between its steps."""

from __future__ import annotations

import asyncio

import pytest

from plantops.events import decode
from plantops.events.envelope import EVENT_ID, EVENT_TIME, Message
from plantops.events.operations import MessageBuried
from plantops.flow.processor import Recorded
from plantops.runtime.errors import Fenced, IntegrityError
from support.counter import Counter, Follower, Tally
from support.nats import until
from support.shell_plant import Dies, Plant, mortal


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
    for _attempt in range(2):
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
    first = plant.answers()[0]
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


async def test_an_undeclared_answer_ends_it() -> None:
    class Wrong(Counter):
        emits = ()

    plant = Plant(Wrong())
    await plant.feed(50)
    with pytest.raises(ValueError, match="without declaring"):
        await plant.settle(plant.shell())
