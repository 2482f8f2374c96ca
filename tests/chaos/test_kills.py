"""Nothing is lost, doubled or reordered while processes and the broker are killed in the middle of work."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.harness import FENCED, Harness
from support.stages import ServerStage, server_stage

__all__ = ["server_stage"]


@pytest.fixture
def harness(server_stage: ServerStage, tmp_path: Path) -> Iterator[Harness]:
    made = Harness(server_stage, tmp_path / "runs.log", seed=7)
    yield made
    made.close()


async def kills(harness: Harness, *, inputs: int, broker: bool, at_least: float) -> None:
    await harness.prepare()
    feeding = asyncio.create_task(harness.feed(inputs))
    await harness.kill_at_random(feeding, broker=broker, at_least=at_least)
    await feeding
    await harness.finish()
    assert await harness.verdict() == ""


async def sleepers(harness: Harness, *, inputs: int, pause: float) -> None:
    await harness.prepare()
    feeding = asyncio.create_task(harness.feed(inputs, pause=pause))
    await harness.sleep_and_wake(feeding)
    await feeding
    await harness.finish()
    assert await harness.verdict() == ""
    assert set(harness.toll.exits) == {FENCED}


async def test_kill_of_worker_and_broker_changes_no_answer(harness: Harness) -> None:
    await kills(harness, inputs=4000, broker=True, at_least=10.0)
    assert harness.toll.kills + harness.toll.crashes >= 4
    assert harness.toll.broker_kills >= 1


async def test_an_owner_that_slept_through_a_takeover_stops_and_changes_no_answer(harness: Harness) -> None:
    await sleepers(harness, inputs=1500, pause=0.003)
    assert harness.toll.takeovers >= 1


@pytest.mark.chaos
@pytest.mark.timeout(600)
async def test_many_kills_change_no_answer(harness: Harness) -> None:
    await kills(harness, inputs=40_000, broker=True, at_least=150.0)
    assert harness.toll.kills + harness.toll.crashes >= 40
    assert harness.toll.broker_kills >= 10


@pytest.mark.chaos
@pytest.mark.timeout(600)
async def test_many_takeovers_change_no_answer(harness: Harness) -> None:
    await sleepers(harness, inputs=20_000, pause=0.003)
    assert harness.toll.takeovers >= 10
