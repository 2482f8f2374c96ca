"""The door for approvals: only a person's own signature counts."""

from __future__ import annotations

import json

import pytest

from plantops.events.command_parts import APPROVAL_TYPE
from plantops.events.commands import ApprovalReceived
from plantops.events.envelope import Message
from plantops.events.queries import ApprovalTaken, ProblemDetail, read_answer
from plantops.gate.door import MAX_APPROVAL_BYTES
from support.gate_door import CLIENT, Ground, approval, signed
from support.gate_samples import SITE


async def test_takes_a_persons_approval_and_observes_anew(ground: Ground) -> None:
    wanted = ground.story.waiting()
    body = signed(approval(wanted, ground.story.now), "bob", kind=APPROVAL_TYPE)
    subject = f"door.approval.{SITE}.bob.{wanted.command}"
    header = {"Nats-Request-Info": json.dumps({**CLIENT, "user": "LOGIN-bob"})}
    for _time in range(2):
        answer = await ground.door.approval(Message(subject, body, header))
        assert answer is not None
        assert read_answer(answer, ApprovalTaken) == ApprovalTaken(command=wanted.command, sequence=1)
    (event,) = ground.stored("APPROVALS")
    assert isinstance(event, ApprovalReceived)
    assert event.observation is not None
    assert (event.signer, event.approval.person) == ("bob", "bob")


@pytest.mark.parametrize(
    ("code", "signer", "subject", "changed"),
    [
        ("not_trusted", "carol", "", {}),
        ("not_trusted", "agent", "", {"person": "agent"}),
        ("not_trusted", "bob", "", {"nonce": ""}),
        ("subject_differs", "bob", "door.approval.demo.carol.{command}", {}),
        ("subject_differs", "bob", "door.approval.demo.bob.other", {}),
        ("subject_differs", "bob", "door.approval.other.bob.{command}", {"site": "other"}),
        ("malformed", "bob", "door.approval.demo.bob.*", {"command": "*"}),
        ("unknown_command", "bob", "door.approval.demo.bob.nothing", {"command": "nothing"}),
        ("too_large", "bob", "", {"reason": "x" * MAX_APPROVAL_BYTES}),
    ],
)
async def test_turns_away_an_approval_that_is_not_the_persons_own(
    ground: Ground, code: str, signer: str, subject: str, changed: dict[str, object]
) -> None:
    wanted = ground.story.waiting()
    body = signed(approval(wanted, ground.story.now, **changed), signer, kind=APPROVAL_TYPE)
    subject = (subject or "door.approval.demo.bob.{command}").format(command=wanted.command)
    header = {"Nats-Request-Info": json.dumps({**CLIENT, "user": "LOGIN-bob"})}
    told = await ground.door.approval(Message(subject, body, header))
    assert told is not None
    answer = read_answer(told, ApprovalTaken)
    assert isinstance(answer, ProblemDetail)
    assert answer.code == code
    assert ground.stored("APPROVALS") == []
    assert ground.turned_away
