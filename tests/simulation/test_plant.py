"""The model in real time: its pace, and that it cannot die unnoticed."""

import asyncio

import pytest

from plantops.runtime.errors import SettingsError
from plantops.simulation.plant import Plant
from simulation.conditions import BOUND_SECONDS


class _Clock:
    """A clock that moves only by sleeping, and once by a suspension of the process."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sleeps = 0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.sleeps += 1
        if self.sleeps == 100:
            self.now += 60.0
        await asyncio.sleep(0)


async def test_the_model_keeps_pace_with_the_clock_but_not_with_a_suspended_process() -> None:
    clock, passed = _Clock(), asyncio.Event()
    plant = Plant(clock=clock, sleep=clock.sleep)
    moments: list[tuple[float, int]] = []

    def note() -> None:
        moments.append((clock.now, plant.state.elapsed_microseconds))
        if len(moments) == 200:
            passed.set()

    plant.subscribe(note)
    async with asyncio.timeout(BOUND_SECONDS), plant:
        await passed.wait()
    assert [moments[index][1] for index in (98, 199)] == [99 * 50_000, 200 * 50_000]
    assert [moments[index][0] for index in (98, 199)] == pytest.approx([4.95, 70.0])


async def test_a_model_that_dies_is_noticed_and_says_why() -> None:
    plant = Plant()

    def broken() -> None:
        raise RuntimeError("a callback broke")

    plant.subscribe(broken)
    with pytest.raises(RuntimeError, match="a callback broke"):
        async with asyncio.timeout(BOUND_SECONDS), plant:
            await plant.failed()


def test_an_unknown_fault_is_refused_by_name() -> None:
    with pytest.raises(SettingsError, match="temperature, trip"):
        Plant().tell("odd")
