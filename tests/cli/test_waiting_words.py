"""What waits for a second person, in words: who is asked, who was asked since, and what came of it."""

from __future__ import annotations

import msgspec
import pytest

from plantops.cli.approvals import whose_word
from plantops.cli.following import words
from plantops.events.commands import CommandExpired, CommandPermitted, CommandSimulated
from plantops.events.governance import ApprovalEscalated
from support.gate_samples import PLANT, SITE, Story


def test_says_who_is_asked_and_who_is_asked_since_nobody_answered() -> None:
    asked = Story().waiting()
    assert whose_word(asked, ()) == "2 of supervisor"
    patient = msgspec.structs.replace(asked, escalates_at=asked.expires_at)
    assert whose_word(patient, ()) == "2 of supervisor; escalates 12:15:00 UTC"
    assert whose_word(patient, ("manager",)) == "2 of supervisor; escalated to manager"
    event = ApprovalEscalated(site=SITE, command=asked.command, roles=("manager", "owner"))
    assert words(event) == "nobody has answered: manager, owner may approve too"


@pytest.mark.parametrize("waiting_for", ["simulation", "approval"])
def test_says_what_nobody_answered(waiting_for: str) -> None:
    story = Story()
    event = CommandExpired(site=SITE, command=story.ask("StartPump"), waiting_for=waiting_for)
    assert words(event) == f"nobody answered in time: {waiting_for}"


def test_says_what_the_simulator_said_without_taking_it_for_markup() -> None:
    story = Story()
    command = story.ask("SetSpeed", {"RPM": 1200.0}, model=PLANT.digest)
    story.dry_run(command, simulated={"flow": 3.5, "[red]x[/]": "[b]"})
    told = words(story.only(CommandSimulated))
    assert told.startswith(
        "plc1.setpoint → 1200; the simulator says flow = 3.5, \\[red]x\\[/] = '\\[b]'; next:"
    )
    story.ask("SetSpeed", {"RPM": 1200.0}, confirms=command)
    assert words(story.only(CommandPermitted)).startswith("plc1.setpoint = 1200 at plc1")
