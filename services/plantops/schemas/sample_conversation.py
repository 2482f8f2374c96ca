"""Samples of a conversation with the agent, and of the budgets of who asks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from plantops.events import Event, subjects
from plantops.events import conversation as c
from plantops.events.base import CommandId, PrincipalName, event_type
from plantops.events.command_parts import command_id
from plantops.events.provenance import Provenance
from plantops.schemas.sample_plant import NOW, PUMP, SET_SPEED, SITE

_TALK: Final = "k7d2"
_BUDGET: Final = "budget-alice"
_ALICE: Final = PrincipalName("alice")
_COMMAND: Final[CommandId] = command_id("agent", "k7d2.1.1.call-1")
_TOOL: Final = f"{PUMP}__{SET_SPEED}"
_SEEN: Final = Provenance(channel="tag", name="plc1.pump.speed", stream="TAGS", sequence=1234, quality=192)
_OUTCOME: Final = c.ToolOutcome(
    tool=_TOOL,
    status="pending_approval",
    success=True,
    simulated=True,
    result={"before": 900.0, "projected": 1200.0},
    error="none",
    command=_COMMAND,
    handle="c12",
)


def conversation() -> Iterator[tuple[Event, str]]:
    """Each event with every field set, and its subject; all are said by the agent's host."""
    for event in _events():
        talk = _BUDGET if event_type(event).startswith("agent.budget") else _TALK
        yield event, subjects.agent(SITE, talk, event_type(event).partition(".")[2])


def _events() -> Iterator[Event]:
    yield from _turn()
    yield from _accounts()


def _turn() -> Iterator[Event]:
    yield c.TurnAsked(
        site=SITE,
        conversation=_TALK,
        turn=1,
        question="set the speed to 1,200 rpm",
        asker=PrincipalName("gateway"),
        on_behalf_of=(_ALICE,),
        key="request-1",
        asked_at=NOW,
    )
    yield c.ModelReplied(
        site=SITE,
        conversation=_TALK,
        turn=1,
        step=1,
        provider="anthropic",
        model="a-model",
        text="I ask for that.",
        calls=(c.ToolCall(id="call-1", tool=_TOOL, arguments={"RPM": 1200}),),
        usage=c.Usage(input_tokens=900, output_tokens=40, cached_tokens=700, cost=0.004),
        offered=(_TOOL, "twin-get"),
        request="6" * 64,
        fell_back_from="openai",
        problem="no answer within 30 s",
    )
    yield c.ToolAnswered(
        site=SITE,
        conversation=_TALK,
        turn=1,
        step=1,
        call="call-1",
        outcome=_OUTCOME,
        content='{"phase":"simulated"}',
        provenance=(_SEEN,),
    )
    yield c.TurnEnded(
        site=SITE,
        conversation=_TALK,
        turn=1,
        status="answered",
        reply="c12 is simulated and waits for your confirmation.",
        outcomes=(_OUTCOME,),
        pending_approval=True,
        waiting_for=_COMMAND,
        handle="c12",
        provenance=(_SEEN,),
    )


def _accounts() -> Iterator[Event]:
    yield c.ConversationReset(site=SITE, conversation=_TALK, turn=1, by=_ALICE)
    yield c.BudgetCharged(
        site=SITE,
        conversation=_BUDGET,
        identity=_ALICE,
        budget="tools",
        since=NOW,
        at=NOW + timedelta(seconds=1),
        calls=3,
        turns=1,
        input_tokens=900,
        output_tokens=40,
        cost=0.004,
        identical={"9f86d081884c7d65": 2},
        reserved=2,
        others=1,
    )
    yield c.BudgetExceeded(
        site=SITE,
        conversation=_BUDGET,
        identity=_ALICE,
        budget="tools",
        what="identical",
        limit=25.0,
        until=NOW + timedelta(minutes=2),
        tool="twin-get",
    )
