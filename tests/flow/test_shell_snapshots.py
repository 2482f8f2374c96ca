"""What a shell brings back from its snapshot, and what it does not believe."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from plantops.events.envelope import Message
from plantops.flow.declaration import consumer_name, snapshot_stream, snapshot_subject
from plantops.flow.processor import Recorded
from plantops.flow.shell import Shell
from plantops.flow.signing import Signer
from plantops.flow.trust import TrustAll
from plantops.ledger.keys import SigningKey
from plantops.runtime.errors import Fenced
from support.counter import Counter, Follower, Tally
from support.nats import until
from support.shell_plant import SIGNER, Dies, Plant, mortal

READS = {reads.stream: reads for reads in Counter.consumes}


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


class Slow(Follower):
    """Gives its snapshot in small pieces, the last of them when it is no longer held up."""

    is_held_up = False
    begun = 0

    def dump_in_pieces(self, state: Tally) -> Iterator[bytes]:
        return self._bytes(self.dump(state))

    def _bytes(self, data: bytes) -> Iterator[bytes]:
        self.begun += 1
        while self.is_held_up:
            yield b""
        yield from (data[at : at + 1] for at in range(len(data)))


async def test_the_fold_goes_on_while_a_snapshot_is_encoded_and_a_death_then_loses_nothing() -> None:
    core = Slow()
    plant = Plant(core)
    shell = mortal(plant, "acknowledged", snapshot_inputs=10)
    async with plant.running(shell) as task:
        core.is_held_up = True
        await plant.feed(50)
        await until(lambda: core.begun)
        await plant.feed(60, first=50)
        await until(lambda: plant.is_folded(shell))
        core.is_held_up = False
        await until(task.done)
    with pytest.raises(Dies):
        task.result()
    await plant.feed(60, first=110)
    again = plant.shell()
    await plant.settle(again)
    plant.check(again)


async def test_a_stop_in_the_middle_of_a_snapshot_leaves_a_later_one() -> None:
    core = Slow()
    plant = Plant(core)
    shell = plant.shell(snapshot_inputs=10)
    async with plant.running(shell):
        core.is_held_up = True
        await plant.feed(50)
        await until(lambda: core.begun)
        await plant.feed(50, first=50)
        await until(lambda: plant.is_folded(shell))
        core.is_held_up = False
    again = plant.shell()
    await again.restore()
    assert plant.is_folded(again)
    plant.check(again)


async def test_only_what_a_stored_snapshot_covers_is_acknowledged() -> None:
    """Inputs that are folded while it is encoded come again after a death."""
    core = Slow()
    plant = Plant(core)
    await plant.feed(200)
    floors: list[tuple[int, int]] = []

    class Watched(Shell[Tally]):
        def reached(self, place: str) -> None:
            if place == "acknowledged":
                for stream in ("SOURCES", "EXTRA"):
                    floor = plant.broker.streams[stream].consumers[consumer_name(core.name, READS[stream])]
                    floors.append((floor.ack_floor, self.positions[stream]))

    shell = Watched(
        core,
        plant.broker.bus("counter"),
        SIGNER,
        TrustAll(),
        site="demo",
        fetch_limit=4,
        snapshot_inputs=10,
    )
    async with plant.running(shell):
        await until(lambda: len(floors) >= 2)
        assert floors[0][0] < floors[0][1]
        await until(lambda: plant.is_folded(shell))


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


async def test_a_clean_stop_leaves_a_snapshot_and_acknowledges() -> None:
    plant = Plant()
    await plant.feed(50)
    await plant.settle(plant.shell())
    assert plant.broker.streams["SOURCES"].consumers["counter"].ack_floor == 40
