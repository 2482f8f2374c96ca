import asyncio

import pytest

from plantops.adapters.modbus.turn import Rank, Turns


class Queue:
    """Tasks that take a turn each and tell in which order they got it."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.order: list[str] = []
        self.go_on = asyncio.Event()

    async def take(self, name: str, rank: Rank) -> None:
        async with self.turns.turn(rank):
            self.order.append(name)
            await self.go_on.wait()

    async def start(self, name: str, rank: Rank) -> asyncio.Task[None]:
        task = asyncio.create_task(self.take(name, rank))
        await asyncio.sleep(0)
        return task


async def test_a_write_goes_before_reads_that_came_earlier() -> None:
    queue = Queue()
    tasks = [
        await queue.start(name, rank)
        for name, rank in [
            ("read 1", Rank.READ),
            ("read 2", Rank.READ),
            ("read 3", Rank.READ),
            ("write 1", Rank.WRITE),
            ("write 2", Rank.WRITE),
        ]
    ]
    assert queue.order == ["read 1"]
    queue.go_on.set()
    await asyncio.gather(*tasks)
    assert queue.order == ["read 1", "write 1", "write 2", "read 2", "read 3"]


async def test_who_gave_up_waiting_is_skipped() -> None:
    queue = Queue()
    first = await queue.start("read 1", Rank.READ)
    second = await queue.start("write", Rank.WRITE)
    third = await queue.start("read 2", Rank.READ)
    second.cancel()
    queue.go_on.set()
    await asyncio.gather(first, third)
    assert queue.order == ["read 1", "read 2"]


async def test_a_turn_handed_to_a_task_that_is_being_cancelled_goes_on_to_the_next() -> None:
    queue = Queue()
    queue.go_on.set()
    async with queue.turns.turn(Rank.READ):
        write = await queue.start("write", Rank.WRITE)
        read = await queue.start("read", Rank.READ)
    # The write has the turn now, but has not run since.
    write.cancel()
    await asyncio.wait_for(read, 5)
    assert queue.order == ["read"]


async def test_a_failure_gives_the_turn_back() -> None:
    turns = Turns()
    with pytest.raises(RuntimeError, match="broken"):
        async with turns.turn(Rank.READ):
            raise RuntimeError("broken")
    async with asyncio.timeout(5), turns.turn(Rank.READ):
        pass
