"""What the gate tells of its memory is what it judges by: for whoever would ask, and within a measure."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import msgspec
import pytest

from plantops.events.base import CommandId, OperationName, PrincipalName, encode_json
from plantops.events.circumstances import NO_CIRCUMSTANCES
from plantops.events.commands import CommandDenied, CommandPermitted
from plantops.events.envelope import Message
from plantops.events.queries import CircumstancesAsked, CircumstancesTold, ProblemDetail, read_answer
from plantops.gate import circumstances
from plantops.gate.services import MAX_WAITING, Answer, services
from plantops.policy.document import Limit
from support.acts_samples import POLICY_OF_ACTS, ActStory
from support.gate_samples import SITE, VALVE, Story

FEW = (
    Limit(id="mine", applies=("valve-001.*",), per="person", window_seconds=60.0, calls=3),
    Limit(id="slow", applies=("valve-001.SetPosition",), drift={"PERCENT": 60.0}, concurrent=1),
)


def story(*limits: Limit) -> ActStory:
    return ActStory(policy=msgspec.structs.replace(POLICY_OF_ACTS, limits=limits))


def answering(story: Story) -> Answer:
    return services(lambda: story.state, lambda: story.now)["circumstances"]


async def told(
    story: Story,
    operation: str = "SetPosition",
    actor: str = "alice",
    chain: tuple[str, ...] = (),
    answer: Answer | None = None,
) -> CircumstancesTold:
    question = CircumstancesAsked(
        asset=VALVE,
        operation=OperationName(operation),
        actor=PrincipalName(actor),
        on_behalf_of=tuple(map(PrincipalName, chain)),
    )
    data = await (answer or answering(story))(_message(encode_json(question)))
    found = read_answer(data, CircumstancesTold)
    assert isinstance(found, CircumstancesTold), found
    return found


def _message(data: bytes) -> Message:
    return Message(f"command.{SITE}.circumstances", data)


def move(story: Story, percent: float, actor: str = "alice", chain: tuple[str, ...] = ()) -> CommandId:
    arguments = {"PERCENT": percent}
    return story.ask("SetPosition", arguments, asset=VALVE, actor=actor, on_behalf_of=chain)  # type: ignore[arg-type]


def done(story: Story, command: CommandId) -> None:
    decision = story.one(CommandPermitted).decision
    story.claim(command, by="adapter-opc1")
    story.execute(command, decision, by="adapter-opc1")


async def agree(story: Story, actor: str = "alice", chain: tuple[str, ...] = ()) -> CircumstancesTold:
    """Ask what would be known, then ask for the thing: the decision knows exactly that."""
    before = await told(story, actor=actor, chain=chain)
    command = move(story, 40.0, actor, chain)
    (event,) = story.out
    assert isinstance(event, CommandPermitted | CommandDenied)
    assert event.decision is not None
    assert before.circumstances == event.decision.circumstances
    assert before.policy == event.decision.policy
    assert before.at == event.decision.now
    if before.busy:
        assert isinstance(event, CommandDenied)
    if isinstance(event, CommandPermitted):
        done(story, command)
    return before


async def test_it_is_what_the_next_decision_knows_whoever_asks() -> None:
    plant = story(*FEW)
    assert [use.calls for use in (await agree(plant)).circumstances.uses] == [0, 0]
    mine, slow = (await agree(plant, "agent", ("alice",))).circumstances.uses
    assert (mine.calls, slow.drift) == (1, {"PERCENT": 20.0})
    mine, slow = (await agree(plant, "bob")).circumstances.uses
    assert (mine.calls, slow.drift) == (0, {"PERCENT": 40.0})
    plant.wait(61)
    assert [use.calls for use in (await agree(plant)).circumstances.uses] == [0, 3]


async def test_locks_and_what_is_under_way_are_told() -> None:
    plant = story(*FEW)
    move(plant, 40.0)
    under_way = await told(plant)
    assert under_way.busy.startswith("in_flight: c1 (SetPosition)")
    assert under_way.circumstances.uses[1].concurrent == 1
    plant = story(*FEW)
    plant.lock(VALVE)
    assert [each.owner for each in (await agree(plant)).circumstances.lockouts] == ["alice"]


async def test_stops_and_acts_are_told_what_they_ask() -> None:
    plant = story(*FEW)
    move(plant, 40.0)
    assert (await told(plant, "CloseValve")).circumstances == NO_CIRCUMSTANCES
    act = await told(plant, "act-lock")
    assert (act.circumstances.uses, act.busy) == ((), "")


async def test_without_a_policy_nothing_is_known_and_it_says_so() -> None:
    found = await told(Story(policy=None))
    assert (found.circumstances, found.policy) == (NO_CIRCUMSTANCES, "")


async def test_what_takes_too_long_to_count_is_named_and_the_rest_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plant = story(*FEW)
    done(plant, move(plant, 40.0))
    done(plant, move(plant, 40.0))
    monkeypatch.setattr(circumstances, "MAX_LOOKED_AT", 3)
    found = await told(plant)
    assert (found.uncounted, found.circumstances.uses) == (("mine", "slow"), ())
    plant.wait(3601)
    found = await told(plant)
    assert (found.uncounted, [use.limit for use in found.circumstances.uses]) == ((), ["mine", "slow"])


async def test_a_limit_that_cannot_be_counted_is_not_among_those_that_only_take_long() -> None:
    plant = story(*FEW)
    plant.state.uses_from = plant.now - timedelta(seconds=1)
    found = await told(plant)
    assert (found.uncounted, found.circumstances.uses) == ((), ())


async def test_many_questions_wait_for_each_other_and_too_many_are_told_so() -> None:
    plant = story(*FEW)
    answer = answering(plant)
    data = encode_json(
        CircumstancesAsked(asset=VALVE, operation=OperationName("Mark"), actor=PrincipalName("alice"))
    )
    answers = await asyncio.gather(*(answer(_message(data)) for _ in range(3 * MAX_WAITING)))
    refused = [
        one for each in answers if isinstance(one := read_answer(each, CircumstancesTold), ProblemDetail)
    ]
    assert len(refused) == 2 * MAX_WAITING
    assert {one.code for one in refused} == {"busy"}
    assert (await told(plant, answer=answer)).uncounted == ()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"{}", "malformed"),
        (b'{"asset":7}', "malformed"),
        (
            encode_json({"asset": "a", "operation": "b", "actor": "c", "on_behalf_of": ["d"] * 9}),
            "too_large",
        ),
    ],
)
async def test_what_is_no_question_is_refused(data: bytes, code: str) -> None:
    found = read_answer(await answering(story())(_message(data)), CircumstancesTold)
    assert isinstance(found, ProblemDetail)
    assert found.code == code
