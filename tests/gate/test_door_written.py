"""The door looks at what would be written too, wherever the plant is held against a simulation."""

from __future__ import annotations

import json

from plantops.events.command_parts import APPROVAL_TYPE
from plantops.events.envelope import Message
from plantops.events.queries import IntentTaken
from support.gate_door import CLIENT, Ground, approval, intent, signed
from support.gate_samples import SITE


async def test_an_approval_is_stored_with_what_stands_in_the_written_tags(ground: Ground) -> None:
    wanted = ground.story.waiting()
    body = signed(approval(wanted, ground.story.now), "bob", kind=APPROVAL_TYPE)
    header = {"Nats-Request-Info": json.dumps({**CLIENT, "user": "LOGIN-bob"})}
    await ground.door.approval(Message(f"door.approval.{SITE}.bob.{wanted.command}", body, header))
    assert ground.observed == [("plc1.local", "plc1.reset", "plc1.temperature")]


async def test_a_confirmation_is_stored_with_what_stands_in_the_written_tags(ground: Ground) -> None:
    first = ground.story.simulated()
    answer = await ground.ask(signed(intent(ground.story, key="x1")))
    assert isinstance(answer, IntentTaken)
    answer = await ground.ask(signed(intent(ground.story, key="x2", confirms=first)))
    assert isinstance(answer, IntentTaken)
    needed = ("plc1.local", "plc1.temperature")
    assert ground.observed == [needed, ("plc1.local", "plc1.setpoint", "plc1.temperature")]
