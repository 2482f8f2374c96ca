"""Of several runs under one identity one is at work, and the others notice when it is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from plantops.flow.bus import Bus
from plantops.flow.standby import take_turns
from plantops.runtime.cancelling import heed_cancel
from plantops.runtime.errors import BrokerUnavailable, Fenced, IntegrityError
from support.nats import until
from support.stages import Stage, stage

__all__ = ["stage"]


@dataclass
class Post:
    """Who is at work; `gone` ends a turn with an error, `crash` takes the whole process away."""

    at_work: list[str] = field(default_factory=list)
    turns: list[str] = field(default_factory=list)
    gone: dict[str, asyncio.Future[None]] = field(default_factory=dict)
    tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    def start(self, name: str, bus: Bus) -> None:
        async def work() -> None:
            heed_cancel()  # as every reader does
            self.turns.append(name)
            self.at_work.append(name)
            self.gone[name] = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.TaskGroup() as group:  # as every process has it
                    group.create_task(self._until_gone(name))
            finally:
                self.at_work.remove(name)

        self.tasks[name] = asyncio.create_task(take_turns(bus, work))

    async def _until_gone(self, name: str) -> None:
        await self.gone[name]

    async def crash(self, name: str, bus: Bus) -> None:
        self.tasks[name].cancel()
        await asyncio.wait([self.tasks[name]])
        await bus.close()


@asynccontextmanager
async def post() -> AsyncIterator[Post]:
    made = Post()
    yield made
    for task in made.tasks.values():
        task.cancel()
    await asyncio.gather(*made.tasks.values(), return_exceptions=True)


async def test_only_one_of_several_is_at_work(stage: Stage) -> None:
    async with post() as here:
        for name in ("a", "b", "c"):
            here.start(name, await stage.bus("gate"))
        await until(lambda: here.turns)
        first = list(here.turns)
        with pytest.raises(TimeoutError):
            await until(lambda: here.turns != first, seconds=1.0)


async def test_a_standby_takes_over_when_the_one_at_work_is_gone(stage: Stage) -> None:
    async with post() as here:
        buses = {name: await stage.bus("gate") for name in ("a", "b")}
        here.start("a", buses["a"])
        await until(lambda: here.at_work == ["a"])
        here.start("b", buses["b"])
        await here.crash("a", buses["a"])
        await until(lambda: here.at_work == ["b"])


@pytest.mark.parametrize("error", [Fenced("replaced"), BrokerUnavailable("away")], ids=["fenced", "away"])
async def test_who_was_replaced_or_lost_the_broker_stands_by_again_and_again(
    stage: Stage, error: Exception
) -> None:
    async with post() as here:
        here.start("a", await stage.bus("gate"))
        for turn in range(1, 4):
            await until(lambda turn=turn: len(here.turns) == turn and here.at_work)
            here.gone["a"].set_exception(error)
            await until(lambda: not here.at_work)
        await until(lambda: here.at_work == ["a"])


async def test_what_no_turn_can_mend_ends_the_process(stage: Stage) -> None:
    async with post() as here:
        here.start("a", await stage.bus("gate"))
        await until(lambda: here.at_work)
        here.gone["a"].set_exception(IntegrityError("cut", path="COMMANDS"))
        await until(here.tasks["a"].done)
        with pytest.raises(ExceptionGroup):
            here.tasks["a"].result()
