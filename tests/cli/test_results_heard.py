"""The command line takes for a result what the log repeats, and nothing that a client steered there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from plantops.cli.approvals import give
from plantops.cli.following import Follower
from plantops.events import Event, encode
from plantops.events.base import CommandId, PrincipalName
from plantops.events.command_parts import command_id
from plantops.events.commands import ApprovalAccepted, ApprovalRefused, ApprovalRequested, CommandRequested
from plantops.events.envelope import Message
from plantops.flow.memory import MemoryBroker
from plantops.schemas.samples import samples
from support.nats import until

MARK = {"Nats-Stream": "COMMANDS", "Nats-Sequence": "7"}
WANTED = next(said.event for said in samples() if isinstance(said.event, ApprovalRequested))
INTENT = next(said.event for said in samples() if isinstance(said.event, CommandRequested)).intent
COMMAND = CommandId(command_id(INTENT.actor, INTENT.key))
STEERED = ApprovalAccepted(site=WANTED.site, command=COMMAND, person=PrincipalName("bob"), given=1, needed=1)
REFUSED = ApprovalRefused(
    site=WANTED.site, command=COMMAND, person=PrincipalName("bob"), reason="his own request"
)


def said(event: Event, **headers: str) -> Message:
    return Message(f"cmd.{WANTED.site}.approval_accepted.gate.{COMMAND}", encode(event), headers)


class Gate:
    """Stands where it stands; an approval is answered on the subject of its results."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    async def command(self, command: str) -> Any:
        return SimpleNamespace(command=COMMAND, handle="c1")

    async def waiting(self, command: CommandId) -> ApprovalRequested:
        return WANTED

    async def send_approval(self, _approval: object) -> None:
        self._broker.deliver(said(STEERED))
        self._broker.deliver(said(REFUSED, **MARK))


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker()


@pytest.fixture
def here(broker: MemoryBroker) -> Any:
    gate = Gate(broker)
    return SimpleNamespace(
        site=SimpleNamespace(name=WANTED.site),
        name="bob",
        bus=broker.bus("bob"),
        client=gate,
        send_approval=gate.send_approval,
    )


async def test_a_steered_word_does_not_count_as_the_gate_s_answer_to_an_approval(here: Any) -> None:
    answer, _status = await give(here, "c1", "approve")
    assert answer == REFUSED


async def test_a_steered_result_is_not_told_while_a_command_is_followed(
    here: Any, broker: MemoryBroker
) -> None:
    async with Follower(here, INTENT, lambda _told: None) as follower:
        broker.deliver(said(STEERED))
        broker.deliver(said(REFUSED, **MARK))
        await until(lambda: bool(follower.events))
        assert follower.events == [REFUSED]
