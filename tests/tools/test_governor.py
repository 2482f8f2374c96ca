"""Budgets: shared by all processes, kept over restarts, opened again in time."""

from __future__ import annotations

import asyncio

import pytest

from plantops.events import Event
from plantops.events.base import is_token
from plantops.events.conversation import BudgetCharged, BudgetExceeded
from plantops.events.tooling import ToolTold
from plantops.flow.memory import MemoryBus
from plantops.flow.signing import Signer
from plantops.tools.door import Door
from plantops.tools.governor import Identity
from plantops.tools.settings import PersonBudget, ProgramBudget, ToolSettings
from support.manual_clock import calm
from support.plant_samples import key
from support.tool_rig import HANG, Rig, ask, call, refused

FEW = ToolSettings(person=PersonBudget(calls=10, block=3), program=ProgramBudget(calls=8, block=4))


def charges(events: list[Event], identity: str) -> list[BudgetCharged]:
    return [event for event in events if isinstance(event, BudgetCharged) and event.identity == identity]


def excesses(events: list[Event]) -> list[tuple[str, str]]:
    return [(event.identity, event.what) for event in events if isinstance(event, BudgetExceeded)]


async def many(door: Door, count: int, *, login: str = "alice", same: bool = False, start: int = 0) -> None:
    for number in range(start, start + count):
        words = [] if same else [str(number)]
        await call(door, login=login, arguments={"words": words})


async def test_the_26th_identical_call_is_refused_and_the_window_opens_it_again(rig: Rig) -> None:
    door = rig.door()
    await many(door, 25, same=True)
    text = await refused(door, "over_budget", arguments={"words": []})
    assert "25 times for Alice" in text
    await call(door, arguments={"words": ["another"]})
    rig.wait(119)
    await refused(door, "over_budget", arguments={"words": []})
    rig.wait(1)
    await call(door, arguments={"words": []})
    assert excesses(rig.events()) == [("Alice", "identical")]


async def test_a_refusal_is_audited(rig: Rig) -> None:
    door = rig.door()
    await many(door, 25, same=True)
    await refused(door, "over_budget", arguments={"words": []})
    records = await rig.audited(26)
    assert [kind for kind, _body in records] == ["tool.called"] * 25 + ["tool.refused"]
    body = records[-1][1]
    assert (body["login"], body["tool"], body["chain"]) == ("alice", "repeat", ["alice"])
    assert body["reason"].startswith("over_budget: ")


async def test_the_breaker_holds_over_a_restart(rig: Rig) -> None:
    await many(rig.door(), 20, same=True)
    again = rig.door()
    await many(again, 5, same=True)
    await refused(again, "over_budget", arguments={"words": []})


async def test_a_process_that_dies_costs_what_it_held_and_gives_nothing_back(rig: Rig) -> None:
    settings = ToolSettings(person=PersonBudget(calls=10, block=3))
    await many(rig.door(settings), 4)  # of its second block two are left
    again = rig.door(settings)
    told = await call(again)
    assert told.left == 3
    await many(again, 3)
    await refused(again, "over_budget")
    rig.wait(120)
    assert (await call(again)).left == 9


async def test_replicas_share_one_account(rig: Rig) -> None:
    first, second = rig.door(FEW), rig.door(FEW)
    made = 0
    for number in range(30):
        told = await ask((first, second)[number % 2], "call", {"tool": "repeat", "arguments": {}})
        made += isinstance(told, ToolTold)
    assert made == 10
    assert charges(rig.events(), "Alice")[-1].calls == 10
    assert excesses(rig.events()) == [("Alice", "calls")] * 2


async def test_replicas_that_charge_at_once_never_give_more_than_there_is(rig: Rig) -> None:
    doors = [rig.door(ToolSettings(person=PersonBudget(calls=50, block=3, concurrent=100))) for _ in range(3)]
    answers = await asyncio.gather(
        *(
            ask(doors[number % 3], "call", {"tool": "repeat", "arguments": {"words": [str(number)]}})
            for number in range(90)
        )
    )
    assert sum(isinstance(told, ToolTold) for told in answers) == 50


async def test_two_replicas_share_the_breaker_and_count_blocks_of_the_other_as_the_same_call(
    rig: Rig,
) -> None:
    doors = (rig.door(), rig.door())
    made = 0
    for number in range(60):
        told = await ask(doors[number % 2], "call", {"tool": "repeat"})
        made += isinstance(told, ToolTold)
    assert 20 <= made <= 25


async def test_one_record_stands_for_a_block_of_calls(rig: Rig) -> None:
    await many(rig.door(), 10)
    assert [event.calls for event in charges(rig.events(), "Alice")] == [5, 10]


async def test_a_person_is_one_whoever_asks_for_him(rig: Rig) -> None:
    door = rig.door(FEW)
    await many(door, 4)
    await many(door, 3, login="alice2")
    for _ in range(3):
        await call(door, login="agent", on_behalf_of=["alice"])
    await refused(door, "over_budget", login="agent", on_behalf_of=["gateway", "alice2"])
    await call(door, login="agent", on_behalf_of=["bob"])


async def test_a_program_has_a_budget_for_everybody_together(rig: Rig) -> None:
    door = rig.door(FEW)
    for person in ("alice", "bob", "carol", "dave"):
        for _ in range(2):
            await call(door, login="gateway", on_behalf_of=[person])
    text = await refused(door, "over_budget", login="gateway", on_behalf_of=["alice"])
    assert "for gateway" in text
    await call(door, login="alice")
    assert [event.calls for event in charges(rig.events(), "gateway")] == [4, 8]


async def test_a_program_that_stands_for_nobody_has_the_breaker_itself(rig: Rig) -> None:
    door = rig.door()
    await many(door, 25, login="gateway", same=True)
    await refused(door, "over_budget", login="gateway", arguments={"words": []})


async def test_calls_at_work_are_bounded_for_each_identity(rig: Rig) -> None:
    door = rig.door(ToolSettings(person=PersonBudget(concurrent=2)))
    slow = [asyncio.create_task(ask(door, "call", {"tool": HANG.name})) for _ in range(2)]
    await calm()
    await refused(door, "over_budget")
    await call(door, login="bob")
    await asyncio.gather(*slow)
    await call(door)
    assert excesses(rig.events()) == [("Alice", "concurrency")]


async def test_without_the_log_nothing_is_called(rig: Rig) -> None:
    door = rig.door()
    bus = door.desk.governor.bus
    assert isinstance(bus, MemoryBus)
    bus.disconnect()
    await refused(door, "unavailable")
    bus.reconnect()
    await call(door)


async def test_a_charge_whose_answer_was_lost_is_found_again(rig: Rig) -> None:
    door = rig.door(FEW)
    rig.broker.lose_acks(3)
    await refused(door, "unavailable")
    assert (await call(door)).left == 9
    assert [event.calls for event in charges(rig.events(), "Alice")] == [3]


async def test_an_account_that_another_wrote_is_not_believed(rig: Rig) -> None:
    door = rig.door()
    await call(door)
    stored = rig.broker.stream("AGENT").messages[1]
    other = Signer("agent-host", key("agent-host"))
    [event] = charges(rig.events(), "Alice")
    message = other.message(stored.subject, event, id="x", time=rig.now)
    await rig.broker.bus("agent-host").publish(message, stream="AGENT")
    assert "'agent-host'" in await refused(rig.door(), "unavailable")


async def test_another_stream_in_the_place_of_the_first_is_noticed(rig: Rig) -> None:
    door = rig.door(FEW)
    await many(door, 5)
    rig.broker.add_stream("AGENT", ["agent.*.*.*"])
    await many(door, 5)
    assert charges(rig.events(), "Alice")[-1].calls >= 3


@pytest.mark.parametrize("name", ["Zo\u00eb M\u00fcller", "a.b", "x" * 200, "*"])
def test_a_name_that_is_no_token_has_an_account_of_its_own(name: str) -> None:
    account = Identity("person", name, PersonBudget()).conversation
    assert is_token(account)
    assert account != Identity("person", name + "x", PersonBudget()).conversation
    assert account != Identity("program", name, ProgramBudget()).conversation
