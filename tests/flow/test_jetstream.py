"""The connection under real rights: what is forbidden ends it, what breaks mends, what it has is enough."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from structlog.testing import capture_logs

from plantops.events.envelope import Message
from plantops.flow.bus import Reader
from plantops.flow.declaration import ProcessSpec, Writes
from plantops.flow.jetstream import JetStreamBus
from plantops.flow.processor import Reads
from plantops.flow.shell import Shell
from plantops.flow.signing import Signer
from plantops.flow.trust import TrustAll
from plantops.ledger.keys import SigningKey
from plantops.runtime.errors import BrokerError, BrokerUnavailable, Conflict, StreamMissing
from plantops.runtime.nkey import NKey
from support.counter import Counter, Tally, came_up
from support.nats import Broker, StartBroker, until
from support.stages import ServerStage, server_stage

__all__ = ["server_stage"]


class PlantCounter(Counter):
    """The counter on streams that a plant has."""

    consumes = (Reads("SOURCES", ("source.demo.*.up",)),)


COUNTER = ProcessSpec(
    "counter",
    reads=PlantCounter.consumes,
    writes=(Writes("FINDINGS", ("finding.demo.*",)), Writes("DEAD", ("dead.counter",))),
    snapshots=True,
)
FEEDER = ProcessSpec("feeder", writes=(Writes("SOURCES", ("source.demo.a.*",)),))


async def login(broker: Broker, name: str, **options: Any) -> JetStreamBus:
    return await JetStreamBus.connect(broker.url, name, seed=broker.keys[name].seed, **options)


async def test_a_forbidden_publish_ends_the_connection_and_every_call_on_it(nats_server: StartBroker) -> None:
    broker = await nats_server([COUNTER])
    fatal: list[BrokerError] = []
    bus = await login(broker, "counter", on_fatal=fatal.append)
    with pytest.raises(BrokerError, match="forbids 'counter'"):
        await bus.publish(Message("policy.demo", b"{}"), stream="POLICY")
    assert len(fatal) == 1
    with pytest.raises(BrokerError, match="forbids"):
        await bus.last("FINDINGS", "finding.>")
    await bus.close()


async def test_a_forbidden_subscription_ends_the_connection(nats_server: StartBroker) -> None:
    async def hear(message: Message) -> None:
        raise AssertionError(message.subject)

    broker = await nats_server([COUNTER])
    bus = await login(broker, "counter")
    with pytest.raises(BrokerError, match="forbids 'counter'"):
        await bus.listen("cmd.demo.>", hear)
    await bus.close()


async def test_a_login_that_is_refused_says_so(nats_server: StartBroker) -> None:
    broker = await nats_server([COUNTER])
    stranger = NKey.generate().seed
    with pytest.raises(BrokerUnavailable, match="lets 'counter' in"):
        await JetStreamBus.connect(broker.url, "counter", seed=stranger, wait=1.0)


async def test_no_broker_says_so() -> None:
    with pytest.raises(BrokerUnavailable, match="no broker lets 'counter' in"):
        await JetStreamBus.connect("nats://127.0.0.1:1", "counter", wait=0.5)


async def test_the_shell_needs_no_right_beyond_those_declared(nats_server: StartBroker) -> None:
    broker = await nats_server([COUNTER, FEEDER])
    signer = Signer("counter", SigningKey.generate())
    feeder = await login(broker, "feeder")
    bus = await login(broker, "counter")
    for number in range(60):
        event = came_up("s", number)
        message = signer.message("source.demo.a.up", event, id=f"in{number}", time=number)
        await feeder.publish(message, stream="SOURCES")
    await feeder.publish(Message("source.demo.a.up", b"not json"), stream="SOURCES")
    for _run in range(2):
        shell: Shell[Tally] = Shell(PlantCounter(), bus, signer, TrustAll(), site="demo", snapshot_inputs=20)
        await shell.restore()
        task = asyncio.create_task(shell.run())
        await until(lambda shell=shell: shell.positions["SOURCES"] == 61)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
    assert len(await bus.history("FINDINGS", "finding.demo.counter", 1, 100)) == 60 // 7
    assert (await bus.last("DEAD", "dead.counter")) is not None
    await bus.close()
    await feeder.close()


async def test_audit_records_cross_the_account_border_one_by_one_and_in_batches(
    nats_server: StartBroker,
) -> None:
    broker = await nats_server([ProcessSpec("gate", audits=True)])
    bus = await login(broker, "gate")
    record = Message("audit.demo.gate", b"{}")
    assert await bus.publish(record, stream="AUDIT", expected_last=0) == 1
    assert await bus.publish_batch([record] * 3, stream="AUDIT", expected_last=1) == 4
    with pytest.raises(Conflict):
        await bus.publish(record, stream="AUDIT", expected_last=1)
    await bus.close()


async def test_a_broken_connection_is_told_once_and_mends_itself(server_stage: ServerStage) -> None:
    await server_stage.add_stream("WORK", "work.>")
    bus = await server_stage.bus("tester")
    await bus.publish(Message("work.a", b"1"), stream="WORK")
    with capture_logs() as logs:
        server_stage.server.kill()
        await until(lambda: not bus.is_connected)
        with pytest.raises(BrokerUnavailable):
            await bus.publish_batch([Message("work.a", b"x")], stream="WORK")
        await server_stage.start()
        await until(lambda: bus.is_connected)
        assert await bus.publish(Message("work.a", b"2"), stream="WORK") == 2
        await until(lambda: any(entry["event"] == "broker.back" for entry in logs), seconds=30)
    assert [entry["event"] for entry in logs] == ["broker.lost", "broker.back"]


async def test_publishing_outlasts_a_restart_of_the_broker(server_stage: ServerStage) -> None:
    await server_stage.add_stream("WORK", "work.>")
    bus = await server_stage.bus("tester")
    server_stage.server.kill()
    publishing = asyncio.create_task(bus.publish(Message("work.a", b"1"), stream="WORK", expected_last=0))
    await server_stage.start()
    assert await publishing == 1
    assert (await bus.state("WORK")).last == 1


async def test_our_own_message_behind_a_lost_answer_is_no_conflict(
    server_stage: ServerStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await server_stage.add_stream("WORK", "work.>")
    bus = await server_stage.bus("tester")
    real, lost = bus._connection.ask, list[str]()

    async def deaf(subject: str, *rest: Any, **more: Any) -> Any:
        answer = await real(subject, *rest, **more)
        if subject == "work.a" and not lost:
            lost.append(subject)
            raise BrokerUnavailable("the answer was lost")
        return answer

    monkeypatch.setattr(bus._connection, "ask", deaf)
    assert await bus.publish(Message("work.a", b"1"), stream="WORK", expected_last=0) == 1
    assert lost
    assert (await bus.state("WORK")).last == 1


@pytest.mark.parametrize("ahead", [False, True])
async def test_a_reader_says_that_the_connection_broke_in_between(
    server_stage: ServerStage, ahead: bool
) -> None:
    await server_stage.add_stream("WORK", "work.>")
    await server_stage.add_consumer("WORK", "reader")
    bus = await server_stage.bus("tester")
    reader = await bus.reader("WORK", "reader", ahead=ahead)
    server_stage.server.kill()
    await until(lambda: not bus.is_connected)
    await server_stage.start()
    await until(lambda: bus.is_connected)
    with pytest.raises(BrokerUnavailable, match="broke"):
        await reader.fetch(1, 0.1)
    assert await reader.fetch(1, 0.1) == []


async def test_many_batches_at_once_all_arrive(server_stage: ServerStage) -> None:
    await server_stage.add_stream("WORK", "work.>")
    bus = await server_stage.bus("tester")
    batches = [[Message(f"work.{n}", bytes(1000))] * 100 for n in range(100)]
    async with asyncio.TaskGroup() as group:
        for batch in batches:
            group.create_task(bus.publish_batch(batch, stream="WORK"))
    assert (await bus.state("WORK")).last == 10_000


async def test_reading_ahead_gives_everything_once_while_more_comes(server_stage: ServerStage) -> None:
    await server_stage.add_stream("WORK", "work.>")
    await server_stage.add_consumer("WORK", "reader")
    bus = await server_stage.bus("tester")
    reader = await bus.reader("WORK", "reader", ahead=True)

    async def publish() -> None:
        for start in range(0, 5000, 250):
            await bus.publish_batch(
                [Message("work.a", b"%d" % n) for n in range(start, start + 250)], stream="WORK"
            )

    publishing = asyncio.create_task(publish())
    found: list[int] = []
    while len(found) < 5000:
        page = await reader.fetch(300, 10.0)
        assert 0 < len(page) <= 300
        assert [one.delivery for one in page] == list(range(len(found) + 1, len(found) + len(page) + 1))
        found += [int(one.data) for one in page]
        await reader.ack(page[-1])
    await publishing
    assert found == list(range(5000))


async def test_a_reader_ahead_of_a_consumer_that_is_deleted_says_so(server_stage: ServerStage) -> None:
    await server_stage.add_stream("WORK", "work.>")
    await server_stage.add_consumer("WORK", "reader")
    bus = await server_stage.bus("tester")
    reader = await bus.reader("WORK", "reader", ahead=True)
    assert await reader.fetch(1, 0.1) == []
    await bus._connection.ask("$JS.API.CONSUMER.DELETE.WORK.reader", b"", 5.0)
    with pytest.raises(StreamMissing, match="run the provisioner"):
        await _fetch_past_outages(reader)


async def _fetch_past_outages(reader: Reader) -> None:
    async with asyncio.timeout(30):
        while True:
            with suppress(BrokerUnavailable):  # for some seconds it could be a change of leader
                await reader.fetch(1, 0.5)


async def test_a_message_behind_the_end_of_a_request_does_not_wait_for_the_next_fetch(
    server_stage: ServerStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plantops.flow.jetstream_ahead._SOON_NS", 200_000_000)
    await server_stage.add_stream("WORK", "work.>")
    await server_stage.add_consumer("WORK", "reader")
    bus = await server_stage.bus("reader")
    reader = await bus.reader("WORK", "reader", ahead=True, most=8)
    fetching = asyncio.create_task(reader.fetch(8, 60.0))
    await until(lambda: getattr(reader, "_requests") >= 3)  # noqa: B009 - asked again by itself
    await bus.publish(Message("work.a", b"late"), stream="WORK")
    assert [stored.data for stored in await asyncio.wait_for(fetching, 30)] == [b"late"]
