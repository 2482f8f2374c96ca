"""A snapshot is whole, from its owner, and signed; and one owner's answers are never taken for another's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from plantops.events.envelope import Message
from plantops.flow import snapshot as module
from plantops.flow.bus import Stored
from plantops.flow.declaration import snapshot_stream, snapshot_subject
from plantops.flow.memory import MemoryBroker, MemoryBus
from plantops.flow.outlet import Outlet, Produced
from plantops.flow.processor import Recorded
from plantops.flow.signing import Signer
from plantops.flow.snapshot import Snapshot, SnapshotDamaged, SnapshotStore
from plantops.ledger.keys import SigningKey
from plantops.runtime.errors import BrokerUnavailable, Fenced
from support.counter import Counter, came_up

KEY = SigningKey.from_seed(bytes(32))
BUCKET = snapshot_stream("counter")


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK_BYTES", 4)


@pytest.fixture
def bus() -> MemoryBus:
    broker = MemoryBroker()
    broker.add_stream(BUCKET, [snapshot_subject("counter", ">")], max_per_subject=1)
    broker.add_stream("FINDINGS", ["finding.>"])
    return broker.bus("counter")


async def claimed(bus: MemoryBus, *, version: int = 1, key: SigningKey = KEY) -> SnapshotStore:
    store = SnapshotStore(bus, "counter", version, key)
    await store.claim()
    return store


def state(text: bytes, own: int = 1) -> Snapshot:
    return Snapshot({"SOURCES": 5}, {"SOURCES": 7}, {"SOURCES": "then"}, own, text)


async def test_gives_back_what_was_saved_last(bus: MemoryBus) -> None:
    store = await claimed(bus)
    assert await store.load() is None
    for text in (b"", b"one", b"a much longer state", b"shorter"):
        await store.save(state(text))
        assert await (await claimed(bus)).load() == state(text)
        store = await claimed(bus)


async def test_an_older_owner_writes_nothing_more(bus: MemoryBus) -> None:
    older = await claimed(bus)
    await older.save(state(b"older state"))
    younger = await claimed(bus)
    await younger.require_owner()
    with pytest.raises(Fenced):
        await older.require_owner()
    before = await bus.state(BUCKET)
    with pytest.raises(Fenced):
        await older.save(state(b"something else"))
    assert await bus.state(BUCKET) == before
    await younger.save(state(b"younger state"))


async def test_a_death_between_two_chunks_leaves_the_last_whole_snapshot(bus: MemoryBus) -> None:
    store = await claimed(bus)
    await store.save(state(b"the first whole state"))
    await store.save(state(b"the second whole state"))
    written = 0
    real = bus.publish

    async def dies(message: Message, **more: object) -> int:
        nonlocal written
        written += 1
        if written == 3:
            raise BrokerUnavailable("gone in between")
        return await real(message, **more)  # type: ignore[arg-type] # passed on as it came

    bus.publish = dies  # type: ignore[method-assign] # dies on purpose
    with pytest.raises(BrokerUnavailable):
        await store.save(state(b"the third state, never whole"))
    bus.publish = real  # type: ignore[method-assign]
    assert await (await claimed(bus)).load() == state(b"the second whole state")


async def test_a_save_that_was_stored_unheard_is_no_other_owner(bus: MemoryBus) -> None:
    store = await claimed(bus)
    await store.save(state(b"one"))
    bus.broker.lose_acks(9)
    with pytest.raises(BrokerUnavailable):
        await store.save(state(b"two"))
    bus.broker.lose_acks(0)
    await store.save(state(b"three"))
    assert await (await claimed(bus)).load() == state(b"three")


async def test_one_of_another_version_is_not_used(bus: MemoryBus) -> None:
    await (await claimed(bus)).save(state(b"old form"))
    assert await (await claimed(bus, version=2)).load() is None


async def test_one_of_another_key_is_damaged(bus: MemoryBus) -> None:
    await (await claimed(bus)).save(state(b"x"))
    with pytest.raises(SnapshotDamaged):
        await (await claimed(bus, key=SigningKey.generate())).load()


async def test_a_changed_chunk_is_damaged(bus: MemoryBus) -> None:
    await (await claimed(bus)).save(state(b"four more"))
    stored = await bus.last(BUCKET, snapshot_subject("counter", "chunk-1-1"))
    assert stored is not None
    await bus.publish(Message(stored.subject, b"evil"), stream=BUCKET)
    with pytest.raises(SnapshotDamaged):
        await (await claimed(bus)).load()


async def begun(bus: MemoryBus, run: str) -> Outlet:
    signer = Signer("counter", KEY)
    outlet = Outlet(bus, signer, "FINDINGS", "finding.demo.*", token=run, began=Counter().began(run))
    await outlet.look()
    await outlet.begin()
    return outlet


async def test_the_same_answers_of_another_run_are_not_taken_for_ours(bus: MemoryBus) -> None:
    one, other = await begun(bus, "one"), await begun(bus, "other")
    cause = Stored("SOURCES", 1, "source.demo.a.up", b"", 1)
    event = Recorded(
        "FINDINGS", 0, "finding.demo.counter", 1, came_up("a", 1), "counter", "counter.SOURCES.1.0"
    )
    produced = [Produced(cause, [event], {"SOURCES": 1})]
    with pytest.raises(Fenced):
        await one.store(produced)
    await other.store(produced)
    assert (await bus.state("FINDINGS")).last == 3  # two first words, and one answer


async def test_a_run_begins_behind_all_that_an_older_one_stored(bus: MemoryBus) -> None:
    one = await begun(bus, "one")
    event = Recorded("FINDINGS", 0, "finding.demo.counter", 1, came_up("a", 1), "counter", "counter.1.0")
    await one.store([Produced(Stored("SOURCES", 7, "source.demo.a.up", b"", 1), [event], {"SOURCES": 7})])
    other = await begun(bus, "other")
    assert other.covered == {"SOURCES": 7}
    third = await begun(bus, "third")
    assert third.covered == {"SOURCES": 7}, "a first word stands for as much as what is before it"


@pytest.mark.parametrize(("inputs", "each"), [(1, 1), (8, 1), (1, 3), (20, 1)])
async def test_what_it_stores_is_fenced_by_one_subject_however_many_there_are(
    bus: MemoryBus, inputs: int, each: int
) -> None:
    """A condition over a filter costs the broker a look at every subject that there ever was."""
    outlet = await begun(bus, "one")
    conditions: list[tuple[str, int]] = []
    batches: list[int] = []
    store = bus.publish_batch

    async def watched(messages: Sequence[Message], **condition: Any) -> int:
        conditions.append((condition["expected_subject"], condition["expected_last"]))
        batches.append(len(messages))
        return await store(messages, **condition)

    bus.publish_batch = watched  # type: ignore[method-assign]
    await outlet.store(
        [
            Produced(
                Stored("SOURCES", number, "source.demo.a.up", b"", 1),
                [
                    Recorded(
                        "FINDINGS",
                        0,
                        "finding.demo.counter",
                        1,
                        came_up("a", 1),
                        "counter",
                        f"{number}.{part}",
                    )
                    for part in range(each)
                ],
                {"SOURCES": number},
            )
            for number in range(1, inputs + 1)
        ]
    )
    assert set(conditions) == {("finding.demo.reign", 1)}
    assert batches == ([inputs] if inputs > 8 else [each] * inputs), "those of one input are never parted"
    assert (await begun(bus, "other")).covered == {"SOURCES": inputs}


async def test_a_batch_that_is_repeated_after_a_lost_answer_stands_once(bus: MemoryBus) -> None:
    outlet = await begun(bus, "one")
    store, lost = bus.publish_batch, [True]

    async def deaf(messages: Sequence[Message], **condition: Any) -> int:
        sequence = await store(messages, **condition)
        if lost:
            lost.clear()
            raise BrokerUnavailable("the answer is lost", stream="FINDINGS")
        return sequence

    bus.publish_batch = deaf  # type: ignore[method-assign]
    for number in (1, 2):
        event = Recorded("FINDINGS", 0, "finding.demo.counter", 1, came_up("a", 1), "counter", f"{number}")
        cause = Stored("SOURCES", number, "source.demo.a.up", b"", 1)
        await outlet.store([Produced(cause, [event], {"SOURCES": number})])
    assert (await bus.state("FINDINGS")).last == 3
