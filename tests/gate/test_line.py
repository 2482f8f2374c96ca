"""A login waits behind its own words, a stop behind nobody's, and the process has time for other things."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from plantops.gate.line import Line, Overrun
from plantops.runtime.errors import Refused
from support.nats import until


class Crowd:
    """Requests that stay inside until they are told to leave; `inside` is the order in which they came in."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.inside: list[str] = []
        self.refused: list[str] = []
        self.go = asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []

    def send(self, login: str, count: int = 1) -> None:
        self.tasks += [asyncio.create_task(self._ask(login)) for _ in range(count)]

    async def _ask(self, login: str) -> None:
        try:
            async with self.line.turn(login):
                self.inside.append(login)
                await self.go.wait()
        except (Refused, Overrun) as error:
            self.refused.append(type(error).__name__)


@asynccontextmanager
async def crowd(line: Line) -> AsyncIterator[Crowd]:
    made = Crowd(line)
    yield made
    for task in made.tasks:
        task.cancel()
    await asyncio.gather(*made.tasks, return_exceptions=True)


async def test_no_more_are_inside_than_there_are_places() -> None:
    async with crowd(Line(places=3)) as here:
        here.send("alice", 10)
        await until(lambda: len(here.inside) == 3)
        here.go.set()
        await until(lambda: len(here.inside) == 10)


async def test_the_next_login_has_its_turn_before_the_second_of_the_first() -> None:
    async with crowd(Line(places=1)) as here:
        here.send("alice", 50)
        await until(lambda: here.inside == ["alice"])
        here.send("bob")
        await asyncio.sleep(0)
        here.go.set()
        await until(lambda: "bob" in here.inside)
        assert here.inside.index("bob") <= 2


async def test_who_has_too_many_waiting_is_told_so_and_then_no_more() -> None:
    async with crowd(Line(places=1, max_waiting=5, max_refused=3)) as here:
        here.send("alice")
        await until(lambda: here.inside == ["alice"])
        here.send("alice", 10)
        await until(lambda: here.refused == ["Overrun"] * 2)
        here.send("bob")
        here.go.set()
        await until(lambda: len(here.inside) == 7)
        await until(lambda: sorted(here.refused) == ["Overrun"] * 2 + ["Refused"] * 3)
        assert "bob" in here.inside


async def test_a_crowd_does_not_keep_the_process_from_its_other_work() -> None:
    async with crowd(Line(places=1000, at_once=2, max_waiting=1000)) as here:
        here.go.set()
        here.send("alice", 500)
        await asyncio.sleep(0)
        most, before = 0, 0
        while len(here.inside) < 500:
            await asyncio.sleep(0)
            most, before = max(most, len(here.inside) - before), len(here.inside)
        assert most <= 2


async def test_a_place_is_free_again_when_who_waited_for_it_is_gone() -> None:
    async with crowd(Line(places=1)) as here:
        here.send("alice", 2)
        await until(lambda: len(here.inside) == 1)
        here.tasks[1].cancel()
        here.send("bob")
        here.go.set()
        await until(lambda: here.inside == ["alice", "bob"])


async def test_a_refusal_names_the_login() -> None:
    line = Line(places=1, max_waiting=0)
    with pytest.raises(Refused, match="alice"):
        async with line.turn("alice"):
            pass
