"""A process's own audit chain: exactly once, in order, or nobody acts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from plantops.events.envelope import Message
from plantops.flow import auditing
from plantops.flow.auditing import Auditor, stop
from plantops.flow.bus import FEW
from plantops.flow.journal import Journal, JournalEntry
from plantops.flow.memory import MemoryBroker, MemoryBus
from plantops.flow.signing import Signer
from plantops.ledger.keys import SigningKey
from plantops.runtime.errors import BrokerUnavailable, Fenced, IntegrityError
from support.audit_log import SITE, audit_broker, bodies, findings, records, serve_heads, stored_bytes
from support.nats import until

KEY = SigningKey.from_seed(b"gate".ljust(32, b"."))
TRUSTED = {"gate": {KEY.keyid: KEY.public}}
AT = datetime(2026, 3, 1, tzinfo=UTC)
MANY = FEW + 2  # so many go as a batch


class Setup:
    """One broker and what lives on it; each `auditor` is a new run of the same process."""

    def __init__(self, folder: Path) -> None:
        self.broker = audit_broker()
        self.folder = folder
        self.buses: list[MemoryBus] = []

    def auditor(self, patience: float = 5.0) -> Auditor:
        bus = self.broker.bus("gate")
        self.buses.append(bus)
        journal = Journal(self.folder / "audit.journal", KEY)
        return Auditor(
            SITE,
            bus,
            Signer("gate", KEY),
            journal,
            now=lambda: AT,
            patience_seconds=patience,
            retry_seconds=0.01,
        )

    def assert_sound(self, expected: list[object]) -> None:
        assert bodies(self.broker, TRUSTED) == expected
        assert [r.sequence for r in records(self.broker, TRUSTED)] == list(range(1, len(expected) + 1))
        assert findings(self.broker, TRUSTED) == []


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return Setup(tmp_path)


@asynccontextmanager
async def running(auditor: Auditor) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(auditor.run())
    try:
        yield task
    finally:
        if not task.done():
            await stop(task)


async def test_stores_records_in_the_order_in_which_they_were_given(setup: Setup) -> None:
    await serve_heads(setup.broker, TRUSTED)
    auditor = setup.auditor()
    async with running(auditor):
        await asyncio.gather(*(auditor.append("done", b"%d" % number) for number in range(1000)))
    setup.assert_sound(list(range(1000)))


async def test_goes_on_behind_its_last_record_after_a_restart(setup: Setup) -> None:
    await serve_heads(setup.broker, TRUSTED)
    for number in range(3):
        auditor = setup.auditor()
        async with running(auditor):
            await auditor.append("done", b"%d" % number)
    setup.assert_sound([0, 1, 2])


async def test_a_lost_answer_makes_no_duplicate_and_no_gap(setup: Setup) -> None:
    await serve_heads(setup.broker, TRUSTED)
    auditor = setup.auditor()
    async with running(auditor):
        await auditor.append("done", b"0")
        for number in range(1, 10):
            setup.broker.lose_acks(1)
            await asyncio.gather(
                auditor.append("done", b"%d" % (2 * number - 1)), auditor.append("done", b"%d" % (2 * number))
            )
    setup.assert_sound(list(range(19)))


class LateBus(MemoryBus):
    """Batches arrive after all, but only when they have been given up."""

    late: list[Callable[[], object]] = []

    async def publish_batch(self, messages, **conditions) -> int:  # type: ignore[no-untyped-def]
        if not self.late:
            broker, stored = self.broker, list(messages)
            self.late.append(
                lambda: broker.store(stored, conditions["stream"], conditions["expected_last"], "")
            )
            raise BrokerUnavailable("no answer in time")
        self.late[0]()
        return await super().publish_batch(messages, **conditions)


async def test_a_batch_that_arrives_after_it_was_given_up_is_known_again(setup: Setup) -> None:
    await serve_heads(setup.broker, TRUSTED)
    auditor = setup.auditor()
    auditor.bus = LateBus(setup.broker, "gate")
    LateBus.late = []
    for number in range(MANY):
        auditor.note("done", b"%d" % number)
    async with running(auditor):
        await until(lambda: bool(LateBus.late))
        last = asyncio.create_task(auditor.append("done", b"%d" % MANY))
        await until(lambda: setup.broker.stream("AUDIT").last >= MANY)
        LateBus.late[0] = lambda: None
        await last
    setup.assert_sound(list(range(MANY + 1)))


async def test_of_two_processes_under_one_name_one_is_fenced(setup: Setup) -> None:
    await serve_heads(setup.broker, TRUSTED)
    older, younger = setup.auditor(), setup.auditor()
    async with running(older) as older_task, running(younger) as younger_task:
        await older.append("done", b"0")
        await younger.append("done", b"1")
        with pytest.raises(Fenced):
            await older.append("done", b"9")
        with pytest.raises(Fenced):
            await older_task
        await younger.append("done", b"2")
        assert not younger_task.done()
        with pytest.raises(Fenced):
            await older.append("done", b"9")
    setup.assert_sound([0, 1, 2])


async def test_several_processes_that_share_a_name_write_one_chain(setup: Setup) -> None:
    await serve_heads(setup.broker, TRUSTED)
    auditors = [setup.auditor(), setup.auditor(), setup.auditor()]
    for auditor in auditors:
        auditor.is_shared = True
    async with running(auditors[0]), running(auditors[1]), running(auditors[2]):
        for turn in range(20):
            bodies_of_turn = (b"%d" % (3 * turn + number) for number in range(3))
            appended = map(Auditor.append, auditors, ["read"] * 3, bodies_of_turn)
            await asyncio.gather(*appended)
    assert sorted(bodies(setup.broker, TRUSTED)) == list(range(60))  # type: ignore[type-var]
    assert [r.sequence for r in records(setup.broker, TRUSTED)] == list(range(1, 61))
    assert findings(setup.broker, TRUSTED) == []


async def test_is_fenced_when_audit_holds_less_than_it_acknowledged(setup: Setup) -> None:
    await serve_heads(setup.broker, TRUSTED)
    auditor = setup.auditor()
    async with running(auditor) as task:
        await auditor.append("done", b"0")
        setup.broker.add_stream("AUDIT", ["audit.*.*"])
        with pytest.raises(Fenced, match="holds less"):
            await auditor.append("done", b"1")
        with pytest.raises(Fenced):
            await task


async def test_without_audit_an_append_fails_in_time_and_is_stored_later(setup: Setup) -> None:
    await serve_heads(setup.broker, TRUSTED)
    auditor = setup.auditor(patience=0.05)
    async with running(auditor):
        await auditor.append("done", b"0")
        setup.buses[0].disconnect()
        with pytest.raises(BrokerUnavailable, match="did not take"):
            await auditor.append("done", b"1")
        assert auditor.is_away
        setup.buses[0].reconnect()
        await until(lambda: setup.broker.stream("AUDIT").last == 2)
        await until(lambda: not auditor.is_away)
    setup.assert_sound([0, 1])


async def test_without_a_notary_at_the_start_nothing_is_stored_until_it_is_there(setup: Setup) -> None:
    auditor = setup.auditor(patience=0.05)
    async with running(auditor):
        with pytest.raises(BrokerUnavailable):
            await auditor.append("done", b"0")
        assert stored_bytes(setup.broker) == []
        await serve_heads(setup.broker, TRUSTED)
        await until(lambda: setup.broker.stream("AUDIT").last == 1)
    setup.assert_sound([0])


async def test_a_notary_that_does_not_know_our_key_lets_nobody_act(setup: Setup) -> None:
    await serve_heads(setup.broker, TRUSTED, believes=False)
    auditor = setup.auditor(patience=0.05)
    async with running(auditor):
        with pytest.raises(BrokerUnavailable):
            await auditor.append("done", b"0")
    assert stored_bytes(setup.broker) == []


async def test_the_journal_stands_in_and_is_reconciled_once_when_audit_is_back(setup: Setup) -> None:
    await serve_heads(setup.broker, TRUSTED)
    auditor = setup.auditor()
    async with running(auditor):
        assert await auditor.append_or_journal("stop", b"0")
        setup.buses[0].disconnect()
        for number in range(1, 4):
            assert not await auditor.append_or_journal("stop", b"%d" % number, patience_seconds=0.01)
        assert [entry.body for entry in auditor.journal.pending()] == ["1", "2", "3"]
        setup.buses[0].reconnect()
        await until(lambda: not auditor.journal.path.exists())
        await auditor.append("done", b"4")
    setup.assert_sound([0, 1, 2, 3, 4])


async def test_journaled_entries_go_into_the_chain_first_after_a_restart(setup: Setup) -> None:
    auditor = setup.auditor()
    for number in range(3):
        assert not await auditor.append_or_journal("stop", b"%d" % number, patience_seconds=0)
    again = setup.auditor()
    await serve_heads(setup.broker, TRUSTED)
    again.note("done", b"3")
    async with running(again):
        await again.append("done", b"4")
    setup.assert_sound([0, 1, 2, 3, 4])
    assert not again.journal.path.exists()


async def test_a_run_that_was_stopped_and_started_again_repeats_nothing(setup: Setup) -> None:
    auditor = setup.auditor()
    assert not await auditor.append_or_journal("stop", b"0", patience_seconds=0)
    async with running(auditor):
        await until(lambda: auditor.is_away)
    await serve_heads(setup.broker, TRUSTED)
    async with running(auditor):
        await auditor.append("done", b"1")
    setup.assert_sound([0, 1])


async def test_what_audit_took_while_the_process_died_is_not_repeated_after_the_restart(setup: Setup) -> None:
    await serve_heads(setup.broker, TRUSTED)
    auditor = setup.auditor()
    for number in range(MANY):
        assert not await auditor.append_or_journal("stop", b"%d" % number, patience_seconds=0)
    setup.buses[0].publish_batch = _dies_after_storing(setup.broker)  # type: ignore[method-assign]
    async with running(auditor):
        await until(lambda: setup.broker.stream("AUDIT").last == MANY)
    assert len(auditor.journal.pending()) == MANY
    again = setup.auditor()
    async with running(again):
        await again.append("done", b"%d" % MANY)
    setup.assert_sound(list(range(MANY + 1)))
    assert not again.journal.path.exists()


async def test_an_entry_journaled_while_its_batch_is_stored_is_not_repeated(setup: Setup) -> None:
    await serve_heads(setup.broker, TRUSTED)
    auditor = setup.auditor()
    setup.buses[0].publish_batch = _dies_after_storing(setup.broker)  # type: ignore[method-assign]
    async with running(auditor):
        assert not await auditor.append_or_journal("stop", b"0", patience_seconds=0.05)
        assert setup.broker.stream("AUDIT").last == 1
    again = setup.auditor()
    async with running(again):
        await again.append("done", b"1")
    setup.assert_sound([0, 1])


def _dies_after_storing(broker: MemoryBroker):  # type: ignore[no-untyped-def]
    async def publish_batch(messages: list[Message], *, stream: str, expected_last: int) -> int:
        broker.store(messages, stream, expected_last, "")
        await asyncio.Event().wait()
        return 0

    return publish_batch


async def test_a_damaged_journal_stops_the_audit_and_says_where(setup: Setup) -> None:
    await serve_heads(setup.broker, TRUSTED)
    auditor = setup.auditor()
    auditor.journal.path.write_bytes(b"not a line of ours\n")
    async with running(auditor) as task:
        with pytest.raises(IntegrityError, match="line 1"):
            await task
        with pytest.raises(IntegrityError):
            await auditor.append("done", b"0")
        # A stop must still get its record onto a disk.
        assert not await auditor.append_or_journal("stop", b"1", patience_seconds=0.01)
    assert stored_bytes(setup.broker) == []


@pytest.mark.parametrize("body", [b"", b"{", b"1 2", b'\xff"'])
async def test_a_body_that_is_no_json_is_refused_and_stops_nobody(setup: Setup, body: bytes) -> None:
    await serve_heads(setup.broker, TRUSTED)
    auditor = setup.auditor()
    async with running(auditor):
        with pytest.raises(ValueError, match="not one JSON value"):
            await auditor.append("done", body)
        with pytest.raises(ValueError, match="too long"):
            await auditor.append("done", b"0", command="c" * 300)
        await auditor.append("done", b"1")
    setup.assert_sound([1])


async def test_a_full_queue_refuses_acts_but_not_the_way_to_safety(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auditing, "MAX_QUEUE", 2)
    auditor = setup.auditor()
    auditor.note("done", b"0")
    auditor.note("done", b"1")
    with pytest.raises(BrokerUnavailable, match="wait already"):
        await auditor.append("done", b"2")
    assert not await auditor.append_or_journal("stop", b"3", patience_seconds=0)


async def test_large_records_go_in_batches_that_the_broker_takes(setup: Setup) -> None:
    await serve_heads(setup.broker, TRUSTED)
    auditor = setup.auditor()
    body = b'"' + b"x" * 40_000 + b'"'
    async with running(auditor):
        await asyncio.gather(*(auditor.append("done", body) for _ in range(150)))
    assert len(records(setup.broker, TRUSTED)) == 150
    assert findings(setup.broker, TRUSTED) == []


def test_entries_of_the_same_act_differ() -> None:
    one = JournalEntry(kind="stop", command="", body="0", at=AT)
    assert one.id != JournalEntry(kind="stop", command="", body="0", at=AT).id
