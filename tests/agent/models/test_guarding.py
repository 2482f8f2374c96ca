"""A provider under guard: tried again, bounded, left alone when it is ill, stood in for by the rules."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Literal

import msgspec
import pytest

from agent.models.asking import person, request
from plantops.agent.models.breaker import Breaker, BreakerOpen
from plantops.agent.models.failures import RequestTooLarge, TryInVain, TryLater
from plantops.agent.models.guarding import GuardedModel, Surroundings, pause_before
from plantops.agent.models.rules.provider import RulesModel
from plantops.agent.models.settings import BreakerSettings, ModelSettings, RetrySettings
from plantops.agent.port import Limits, ModelReply, ModelRequest, ModelUnavailable, OnText

QUESTION = request(person("stop the pump"))
GOOD = ModelReply(text="well", provider="scripted", model="m")


class Clock:
    """Time that passes only when somebody pauses."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)

    def around(self) -> Surroundings:
        return Surroundings(clock=lambda: self.now, sleep=self.sleep, chance=lambda: 0.0)


class Scripted:
    """A provider that does what the script says: a reply, an error, or a function."""

    name = "scripted"
    most_tools = 7

    def __init__(self, *script: Any) -> None:
        self.script = list(script)
        self.calls = 0
        self.inside = 0
        self.most_inside = 0
        self.is_closed = False
        self._changed = asyncio.Event()

    async def reached(self, inside: int) -> None:
        """Until so many are inside."""
        while self.inside < inside:
            self._changed.clear()
            await asyncio.wait_for(self._changed.wait(), 10)

    async def complete(self, request: ModelRequest, on_text: OnText) -> ModelReply:
        step = self.script[min(self.calls, len(self.script) - 1)]
        self.calls += 1
        self.inside += 1
        self.most_inside = max(self.inside, self.most_inside)
        self._changed.set()
        try:
            if callable(step):
                step = await step(on_text)
        finally:
            self.inside -= 1
        if isinstance(step, Exception):
            raise step
        assert isinstance(step, ModelReply)
        on_text(step.text)
        return step

    async def close(self) -> None:
        self.is_closed = True


async def never(_on_text: OnText) -> ModelReply:
    await asyncio.Event().wait()
    raise AssertionError


def settings(**more: Any) -> ModelSettings:
    return ModelSettings(provider="anthropic", model="m", key="env:K", **more)


def guarded(first: Scripted, clock: Clock, *, alone: bool = False, **more: Any) -> GuardedModel:
    return GuardedModel(first, None if alone else RulesModel(), settings(**more), clock.around())


def state(one: GuardedModel | Breaker) -> str:
    """Asked anew each time: it changes with time."""
    return (one if isinstance(one, Breaker) else one.breaker).state


async def ask(model: GuardedModel, asked: ModelRequest = QUESTION) -> tuple[ModelReply, list[str]]:
    said: list[str] = []
    return await model.complete(asked, said.append), said


async def test_a_good_reply_passes_as_it_is() -> None:
    clock, first = Clock(), Scripted(GOOD)
    model = guarded(first, clock)
    assert await ask(model) == (GOOD, ["well"])
    assert (model.name, model.most_tools) == ("scripted", 7)
    await model.close()
    assert first.is_closed


async def test_what_may_pass_is_tried_again_with_growing_pauses() -> None:
    clock, first = Clock(), Scripted(TryLater("busy"), TryLater("busy"), GOOD)
    reply, said = await ask(guarded(first, clock))
    assert (reply, said, first.calls) == (GOOD, ["well"], 3)
    assert clock.pauses == [0.5, 1.0]


async def test_a_provider_is_given_the_time_it_asks_for() -> None:
    clock, first = Clock(), Scripted(TryLater("busy", after_seconds=4.0), GOOD)
    await ask(guarded(first, clock))
    assert clock.pauses == [4.0]


async def test_a_pause_beyond_the_time_of_the_reply_is_not_made() -> None:
    clock, first = Clock(), Scripted(TryLater("busy", after_seconds=90.0), GOOD)
    reply, _ = await ask(guarded(first, clock))
    assert (reply.provider, reply.fell_back_from, clock.pauses) == ("rules", "scripted", [])


@pytest.mark.parametrize("chance", [0.0, 0.5, 0.999])
def test_pauses_are_spread_over_their_second_half(chance: float) -> None:
    retry = RetrySettings(first_seconds=1.0, most_seconds=4.0)
    pauses = [pause_before(retry, number, chance) for number in (1, 2, 3, 4)]
    for pause, whole in zip(pauses, (1.0, 2.0, 4.0, 4.0), strict=True):
        assert whole / 2 <= pause <= whole


@pytest.mark.parametrize("error", [TryInVain("wrong key"), RequestTooLarge("too long")])
async def test_what_is_in_vain_is_not_tried_again(error: Exception) -> None:
    clock, first = Clock(), Scripted(error)
    reply, _ = await ask(guarded(first, clock))
    assert first.calls == 1
    assert reply.provider == "rules"
    assert (reply.fell_back_from, reply.problem) == ("scripted", error.args[0])
    assert [call.tool for call in reply.calls] == ["pump-001__StopPump"]


async def test_without_a_second_one_it_says_that_nobody_answered() -> None:
    model = guarded(Scripted(TryInVain("wrong key")), Clock(), alone=True)
    with pytest.raises(ModelUnavailable, match="wrong key"):
        await ask(model)


async def test_after_something_was_told_it_is_not_told_twice() -> None:
    async def breaks_off(on_text: OnText) -> ModelReply:
        on_text("I will")
        raise TryLater("cut")

    first = Scripted(breaks_off)
    reply, said = await ask(guarded(first, Clock()), request(person("hm")))
    assert first.calls == 1
    assert said == ["I will", reply.text]
    assert reply.fell_back_from == "scripted"


async def test_a_silent_provider_is_given_up_and_counted_as_a_failure() -> None:
    first = Scripted(never)
    model = guarded(first, Clock(), try_seconds=0.01, retry=RetrySettings(tries=1))
    for _ in range(5):
        reply, _ = await ask(model)
        assert reply.fell_back_from == "scripted"
    assert state(model) == "open"
    await ask(model)
    assert first.calls == 5


async def test_the_time_of_the_reply_bounds_a_try_that_may_take_longer() -> None:
    first = Scripted(never)
    hurried = msgspec.structs.replace(QUESTION, limits=Limits(seconds=0.02))
    model = guarded(first, Clock(), retry=RetrySettings(tries=1), breaker=BreakerSettings(failures=1))
    reply, _ = await ask(model, hurried)
    assert reply.fell_back_from == "scripted"
    assert state(model) == "open"


async def test_an_ill_provider_is_left_alone_then_probed_then_trusted() -> None:
    clock = Clock()
    first = Scripted(*[TryInVain("no")] * 3, GOOD)
    model = guarded(first, clock, breaker=BreakerSettings(failures=3, open_seconds=30, successes=2))
    for _ in range(3):
        await ask(model)
    reply, _ = await ask(model)
    assert first.calls == 3
    assert "3 failures in a row" in reply.problem
    clock.now += 30
    assert state(model) == "half_open"
    assert (await ask(model))[0] == GOOD
    assert state(model) == "half_open"
    assert (await ask(model))[0] == GOOD
    assert state(model) == "closed"


async def test_a_failed_probe_opens_it_anew() -> None:
    clock, first = Clock(), Scripted(TryInVain("no"))
    model = guarded(first, clock, breaker=BreakerSettings(failures=1, open_seconds=30))
    await ask(model)
    clock.now += 30
    await ask(model)
    assert (first.calls, state(model)) == (2, "open")


async def test_no_more_probes_at_a_time_than_allowed() -> None:
    clock, gate = Clock(), asyncio.Event()

    async def waits(_on_text: OnText) -> ModelReply:
        await gate.wait()
        return GOOD

    first = Scripted(TryInVain("no"), waits)
    model = guarded(first, clock, breaker=BreakerSettings(failures=1, open_seconds=30, probes=2, successes=2))
    await ask(model)
    clock.now += 30
    tasks = [asyncio.create_task(ask(model)) for _ in range(6)]
    await first.reached(2)
    replies = [(await task)[0] for task in tasks[2:]]
    assert all(reply.fell_back_from == "scripted" for reply in replies)
    assert first.most_inside == 2
    gate.set()
    assert [(await task)[0] for task in tasks[:2]] == [GOOD, GOOD]
    assert state(model) == "closed"


async def test_a_request_that_is_too_large_says_nothing_against_the_provider() -> None:
    first = Scripted(RequestTooLarge("too long"))
    model = guarded(first, Clock(), breaker=BreakerSettings(failures=1))
    await ask(model)
    assert state(model) == "closed"


async def test_a_cancelled_call_gives_its_place_and_its_probe_back() -> None:
    clock = Clock()
    first = Scripted(TryInVain("no"), never, GOOD)
    model = guarded(first, clock, concurrency=1, breaker=BreakerSettings(failures=1, open_seconds=30))
    await ask(model)
    clock.now += 30
    task = asyncio.create_task(ask(model))
    await first.reached(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await ask(model))[0] == GOOD


async def test_no_more_at_a_time_than_allowed() -> None:
    gate = asyncio.Event()

    async def waits(_on_text: OnText) -> ModelReply:
        await gate.wait()
        return GOOD

    first = Scripted(waits)
    model = guarded(first, Clock(), concurrency=3)
    tasks = [asyncio.create_task(ask(model)) for _ in range(10)]
    await first.reached(3)
    gate.set()
    assert [(await task)[0] for task in tasks] == [GOOD] * 10
    assert first.most_inside == 3


async def test_who_finds_no_place_in_time_gets_the_rules() -> None:
    first = Scripted(never)
    model = guarded(first, Clock(), concurrency=1)
    task = asyncio.create_task(ask(model))
    await first.reached(1)
    hurried = msgspec.structs.replace(QUESTION, limits=Limits(seconds=0.02))
    reply, _ = await ask(model, hurried)
    assert (reply.provider, first.calls) == ("rules", 1)
    assert "under way" in reply.problem
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def breaker(**more: Any) -> tuple[Breaker, Callable[[float], None]]:
    now = [0.0]

    def wait(seconds: float) -> None:
        now[0] += seconds

    return Breaker(BreakerSettings(**more), lambda: now[0]), wait


WENT: tuple[Literal["well", "badly", "away"], ...] = ("badly", "well", "badly", "away", "well", "badly")


def test_only_failures_in_a_row_count() -> None:
    one, _ = breaker(failures=2)
    for went in WENT:
        one.enter().settle(went)
    assert state(one) == "closed"
    one.enter().settle("badly")
    assert state(one) == "open"


def test_a_late_word_from_before_changes_nothing() -> None:
    one, wait = breaker(failures=1, open_seconds=10, successes=1)
    late, early = one.enter(), one.enter()
    early.settle("badly")
    wait(10)
    assert state(one) == "half_open"
    late.settle("well")
    assert state(one) == "half_open"
    probe = one.enter()
    with pytest.raises(BreakerOpen):
        one.enter()
    probe.settle("well")
    assert state(one) == "closed"


def test_only_the_first_word_counts() -> None:
    one, _ = breaker(failures=2)
    permission = one.enter()
    permission.settle("badly")
    permission.settle("badly")
    assert state(one) == "closed"
